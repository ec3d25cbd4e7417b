"""When a server tidies its journal: while nothing is said, and before it is too late."""

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


class Heap(MemoryStore):
    """A store with so much to tidy, ten entries a step, which takes a second; it notes when it was asked."""

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


async def talk(heap: Heap, per_s: int) -> None:
    while True:
        await trio.sleep(STEP_PAUSE_S)
        heap.backlog += round(per_s * STEP_PAUSE_S)


@asynccontextmanager
async def kept_tidy() -> AsyncGenerator[tuple[Heap, trio.Nursery]]:
    """What a server has begun to keep tidy, and has looked through once."""
    heap = Heap()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_maintenance, heap, lambda: 0)
        await trio.sleep(QUIET_S + 1.5)
        assert len(heap.steps) == 1
        heap.steps.clear()
        yield heap, nursery
        nursery.cancel_scope.cancel()


async def test_while_nothing_is_said_it_goes_on_to_the_end(autojump_clock: MockClock) -> None:
    async with kept_tidy() as (heap, nursery):
        heap.backlog = 95
        await trio.sleep(INTERVAL_S / 2)
        assert heap.backlog == 5
        assert len(heap.steps) == 10, "what cannot be done now is not tried again and again"
        heap.backlog += 1
        await trio.sleep(5)
        assert len(heap.steps) == 11


async def test_while_it_is_quiet_nothing_is_asked(autojump_clock: MockClock) -> None:
    async with kept_tidy() as (heap, nursery):
        await trio.sleep(INTERVAL_S - 5)
        assert heap.steps == []
        await trio.sleep(10)
        assert len(heap.steps) == 1, "but for what is too old"


async def test_while_people_talk_it_waits(autojump_clock: MockClock) -> None:
    async with kept_tidy() as (heap, nursery):
        nursery.start_soon(talk, heap, 200)
        await trio.sleep(INTERVAL_S / 2)
        assert heap.steps == []


async def test_who_begins_to_talk_has_it_stop_after_the_step(autojump_clock: MockClock) -> None:
    async with kept_tidy() as (heap, nursery):
        heap.backlog = 10_000
        await trio.sleep(5)
        before = len(heap.steps)
        assert before > 3
        nursery.start_soon(talk, heap, 200)
        await trio.sleep(20)
        assert len(heap.steps) <= before + 1


async def test_much_is_not_left_to_lie_however_they_talk(autojump_clock: MockClock) -> None:
    async with kept_tidy() as (heap, nursery):
        heap.backlog = BACKLOG_MAX - 100
        nursery.start_soon(talk, heap, 200)
        await trio.sleep(INTERVAL_S / 2)
        assert len(heap.steps) > 20


@pytest.mark.parametrize("per_s", [0, 2_000])
async def test_between_two_steps_who_speaks_has_longer(per_s: int, autojump_clock: MockClock) -> None:
    async with kept_tidy() as (heap, nursery):
        heap.backlog = BACKLOG_MAX + 10_000
        nursery.start_soon(talk, heap, per_s)
        await trio.sleep(10)
        pauses = {round(later - step - 1, 3) for step, later in pairwise(heap.steps)}
        assert pauses == {STEP_PAUSE_S + BUSY_PAUSE_S if per_s else STEP_PAUSE_S}


async def test_once_in_a_while_it_is_done_however_they_talk(autojump_clock: MockClock) -> None:
    async with kept_tidy() as (heap, nursery):
        nursery.start_soon(talk, heap, 200)
        await trio.sleep(INTERVAL_S + 3)
        assert heap.steps


@pytest.mark.parametrize("failure", [StoreError("no space left on device"), ZeroDivisionError("a bug")])
async def test_a_failure_is_told_once_and_it_is_tried_again(
    autojump_clock: MockClock, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept_tidy() as (heap, nursery):
        heap.failures = [failure] * 3
        heap.backlog = 50
        await trio.sleep(2 * RETRY_S)
        assert 2 <= len(heap.steps) <= 3, "with pauses"
        await trio.sleep(3 * RETRY_S)
        assert heap.backlog == 0
        (told,) = [each for each in caplog.records if each.name == "trio_chat.upkeep"]
        assert told.levelno == logging.ERROR
        assert (told.exc_info is None) == isinstance(failure, StoreError), "a bug has its trace"
        heap.failures = [failure]
        heap.backlog = 50
        await trio.sleep(2 * RETRY_S)
        assert len([each for each in caplog.records if each.name == "trio_chat.upkeep"]) == 2, (
            "and the next again"
        )
        caplog.clear()


async def test_a_server_goes_on_without(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    store = FailingStore(MemoryStore(keep=RetentionRule(3_600_000)), failing=False)
    store.tidying_fails = True
    async with serving(store=store) as harness:
        ada = await harness.enter("ada", "lobby")
        await trio.sleep(30)
        assert "cannot tidy the journal: no space left on device" in caplog.text
        caplog.clear()
        assert await ada.say("never mind") == 1
        ada.link.close()
