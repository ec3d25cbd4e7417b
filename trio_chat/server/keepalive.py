"""One sweep looks for silence, for all: cheaper than a timer a session, and an idle one needs no task more.

A limit of ten seconds is thus kept to within one.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from trio_chat.server.session import Session

__all__ = ["sweep"]

SWEEP_S = 1.0
CHUNK = 2_000  # sessions looked at in one step


async def sweep(sessions: dict[Session, None]) -> None:
    """End every session that keeps the server waiting for too long, and probe the silent, until cancelled."""
    while True:
        await trio.sleep(SWEEP_S)
        now = trio.current_time()
        waiting = iter(list(sessions))
        while chunk := list(islice(waiting, CHUNK)):
            for session in chunk:
                overdue = session.overdue(now)
                if overdue is not None:
                    session.end(overdue)
                else:
                    session.probe(now)
            await trio.lowlevel.checkpoint()
