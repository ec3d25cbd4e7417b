"""The keepalive sweep: one task checks the timeouts of all sessions.

This is cheaper than a timer for each session, and an idle session needs no further task. Each timeout is
kept to within a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_chat.server.fair_share import SLICE_S
from trio_chat.server.logs import log_reports
from trio_chat.server.loop_lag import LATE_S

if TYPE_CHECKING:
    from trio_chat.server.acceptor import Acceptor
    from trio_chat.server.fair_share import FairScheduler
    from trio_chat.server.refusals import Refusals
    from trio_chat.server.session import Session

__all__ = ["sweep"]

SWEEP_S = 1.0
LINKS_AT_ONCE = 16  # each wakes a task that creates a session and ends it
SESSIONS_PER_CHECK = 64  # between two readings of the clock; a slice is enough for some thousand


async def sweep(
    sessions: dict[Session, None], acceptor: Acceptor, scheduler: FairScheduler, refusals: Refusals
) -> None:
    """Disconnect sessions whose timeouts have passed, and ping idle ones, until cancelled.

    Also log the refusals that are due. The sweep works in slices, as thousands of sessions may be due at
    once. A sweep that is itself late checks nothing: sessions first read the bytes that arrived meanwhile.
    """
    skipped = False
    while True:
        due = trio.current_time() + SWEEP_S
        await trio.sleep_until(due)
        now = trio.current_time()
        log_reports(refusals.reports(now))
        skipped = now - due > LATE_S and not skipped
        if skipped:
            continue
        for count, link in enumerate(acceptor.overdue(now)):
            link.interrupt()
            if count % LINKS_AT_ONCE == LINKS_AT_ONCE - 1:
                await trio.lowlevel.checkpoint()
        until = scheduler.clock() + SLICE_S
        for count, session in enumerate(list(sessions)):
            overdue = session.overdue(now)
            if overdue is not None:
                session.end(overdue)
            elif not session.probe(now) and count % SESSIONS_PER_CHECK:
                continue
            if scheduler.clock() >= until:
                await trio.lowlevel.checkpoint()
                until = scheduler.clock() + SLICE_S
