"""What a journal does when nobody waits for it: see `Store.tidy`.

It is done while nothing is being said, one step after the other. Where that never is, because the talk never
ends, it is done all the same once much has gathered, and once in a while, so that what is too old does go.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from trio_chat.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_chat.journal.store import Store

__all__ = ["run_maintenance"]

log = logging.getLogger("trio_chat.upkeep")

QUIET_S = 0.5  # in which nothing was said
PAUSE_S = 0.01  # between two steps: an old file is not brought up to date at the cost of whoever speaks
TALK_PAUSE_S = 0.03  # and so much more where somebody speaks, whom a step keeps waiting for five milliseconds
OFTEN_ENOUGH_S = 60.0
# Entries, which each search looks through: so many are looked at for one answer in any case. At the pace of a
# hundred authors who never pause that is some seconds, and indexing costs them a quarter of it.
BACKLOG_MAX = 100_000
AGAIN_S = 30.0  # after a failure


async def run_maintenance(store: Store, clock_ms: Callable[[], int]) -> None:
    """Keep a journal tidy, until cancelled. One that cannot be is asked again later, and told of once."""
    left = 0  # of its backlog, when there was nothing more to do
    due = trio.current_time()
    failing = False
    while True:
        before = store.backlog
        await trio.sleep(QUIET_S)
        quiet = store.backlog == before != left
        pressing = trio.current_time() >= due or store.backlog - left > BACKLOG_MAX
        if not (quiet or pressing):
            continue
        try:
            if await _tidy(store, clock_ms, left + BACKLOG_MAX, pressing):
                left = store.backlog
                due = trio.current_time() + OFTEN_ENOUGH_S
            failing = False
            continue
        except StoreError as error:
            if not failing:
                log.error("the journal cannot be tidied: %s", error)
        except Exception:
            if not failing:
                log.exception("the journal's store failed in a way it should not")
        failing = True
        await trio.sleep(AGAIN_S)


async def _tidy(store: Store, clock_ms: Callable[[], int], backlog_max: int, pressing: bool) -> bool:
    """Do what there is to do; whether it was done before somebody spoke. Who speaks is not waited for when
    it is pressing."""
    while await store.tidy(clock_ms()):
        before = store.backlog
        await trio.sleep(PAUSE_S)
        if store.backlog > before:
            if not pressing and store.backlog <= backlog_max:
                return False
            await trio.sleep(TALK_PAUSE_S)
    return True
