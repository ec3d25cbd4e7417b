"""A server that stands still for a while, and what that costs those who keep to the rates (item 7).

The latency is not judged here, since the attack itself stops the server. What is judged is that no line of a
witness is refused: the witnesses go on at their pace, and all that they said comes at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

from tests.siege.attack import attack
from tests.siege.context import AttackContext

__all__ = ["stopped_server", "stopped_server_by_default", "stuttering_server"]

# A small burst, so that a stop of some seconds is more than the bucket holds.
OPTIONS = ("--limit", "talk_burst=5")
STOP_S = 2.0


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Stop a process for as long as the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@attack(item=7, options=OPTIONS, latency="none", seconds_min=3.5, quick=True)
async def stopped_server(context: AttackContext) -> None:
    """Stop the server's process for 2 s while the witnesses talk on: no line must be refused."""
    async with context.attacking():
        with _stopped(context.server_pid):
            await trio.sleep(STOP_S)


@attack(item=7, latency="none", seconds_min=8.0)
async def stopped_server_by_default(context: AttackContext) -> None:
    """Stop the server's process for 6 s, which is more than the default burst: no line must be refused."""
    async with context.attacking():
        with _stopped(context.server_pid):
            await trio.sleep(3 * STOP_S)


@attack(item=7, options=OPTIONS, latency="none", seconds_min=6.0)
async def stuttering_server(context: AttackContext) -> None:
    """Stop the server's process for 1.3 s in every 1.5 s: no line must be refused."""
    async with context.attacking():
        while True:
            with _stopped(context.server_pid):
                await trio.sleep(1.3)
            await trio.sleep(0.2)
