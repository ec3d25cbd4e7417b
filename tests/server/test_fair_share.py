"""The fair scheduler: slices of expensive work between two passes, and a long-run share of the time."""

from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.abc import Instrument
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_chat.server.fair_share import (
    BUDGET_BURST_S,
    BUDGET_DEBT_S,
    BUDGET_PER_S,
    SLICE_S,
    FairScheduler,
    WorkBudget,
)
from trio_chat.server.loop_lag import TICK_S, LoopLag


class Passes(Instrument):
    """Counts the passes of Trio's loop: a task that counts them runs anywhere within one."""

    count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


@pytest.fixture
async def passes() -> AsyncIterator[Passes]:
    counted = Passes()
    trio.lowlevel.add_instrument(counted)
    yield counted
    trio.lowlevel.remove_instrument(counted)


async def test_a_turn_is_free_on_an_idle_server() -> None:
    scheduler = FairScheduler(trio.current_time)
    with trio.testing.assert_no_checkpoints():
        await scheduler.wait()


async def test_turns_are_granted_in_order_and_in_different_passes(
    passes: Passes, autojump_clock: MockClock
) -> None:
    scheduler = FairScheduler(trio.current_time)
    order: list[int] = []
    worked_in: list[int] = []

    async def work(number: int) -> None:
        await scheduler.wait()
        order.append(number)
        worked_in.append(passes.count)
        scheduler.charge(SLICE_S)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        scheduler.charge(SLICE_S)
        for number in range(20):
            nursery.start_soon(work, number)
            await trio.lowlevel.checkpoint()
        for _ in range(10_000):
            if len(order) == 20:
                break
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert order == sorted(order)
    most = max(map(worked_in.count, worked_in))
    assert most <= 2, f"a slice before the turns of a pass are granted, and one after: {worked_in}"


async def test_an_expensive_turn_defers_the_other_turns_of_its_pass(
    passes: Passes, autojump_clock: MockClock
) -> None:
    """After many cheap turns the scheduler grants many at once. Then each of them is expensive."""
    scheduler = FairScheduler(trio.current_time)
    worked: list[int] = []

    async def work(cost_s: float) -> None:
        await scheduler.wait()
        if cost_s == SLICE_S:
            worked.append(passes.count)
        scheduler.charge(cost_s)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        for _ in range(100):
            await work(SLICE_S / 100)
            await trio.lowlevel.checkpoint()
        scheduler.charge(SLICE_S)
        for _ in range(40):
            nursery.start_soon(work, SLICE_S)
        for _ in range(10_000):
            if len(worked) == 40:
                break
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    most = max(map(worked.count, worked))
    assert most <= 2, f"a slice before the turns of a pass are granted, and one after: {worked}"


async def test_cheap_turns_share_a_pass(autojump_clock: MockClock) -> None:
    scheduler = FairScheduler(trio.current_time)
    done = [0]

    async def work() -> None:
        for _ in range(100):
            await scheduler.wait()
            scheduler.charge(SLICE_S / 10)
            done[0] += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        for _ in range(50):
            nursery.start_soon(work)
        passes = 0
        while done[0] < 5_000:
            await trio.lowlevel.checkpoint()
            passes += 1
        nursery.cancel_scope.cancel()
    assert passes < 2_000, "about ten in each pass"


async def test_in_the_long_run_turns_get_their_share_of_the_time(autojump_clock: MockClock) -> None:
    scheduler = FairScheduler(trio.current_time, share=0.25, burst_s=0.5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        began = trio.current_time()
        for _ in range(2_500):
            await scheduler.wait()
            scheduler.charge(SLICE_S)
            await trio.lowlevel.checkpoint()
        took = trio.current_time() - began
        assert 7.5 < took < 8.5, "half a second at once, and the other 2 seconds in four times as long"
        await trio.sleep(100)
        began = trio.current_time()
        for _ in range(450):
            await scheduler.wait()
            scheduler.charge(SLICE_S)
            await trio.lowlevel.checkpoint()
        assert trio.current_time() - began < 0.01, "after a quiet time there is a full burst again"
        nursery.cancel_scope.cancel()


async def test_a_stall_in_a_turn_does_not_delay_waiting_tasks(autojump_clock: MockClock) -> None:
    """Work is measured in wall time, but a turn is not charged for a stall of the machine."""
    scheduler = FairScheduler(trio.current_time, burst_s=0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        for _ in range(100):
            scheduler.charge(10.0)
        began = trio.current_time()
        await scheduler.wait(newcomer=True)
        assert trio.current_time() - began < 0.5
        nursery.cancel_scope.cancel()


async def test_newcomers_do_not_wait_behind_a_crowd_of_others(autojump_clock: MockClock) -> None:
    scheduler = FairScheduler(trio.current_time, burst_s=0.0)
    done: list[str] = []
    newcomers_are_done = trio.Event()

    async def work(who: str, *, newcomer: bool) -> None:
        await scheduler.do(lambda: done.append(who), newcomer=newcomer)
        scheduler.charge(SLICE_S)
        if done.count("newcomer") == 3:
            newcomers_are_done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        scheduler.charge(SLICE_S)
        for _ in range(500):
            nursery.start_soon(partial(work, "other", newcomer=False))
        await wait_all_tasks_blocked()
        for _ in range(3):
            nursery.start_soon(partial(work, "newcomer", newcomer=True))
        await newcomers_are_done.wait()
        assert done.count("other") < 30, "every second turn is granted to a newcomer"
        nursery.cancel_scope.cancel()


async def test_a_cancelled_wait_does_not_delay_other_tasks(autojump_clock: MockClock) -> None:
    scheduler = FairScheduler(trio.current_time)
    done: list[int] = []

    async def work(number: int) -> None:
        await scheduler.wait()
        done.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        scheduler.charge(SLICE_S)
        async with trio.open_nursery() as some:
            for number in range(10):
                some.start_soon(work, number)
            some.cancel_scope.cancel()
        for number in range(10, 20):
            nursery.start_soon(work, number)
        await wait_all_tasks_blocked()
        assert sorted(set(done) - set(range(10))) == list(range(10, 20))
        nursery.cancel_scope.cancel()


@given(st.lists(st.tuples(st.floats(0, 0.01), st.floats(0, 2)), max_size=60))
def test_a_session_is_within_its_budget_as_long_as_a_ledger_says(steps: list[tuple[float, float]]) -> None:
    budget = WorkBudget(0.0)
    now, owed_s = 0.0, BUDGET_BURST_S
    for worked_s, pause_s in steps:
        owed_s = min(max(0.0, owed_s) + worked_s, BUDGET_BURST_S + BUDGET_DEBT_S * BUDGET_PER_S)
        budget.charge(worked_s, now)
        if abs(owed_s - BUDGET_BURST_S) > 1e-9:
            assert budget.is_spent(now) == (owed_s > BUDGET_BURST_S)
        now += pause_s
        owed_s -= pause_s * BUDGET_PER_S


def test_a_new_session_has_nothing_saved() -> None:
    budget = WorkBudget(100.0)
    budget.charge(0.0001, 100.0)
    assert budget.is_spent(100.0)
    assert not budget.is_spent(100.1)


def test_a_flood_is_forgiven_after_a_while() -> None:
    budget = WorkBudget(0.0)
    for second in range(1_000):
        budget.charge(1.0, float(second))
    assert budget.is_spent(1_000.0)
    assert not budget.is_spent(1_000.0 + BUDGET_DEBT_S)


class TestLateness:
    async def _after(self, *stalls: float) -> float:
        """How late the loop was, when it stands still for so long, each time two seconds after the last."""
        lateness = LoopLag()
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        totals = [0.0]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lateness.run)
            for stall in stalls:
                await trio.sleep(2.01)  # just after a tick
                await wait_all_tasks_blocked()
                clock.jump(stall)
                totals.append(lateness.total(trio.current_time()))  # before the task has run
                await wait_all_tasks_blocked()
                totals.append(lateness.total(trio.current_time()))
            nursery.cancel_scope.cancel()
        assert all(before <= after for before, after in pairwise(totals)), "the total never decreases"
        return totals[-1]

    async def test_a_loop_that_is_on_time_is_not_late(self, autojump_clock: MockClock) -> None:
        assert await self._after(0.09, 0.09, 0.09) == 0.0

    async def test_what_it_is_late_by_adds_up(self, autojump_clock: MockClock) -> None:
        assert 2.6 - 2 * TICK_S <= await self._after(1.3, 1.3) <= 2.6
