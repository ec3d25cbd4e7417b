"""Maintenance of the journal: it runs on an idle server, and at intervals on a busy one."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import serving
from tests.server.stores import FailingStore
from trio_chat.errors import StoreError
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.store import RetentionRule
from trio_chat.server.maintenance import (
    BACKLOG_MAX,
    BUSY_PAUSE_S,
    INTERVAL_S,
    QUIET_S,
    RETRY_S,
    STEP_PAUSE_S,
    run_maintenance,
)


class BacklogStore(MemoryStore):
    """A store with a backlog. A step tidies ten entries in a second; `steps` are the times of the steps."""

    tidies = True
    backlog = 0

    def __init__(self, backlog: int = 0) -> None:
        super().__init__()
        self.backlog = backlog
        self.steps: list[float] = []
        self.failures: list[Exception] = []

    async def tidy(self, now_ms: int) -> bool:
        self.steps.append(trio.current_time())
        if self.failures:
            raise self.failures.pop()
        await trio.sleep(1)
        if self.backlog < 10:
            return False
        self.backlog -= 10
        return True


async def talk(store: BacklogStore, per_s: int) -> None:
    while True:
        await trio.sleep(STEP_PAUSE_S)
        store.backlog += round(per_s * STEP_PAUSE_S)


@asynccontextmanager
async def maintained() -> AsyncGenerator[tuple[BacklogStore, trio.Nursery]]:
    """Run maintenance on a store until its first run is complete."""
    store = BacklogStore()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_maintenance, store, lambda: 0)
        await trio.sleep(QUIET_S + 1.5)
        assert len(store.steps) == 1
        store.steps.clear()
        yield store, nursery
        nursery.cancel_scope.cancel()


async def test_an_idle_journal_is_tidied_to_the_end(autojump_clock: MockClock) -> None:
    async with maintained() as (store, nursery):
        store.backlog = 95
        await trio.sleep(INTERVAL_S / 2)
        assert store.backlog == 5
        assert len(store.steps) == 10, "the rest of the backlog is not tried again and again"
        store.backlog += 1
        await trio.sleep(5)
        assert len(store.steps) == 11


async def test_an_idle_journal_without_backlog_is_left_alone(autojump_clock: MockClock) -> None:
    async with maintained() as (store, nursery):
        await trio.sleep(INTERVAL_S - 5)
        assert store.steps == []
        await trio.sleep(10)
        assert len(store.steps) == 1, "only for entries that are too old"


async def test_maintenance_waits_while_messages_arrive(autojump_clock: MockClock) -> None:
    async with maintained() as (store, nursery):
        nursery.start_soon(talk, store, 200)
        await trio.sleep(INTERVAL_S / 2)
        assert store.steps == []


async def test_a_message_stops_maintenance_after_the_step(autojump_clock: MockClock) -> None:
    async with maintained() as (store, nursery):
        store.backlog = 10_000
        await trio.sleep(5)
        before = len(store.steps)
        assert before > 3
        nursery.start_soon(talk, store, 200)
        await trio.sleep(20)
        assert len(store.steps) <= before + 1


async def test_a_large_backlog_is_tidied_on_a_busy_server(autojump_clock: MockClock) -> None:
    async with maintained() as (store, nursery):
        store.backlog = BACKLOG_MAX - 100
        nursery.start_soon(talk, store, 200)
        await trio.sleep(INTERVAL_S / 2)
        assert len(store.steps) > 20


@pytest.mark.parametrize("per_s", [0, 2_000])
async def test_the_pause_between_steps_is_longer_while_messages_arrive(
    per_s: int, autojump_clock: MockClock
) -> None:
    async with maintained() as (store, nursery):
        store.backlog = BACKLOG_MAX + 10_000
        nursery.start_soon(talk, store, per_s)
        await trio.sleep(10)
        pauses = {round(later - step - 1, 3) for step, later in pairwise(store.steps)}
        assert pauses == {STEP_PAUSE_S + BUSY_PAUSE_S if per_s else STEP_PAUSE_S}


async def test_a_busy_server_is_tidied_once_in_each_interval(autojump_clock: MockClock) -> None:
    async with maintained() as (store, nursery):
        nursery.start_soon(talk, store, 200)
        await trio.sleep(INTERVAL_S + 3)
        assert store.steps


@pytest.mark.parametrize("failure", [StoreError("no space left on device"), ZeroDivisionError("a bug")])
async def test_a_failure_is_logged_once_and_retried(
    autojump_clock: MockClock, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with maintained() as (store, nursery):
        store.failures = [failure] * 3
        store.backlog = 50
        await trio.sleep(2 * RETRY_S)
        assert 2 <= len(store.steps) <= 3, "retries with pauses"
        await trio.sleep(3 * RETRY_S)
        assert store.backlog == 0
        (told,) = [each for each in caplog.records if each.name == "trio_chat.upkeep"]
        assert told.levelno == logging.ERROR
        assert (told.exc_info is None) == isinstance(failure, StoreError), "a bug has a traceback"
        store.failures = [failure]
        store.backlog = 50
        await trio.sleep(2 * RETRY_S)
        assert len([each for each in caplog.records if each.name == "trio_chat.upkeep"]) == 2, (
            "and the next again"
        )
        caplog.clear()


async def test_a_server_works_on_without_maintenance(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = FailingStore(MemoryStore(keep=RetentionRule(3_600_000)), failing=False)
    store.tidying_fails = True
    async with serving(store=store) as harness:
        ada = await harness.enter("ada", "lobby")
        await trio.sleep(30)
        assert "cannot tidy the journal: no space left on device" in caplog.text
        caplog.clear()
        assert await ada.say("never mind") == 1
        ada.link.close()
