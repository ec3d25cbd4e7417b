"""Run the maintenance of the journal in small steps: see `Store.tidy`.

The steps run while no message is being written. On a server that is never quiet they run once the backlog is
large, and at least every `INTERVAL_S` seconds, so that entries past their retention are removed.
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

QUIET_S = 0.5  # the journal is idle after so long without a new entry
STEP_PAUSE_S = 0.01  # between two steps, so that upgrading an old file does not delay messages
BUSY_PAUSE_S = 0.03  # in addition, while messages arrive: each step delays them by five milliseconds
INTERVAL_S = 60.0
# Entries that are not indexed yet, which each search scans: a search may scan as many in any case. A hundred
# authors without a pause write so many in a few seconds. Indexing them takes a quarter of that time.
BACKLOG_MAX = 100_000
RETRY_S = 30.0  # after a failure


async def run_maintenance(store: Store, clock_ms: Callable[[], int]) -> None:
    """Run maintenance until cancelled. A failure is logged once, and retried after `RETRY_S` seconds."""
    left = 0  # the backlog that remained after the last complete run
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
                due = trio.current_time() + INTERVAL_S
            failing = False
            continue
        except StoreError as error:
            if not failing:
                log.error("cannot tidy the journal: %s", error)
        except Exception:
            if not failing:
                log.exception("unexpected error in the journal store")
        failing = True
        await trio.sleep(RETRY_S)


async def _tidy(store: Store, clock_ms: Callable[[], int], backlog_max: int, pressing: bool) -> bool:
    """Run the pending steps. Return false when it stopped early because messages arrived.

    When it is `pressing`, it does not stop for messages.
    """
    while await store.tidy(clock_ms()):
        before = store.backlog
        await trio.sleep(STEP_PAUSE_S)
        if store.backlog > before:
            if not pressing and store.backlog <= backlog_max:
                return False
            await trio.sleep(BUSY_PAUSE_S)
    return True
