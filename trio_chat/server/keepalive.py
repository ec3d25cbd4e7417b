"""One sweep looks for silence, for all: cheaper than a timer a session, and an idle one needs no task more.

A limit of ten seconds is thus kept to within one.
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
LINKS_AT_ONCE = 16  # each wakes a task that makes a session and ends it
SESSIONS_PER_LOOK = 64  # at the clock: a millisecond is enough for some thousand of them, or to end ten


async def sweep(
    sessions: dict[Session, None], acceptor: Acceptor, scheduler: FairScheduler, refusals: Refusals
) -> None:
    """End every session that keeps the server waiting for too long, and probe the silent, until cancelled.
    What was refused is logged when it is due.

    In slices: thousands may be due in one moment. Where the sweep itself is late, what the peers have sent
    meanwhile is read first, and the next sweep judges it.
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
            elif not session.probe(now) and count % SESSIONS_PER_LOOK:
                continue
            if scheduler.clock() >= until:
                await trio.lowlevel.checkpoint()
                until = scheduler.clock() + SLICE_S
