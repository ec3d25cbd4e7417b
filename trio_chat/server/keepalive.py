"""One sweep looks for silence, for all: cheaper than a timer a session, and an idle one needs no task more.

A limit of ten seconds is thus kept to within one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_chat.server.turns import SLICE_S

if TYPE_CHECKING:
    from trio_chat.server.door import Door
    from trio_chat.server.session import Session
    from trio_chat.server.turns import Turns

__all__ = ["sweep"]

SWEEP_S = 1.0
SESSIONS_PER_LOOK = 64  # at the clock: a millisecond is enough for some thousand of them, or to end ten


async def sweep(sessions: dict[Session, None], door: Door, turns: Turns) -> None:
    """End every session that keeps the server waiting for too long, and probe the silent, until cancelled.

    In slices: thousands may be due in one moment.
    """
    while True:
        await trio.sleep(SWEEP_S)
        now = trio.current_time()
        door.sweep(now)
        until = turns.clock() + SLICE_S
        for count, session in enumerate(list(sessions)):
            overdue = session.overdue(now)
            if overdue is not None:
                session.end(overdue)
            elif not session.probe(now) and count % SESSIONS_PER_LOOK:
                continue
            if turns.clock() >= until:
                await trio.lowlevel.checkpoint()
                until = turns.clock() + SLICE_S
