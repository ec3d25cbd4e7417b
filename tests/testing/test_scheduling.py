"""A seed orders and delays the tasks, and Trio still has the internal names that this needs."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import groupby
from random import Random

import pytest
import trio
from trio._core import _run, _thread_cache
from trio.testing import MockClock

from trio_chat.testing.scheduling import DelayPolicy, Scheduler, seeded, spawned, throw
from trio_chat.testing.simulate import Simulation, simulate

NO_DELAY = DelayPolicy()


def scheduled(seed: int, holding: DelayPolicy = NO_DELAY) -> AbstractContextManager[None]:
    return seeded(Scheduler(Random(seed), holding, lambda _: None))


def order(seed: int, holding: DelayPolicy = NO_DELAY, *, tasks: int = 6, steps: int = 4) -> list[int]:
    """Return the tasks that ran, step by step, when all of them are always runnable."""
    ran: list[int] = []

    async def walk(nth: int) -> None:
        for _ in range(steps):
            ran.append(nth)
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for nth in range(tasks):
                nursery.start_soon(walk, nth)

    with scheduled(seed, holding):
        trio.run(main)
    assert len(ran) == tasks * steps
    return ran


def lead(ran: list[int]) -> int:
    """Return the largest lead, in steps, of the first task over the last."""
    steps: Counter[int] = Counter(dict.fromkeys(ran, 0))
    most = 0
    for task in ran:
        steps[task] += 1
        most = max(most, max(steps.values()) - min(steps.values()))
    return most


def test_a_seed_is_an_order() -> None:
    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(20)}) == 20


def test_every_order_of_three_tasks_comes_up() -> None:
    assert len({tuple(order(seed, tasks=3, steps=1)) for seed in range(100)}) == 6


@pytest.mark.parametrize("seed", range(10))
def test_in_order_alone_tasks_keep_step(seed: int) -> None:
    assert lead(order(seed, steps=20)) == 1


@pytest.mark.parametrize(
    ("holding", "least"),
    [(DelayPolicy(every=5, passes_max=10), 4), (DelayPolicy(slow_of=3, slow_nth=1, passes_max=10), 10)],
    ids=["steps", "tasks"],
)
def test_tasks_that_are_held_back_fall_behind(holding: DelayPolicy, least: int) -> None:
    assert lead(order(7, holding, steps=20)) >= least
    assert order(7, holding) == order(7, holding)


def test_a_task_is_held_back_for_so_many_passes_at_most() -> None:
    """Delay one of two tasks: the other makes at most three steps meanwhile."""
    ran = order(3, DelayPolicy(slow_of=2, slow_nth=0, passes_max=3), tasks=2, steps=200)
    runs = [len(list(run)) for _, run in groupby(ran)]
    assert max(runs[:-1]) == 3 + 2  # and one in each of the two passes in which it runs itself
    assert lead(ran) > 50


def test_all_tasks_slow_is_as_good_as_none() -> None:
    assert lead(order(1, DelayPolicy(slow_of=1, slow_nth=0, passes_max=40))) <= 4


def test_the_clock_does_not_jump_while_a_task_is_held_back() -> None:
    """A delayed task does not sleep: its virtual time stays the same."""
    late: list[float] = []

    async def walk() -> None:
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        late.append(trio.current_time())

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(walk)
                nursery.start_soon(trio.sleep, 1)

    with scheduled(1, DelayPolicy(every=2, passes_max=40)):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert late == [0.0] * 5


def test_the_seeds_draw_many_delay_policies() -> None:
    drawn = [DelayPolicy.draw(Random(seed)) for seed in range(300)]
    undelayed = sum(each.every == 0 and each.slow_of == 0 for each in drawn)
    assert 10 < undelayed < 60
    assert any(each.every and each.slow_of for each in drawn)
    assert {each.passes_max for each in drawn} == {1, 3, 10, 40}


def test_afterwards_trio_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def mine() -> tuple[object, object, object]:
        start = _thread_cache.ThreadCache.start_thread_soon
        return _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING, start

    monkeypatch.setattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", False)  # as another test may have left it
    before = mine()
    with pytest.raises(ZeroDivisionError), scheduled(1):
        assert all(now is not then for now, then in zip(mine(), before, strict=True))
        raise ZeroDivisionError
    assert all(now is then for now, then in zip(mine(), before, strict=True))


def test_one_inside_another_is_refused() -> None:
    with scheduled(1), pytest.raises(RuntimeError, match="a simulation inside another"):
        scheduled(2).__enter__()
    with scheduled(3):
        pass


@pytest.mark.parametrize("name", ["_r", "_ALLOW_DETERMINISTIC_SCHEDULING"])
def test_a_trio_without_the_names_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(_run, name)
    with pytest.raises(RuntimeError, match=f"trio {trio.__version__} has no .*{name}"):
        scheduled(1).__enter__()


def test_tasks_are_numbered_in_the_order_of_their_birth() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for nth in range(5):
                nursery.start_soon(trio.sleep, 1, name=f"{nth}")
            tasks = sorted(nursery.child_tasks, key=spawned)
            assert [task.name for task in tasks] == ["0", "1", "2", "3", "4"]
            nursery.cancel_scope.cancel()

    trio.run(main)


async def waiting() -> None:
    await trio.sleep_forever()


async def waiting_behind_a_shield() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


async def letting_others_run() -> None:
    while True:
        await trio.lowlevel.cancel_shielded_checkpoint()


async def with_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(trio.sleep_forever)


@pytest.mark.parametrize(
    "story",
    [waiting, waiting_behind_a_shield, letting_others_run, with_a_nursery],
    ids=lambda it: it.__name__,
)
@pytest.mark.parametrize("steps", [0, 3])
def test_an_error_can_be_raised_where_a_task_waits(story: Callable[[], object], steps: int) -> None:
    """... before it has begun, too."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(story)  # type: ignore[arg-type]  # any of the above
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            (task,) = nursery.child_tasks
            assert throw(task, ZeroDivisionError())

    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        trio.run(main, clock=MockClock(autojump_threshold=0))


def test_no_error_can_be_raised_in_the_task_that_runs() -> None:
    async def main() -> None:
        assert not throw(trio.lowlevel.current_task(), ZeroDivisionError())

    trio.run(main)


async def sells_the_last_two(sim: Simulation) -> None:
    """Read the stock, wait once, and write; a second sale starts four steps later."""
    stock = 2

    async def sale(begin: int) -> None:
        nonlocal stock
        for _ in range(begin):
            await trio.lowlevel.checkpoint()
        seen = stock
        await trio.lowlevel.checkpoint()
        stock = seen - 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sale, 1)
        nursery.start_soon(sale, 5)
    assert stock == 0, "the last item was sold twice"


def found(seeds: int) -> int:
    failed = 0
    for seed in range(seeds):
        try:
            simulate(seed, sells_the_last_two)
        except AssertionError:
            failed += 1
    return failed


def test_a_lost_update_is_found_by_some_seeds() -> None:
    assert 10 <= found(300) <= 150


def test_a_lost_update_is_not_found_by_order_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DelayPolicy, "draw", lambda _: NO_DELAY)
    assert found(300) == 0
