"""A run of a seed is the same in any process, and has no hang, no leak and no access to the real world."""

import gc
import math
import os
import random
import re
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import outcome
import pytest
import trio

from trio_chat.errors import DeadlockError, ResourceLeakError
from trio_chat.testing.scheduling import DelayPolicy
from trio_chat.testing.simulate import Simulation, name_of, simulate
from trio_chat.testing.trace import NOTES_MAX, Note

EVER = 1_000_000_000

Scenario = Callable[[Simulation], Awaitable[object]]


async def crowd(sim: Simulation) -> int:
    """Run tasks that wait, race for a lock and draw numbers."""
    lock = trio.Lock()
    total = 0

    async def member(nth: int) -> None:
        nonlocal total
        for _ in range(10):
            await trio.sleep(sim.random.random())
            async with lock:
                await trio.lowlevel.checkpoint()
                total += nth
                sim.note("member", nth, total, random.randrange(1000))

    async with trio.open_nursery() as nursery:
        for nth in range(8):
            nursery.start_soon(member, nth)
    return total


def raised_by(scenario: Scenario, seed: int = 1, **limits: float) -> BaseException:
    """Return the exception that a run raises."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # whatever it is
        simulate(seed, scenario, **limits)  # type: ignore[arg-type]
    return caught.value


def notes_of(error: BaseException) -> str:
    return "\n".join(error.__notes__)


# --- the seed ---------------------------------------------------------------------------------------


def test_a_seed_is_a_run() -> None:
    assert simulate(1, crowd) == simulate(1, crowd)
    assert len({simulate(seed, crowd).trace_hash for seed in range(20)}) == 20


IN_ANOTHER_PROCESS = """
from tests.testing.test_simulate import crowd
from trio_chat.testing.scheduling import DelayPolicy
from trio_chat.testing.simulate import simulate
print(*(simulate(seed, crowd).trace_hash for seed in range(10)))
"""


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_a_seed_is_the_same_run_in_every_process(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [simulate(seed, crowd).trace_hash for seed in range(10)]


async def waits(sim: Simulation) -> None:
    await trio.sleep(1)


async def waits_longer(sim: Simulation) -> None:
    await trio.sleep(2)


async def steps_twice(sim: Simulation) -> None:
    await trio.lowlevel.checkpoint()
    await trio.sleep(1)


async def notes(sim: Simulation) -> None:
    await trio.sleep(1)
    sim.note()


def test_the_hash_is_of_steps_times_and_notes() -> None:
    hashes = {simulate(1, each).trace_hash for each in (waits, waits_longer, steps_twice, notes)}
    assert len(hashes) == 4


async def two_tasks(sim: Simulation) -> None:
    async def one(name: str) -> None:
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, "a")
        nursery.start_soon(one, "b")


def test_the_hash_is_of_the_order_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the order differs between these runs: no task is delayed, so they have the same passes."""
    monkeypatch.setattr(DelayPolicy, "draw", lambda _: DelayPolicy())
    assert len({simulate(seed, two_tasks).trace_hash for seed in range(30)}) > 1


def test_chance_has_streams_by_name() -> None:
    async def draws(sim: Simulation) -> list[float]:
        sim.random.random()
        return [sim.fork("a").random(), sim.fork("b").random(), sim.fork("a").random(), sim.random.random()]

    a, b, again, own = simulate(1, draws).value
    assert a == again
    assert len({a, b, own}) == 3
    # In whatever process and Python, so that seeds kept as tests stay what they are.
    assert round(a, 12) == 0.467685649849


def test_the_module_random_is_seeded_for_the_run_alone() -> None:
    async def draws(sim: Simulation) -> float:
        assert not gc.isenabled()
        return random.random()

    random.seed(5)
    first = random.random()
    random.seed(5)
    assert simulate(1, draws).value == simulate(1, draws).value != simulate(2, draws).value
    assert random.random() == first
    assert gc.isenabled()


# --- what a run says ---------------------------------------------------------------------------------


def test_a_run_tells_what_it_did() -> None:
    async def scenario(sim: Simulation) -> str:
        times = [sim.now]
        sim.note("begun", 1, None, [True, (b"x", 2.5)])
        await trio.sleep(3600)
        assert [*times, sim.now] == [0, 3600]
        sim.note("done")
        return "value"

    run = simulate(7, scenario)
    assert (run.seed, run.value, run.seconds) == (7, "value", 3600)
    assert run.trace == (Note(0, ("begun", 1, None, [True, (b"x", 2.5)])), Note(3600, ("done",)))
    assert 4 <= run.steps < 12
    assert len(run.trace_hash) == 32


def test_the_last_notes_are_kept_and_all_are_hashed() -> None:
    async def scenario(sim: Simulation, first: int) -> None:
        sim.note(first)
        for nth in range(NOTES_MAX):
            sim.note(nth)

    runs = [simulate(1, partial(scenario, first=first)) for first in (1, 2)]
    assert runs[0].trace == runs[1].trace
    assert len(runs[0].trace) == NOTES_MAX
    assert runs[0].trace_hash != runs[1].trace_hash


@pytest.mark.parametrize("value", [object(), {"a"}, {"a": 1}, [object()], crowd])
def test_a_note_is_of_plain_values(value: object) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.note(value)

    with pytest.raises(TypeError, match="plain values"):
        simulate(1, scenario)


# --- errors come out as they are, with the line that replays them --------------------------------------


async def fails(sim: Simulation) -> None:
    await trio.sleep(sim.random.random())
    raise ZeroDivisionError(f"at {sim.now}")


async def fails_in_a_task(sim: Simulation) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails, sim)
        await trio.sleep(2)


def test_an_error_comes_out_as_it_is_with_its_replay() -> None:
    error = raised_by(fails, 4711)
    assert type(error) is ZeroDivisionError
    assert notes_of(error) == "replay: simulate(4711, tests.testing.test_simulate.fails)"
    assert str(raised_by(fails, 4711)) == str(error)


def test_a_group_comes_out_as_it_is() -> None:
    error = raised_by(fails_in_a_task, 3)
    assert isinstance(error, ExceptionGroup)
    assert "replay: simulate(3, " in notes_of(error)


def test_the_replay_has_the_limits_that_were_given() -> None:
    error = raised_by(fails, 1, limit_s=50, steps_max=99)
    assert notes_of(error).endswith("test_simulate.fails, limit_s=50, steps_max=99)")


def test_an_interrupt_comes_through() -> None:
    async def interrupted(sim: Simulation) -> None:
        raise KeyboardInterrupt

    assert type(raised_by(interrupted)) is KeyboardInterrupt


@pytest.mark.parametrize(
    ("thing", "name"), [(crowd, f"{__name__}.crowd"), (ZeroDivisionError, "builtins.ZeroDivisionError")]
)
def test_names_are_valid_source(thing: object, name: str) -> None:
    assert name_of(thing) == name


# --- runs that do not end ------------------------------------------------------------------------------


async def deadlocks(sim: Simulation) -> None:
    """Two tasks, two locks, each the other first."""
    fork, knife = trio.Lock(), trio.Lock()

    async def dines(first: trio.Lock, second: trio.Lock) -> None:
        async with first:
            await trio.sleep(1)
            async with second:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dines, fork, knife)
        nursery.start_soon(dines, knife, fork)


def test_a_deadlock_ends_with_the_tree_and_the_lines() -> None:
    error = raised_by(deadlocks, 12)
    assert isinstance(error, DeadlockError)
    assert error.detail == "nothing can run any more, at 1 s of virtual time"
    assert error.tree in str(error)
    first, second = error.tree.splitlines()
    assert first.startswith(f"{__name__}.deadlocks ")
    assert first.endswith("  async with trio.open_nursery() as nursery:")
    assert "dines ×2 " in second and " tests/testing/test_simulate.py:" in second
    assert second.endswith("  async with second:")
    assert notes_of(error) == f"replay: simulate(12, {__name__}.deadlocks)"


async def sleeps_long(sim: Simulation) -> None:
    await trio.sleep(20_000)


async def polls(sim: Simulation) -> None:
    for _ in range(EVER):
        await trio.sleep(1)


async def spins(sim: Simulation) -> None:
    for _ in range(EVER):
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        (sleeps_long, "not done after 10000 s"),
        (polls, "not done after 10000 s"),
        (spins, "1,0.. steps, at 0 s of virtual time"),
    ],
)
def test_a_run_that_goes_on_for_ever_is_ended(scenario: Scenario, says: str) -> None:
    steps_max = 1_000 if scenario is spins else 100_000
    with pytest.raises(DeadlockError, match=says) as caught:
        simulate(1, scenario, steps_max=steps_max)
    assert scenario.__name__ in caught.value.tree


async def hangs_behind_a_shield(sim: Simulation) -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()


async def hangs_in_a_task_behind_a_shield(sim: Simulation) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hangs_behind_a_shield, sim)
        nursery.start_soon(hangs_behind_a_shield, sim)


async def swallows_cancellation(sim: Simulation) -> None:
    for _ in range(EVER):
        with suppress(trio.Cancelled):
            await trio.sleep(1)


async def spins_behind_a_shield(sim: Simulation) -> None:
    with trio.CancelScope(shield=True):
        await spins(sim)


@pytest.mark.parametrize(
    "scenario",
    [
        hangs_behind_a_shield,
        hangs_in_a_task_behind_a_shield,
        swallows_cancellation,
        spins_behind_a_shield,
    ],
)
def test_no_shield_keeps_a_run_from_ending(scenario: Scenario) -> None:
    error = raised_by(scenario, limit_s=100, steps_max=5_000)
    assert isinstance(error, DeadlockError)
    assert error.__cause__ is None


def test_what_swallows_everything_is_dropped() -> None:
    tries = 0

    async def swallows_all(sim: Simulation) -> None:
        nonlocal tries
        while trio.lowlevel.in_trio_run():
            tries += 1
            with suppress(BaseException):
                await trio.sleep(1)
            if tries > 100_000:
                break

    error = raised_by(swallows_all, limit_s=100, steps_max=5_000)
    assert isinstance(error, DeadlockError)
    assert 5_000 < tries < 50_000
    assert simulate(1, crowd).value, "the next run is as good as any"


@pytest.mark.parametrize(("seconds", "clean_at"), [(math.inf, 5), (20_000, 20_005)])
def test_a_hung_program_may_clean_up(seconds: float, clean_at: float) -> None:
    """... behind a shield that has a deadline; and it is not asked what it has left behind."""
    clean: list[float] = []

    async def scenario(sim: Simulation) -> None:
        sim.leaves_nothing(lambda: pytest.fail("asked"))
        stay = await outcome.acapture(trio.sleep, seconds)
        with trio.move_on_after(5, shield=True):
            await trio.sleep_forever()
        clean.append(sim.now)
        stay.unwrap()

    assert isinstance(raised_by(scenario), DeadlockError)
    assert clean == [clean_at]


def test_waiting_for_all_to_be_blocked_is_no_hang() -> None:
    async def scenario(sim: Simulation) -> float:
        await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked(0.001)
        return sim.now

    assert simulate(1, scenario).value == 0


# --- what is left behind --------------------------------------------------------------------------------


def test_what_the_checks_list_is_left_behind() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.leaves_nothing(list)
        sim.leaves_nothing(lambda: (f"the name {name}" for name in ("ada", "bob")))
        sim.leaves_nothing(lambda: [f"a pipe, at {sim.now:g} s"])
        await trio.sleep(1)

    error = raised_by(scenario)
    assert isinstance(error, ResourceLeakError)
    assert error.left == ("the name ada", "the name bob", "a pipe, at 1 s")
    assert "replay: simulate(1, " in notes_of(error)


def test_a_failure_comes_before_what_it_left_behind() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.leaves_nothing(lambda: ["much"])
        await fails(sim)

    assert type(raised_by(scenario)) is ZeroDivisionError


async def number(nth: int) -> int:
    return nth


def test_an_async_generator_that_is_not_closed_is_left_behind() -> None:
    kept = []

    async def keeps(sim: Simulation) -> None:
        kept.append(await number(nth) for nth in (1, 2))
        await anext(kept[0])

    async def drops(sim: Simulation) -> None:
        await anext(await number(nth) for nth in (1, 2))

    async def closes(sim: Simulation) -> None:
        numbers = (await number(nth) for nth in (1, 2))
        await anext(numbers)
        await numbers.aclose()
        assert [nth async for nth in (await number(nth) for nth in (1, 2))] == [1, 2]

    simulate(1, closes)
    assert re.fullmatch(r"leaked: the async generator .*\.keeps\.<locals>\.<genexpr>", str(raised_by(keeps)))
    assert re.match(r"leaked: Async generator '.*' was garbage collected before", str(raised_by(drops)))


def test_an_unawaited_coroutine_is_left_behind() -> None:
    async def forgets(sim: Simulation) -> None:
        trio.sleep(1)  # type: ignore[unused-coroutine]  # noqa: ASYNC105

    assert str(raised_by(forgets)) == "leaked: coroutine 'sleep' was never awaited"


def test_other_warnings_are_what_they_were() -> None:
    async def warns(sim: Simulation) -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    with pytest.raises(DeprecationWarning), warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate(1, warns)
    with pytest.warns(DeprecationWarning, match="old"):
        simulate(1, warns)


def test_a_simulation_inside_another_is_refused() -> None:
    async def nests(sim: Simulation) -> None:
        simulate(2, waits)

    assert str(raised_by(nests)) == "a simulation inside another"
    assert simulate(1, waits).seconds == 1
