"""A victim is cancelled, or fails, at its first checkpoint, its second, its third …"""

import re
from collections.abc import Callable
from contextlib import suppress

import outcome
import pytest
import trio

from trio_chat.errors import DeadlockError, ResourceLeakError
from trio_chat.testing.simulate import Simulation
from trio_chat.testing.sweep import InjectedError, sweep


class House:
    """Guests sign in and out of a book; closing the door takes a while."""

    def __init__(self) -> None:
        self.inside: list[str] = []

    async def visit_carefully(self, name: str) -> None:
        self.inside.append(name)
        stay = await outcome.acapture(trio.sleep, 1)
        self.inside.remove(name)  # the book first, and then what waits
        await self.close_the_door()
        stay.unwrap()

    async def visit_carelessly(self, name: str) -> None:
        self.inside.append(name)
        stay = await outcome.acapture(trio.sleep, 1)
        await self.close_the_door()
        self.inside.remove(name)
        stay.unwrap()

    async def close_the_door(self) -> None:
        await trio.lowlevel.checkpoint()


async def careful(sim: Simulation) -> None:
    house = House()
    with sim.victim():
        await house.visit_carefully("ada")
    assert not house.inside


async def careless(sim: Simulation) -> None:
    house = House()
    with sim.victim():
        await house.visit_carelessly("ada")
    assert not house.inside, "a guest in the book has left"


def notes_of(error: BaseException) -> str:
    return "\n".join(error.__notes__)


def test_a_careful_program_gets_through() -> None:
    swept = sweep(careful)
    assert swept.checkpoints == 2
    assert [line.partition("  ")[2] for line in swept.lines] == [
        "stay = await outcome.acapture(trio.sleep, 1)",
        "await trio.lowlevel.checkpoint()",
    ]
    assert all(line.startswith("tests/testing/test_sweep.py:") for line in swept.lines)


def test_waiting_before_the_bookkeeping_is_found() -> None:
    """What cancels the visit cancels its cleaning up as well."""
    with pytest.raises(AssertionError, match="a guest in the book") as caught:
        sweep(careless, seed=7)
    replay, where = caught.value.__notes__
    assert replay == f"replay: sweep({__name__}.careless, seed=7, only=1)"
    assert re.fullmatch(
        r"the victim was cancelled at its checkpoint 1 of 2, where it awaits "
        r"tests/testing/test_sweep\.py:\d+  stay = await outcome\.acapture\(trio\.sleep, 1\)",
        where,
    )


def test_a_replay_is_of_that_checkpoint_alone() -> None:
    assert len(sweep(careful, only=2).lines) == 1
    with pytest.raises(AssertionError):
        sweep(careless, only=1)
    with pytest.raises(AssertionError):
        sweep(careless, only=2)


# --- errors instead ------------------------------------------------------------------------------------


async def handles_cancellation_only(sim: Simulation) -> None:
    done = False
    with sim.victim():
        try:
            await trio.sleep(1)
        except trio.Cancelled:
            done = True
            raise
        done = True
    assert done


def test_an_error_is_raised_where_the_victim_waits() -> None:
    sweep(handles_cancellation_only)
    with pytest.raises(AssertionError) as caught:
        sweep(handles_cancellation_only, error=InjectedError)
    text = notes_of(caught.value)
    error = "trio_chat.testing.InjectedError"
    assert f"made to raise {error} at its checkpoint 1 of 1" in text
    assert f"handles_cancellation_only, seed=0, error={error}, only=1)" in text


def test_the_error_is_the_one_asked_for() -> None:
    raised: list[BaseException] = []

    async def scenario(sim: Simulation) -> None:
        with sim.victim():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 3)
                try:
                    await trio.sleep(1)
                    await trio.lowlevel.cancel_shielded_checkpoint()
                except OSError as error:
                    raised.append(error)
                    raise

    # At the sleep, at the checkpoint, and where the nursery waits for its task: it is not visible there.
    assert sweep(scenario, error=ConnectionResetError).checkpoints == 3
    assert [type(error) for error in raised] == [ConnectionResetError] * 2


def test_an_error_that_the_program_makes_of_it_comes_out() -> None:
    async def translates(sim: Simulation) -> None:
        with sim.victim():
            try:
                await trio.sleep(1)
            except InjectedError as error:
                raise ConnectionError from error

    with pytest.raises(ConnectionError):
        sweep(translates, error=InjectedError)

    async def expects_it(sim: Simulation) -> None:
        with suppress(ConnectionError):
            await translates(sim)

    sweep(expects_it, error=InjectedError)


def test_a_victim_may_survive_an_error() -> None:
    async def tries_again(sim: Simulation) -> None:
        with sim.victim():
            for _ in range(3):
                with suppress(InjectedError):
                    await trio.sleep(1)

    assert sweep(tries_again, error=InjectedError).checkpoints == 3


# --- what counts ---------------------------------------------------------------------------------------


async def with_a_child(sim: Simulation) -> None:
    async with trio.open_nursery() as outer:
        with sim.victim():
            outer.start_soon(trio.sleep, 1)  # not inside, wherever it was started
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 1)
                await trio.sleep(2)


def test_checkpoints_of_child_tasks_count_on_demand() -> None:
    assert sweep(with_a_child).checkpoints == 2
    assert sweep(with_a_child, children=True).checkpoints == 3


def test_grandchildren_and_started_tasks_count_too() -> None:
    async def live(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
            await trio.sleep(2)

    async def scenario(sim: Simulation) -> None:
        with sim.victim():
            async with trio.open_nursery() as nursery:
                await nursery.start(live)
                await trio.lowlevel.checkpoint()

    # nursery.start and the nursery's end; the task's sleep and its nursery's end; the grandchild's sleep
    assert sweep(scenario, children=True).checkpoints == 6


def test_a_task_started_into_an_outer_nursery_is_inside_until_then() -> None:
    async def live(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await trio.sleep(1)
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
            await trio.sleep(1)

    async def scenario(sim: Simulation) -> None:
        async with trio.open_nursery() as outer:
            with sim.victim():
                await outer.start(live)

    lines = sweep(scenario, children=True).lines
    assert [line.partition("  ")[2] for line in lines] == ["await outer.start(live)", "await trio.sleep(1)"]


def test_others_go_on_while_the_victim_is_struck() -> None:
    async def scenario(sim: Simulation) -> None:
        done = []

        async def other() -> None:
            await trio.sleep(10)
            done.append(sim.now)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            with sim.victim() as scope:
                await trio.sleep(1)
            assert scope.cancelled_caught == (sim.now == 0)
        assert done == [10]

    assert sweep(scenario).checkpoints == 1


def test_several_tasks_may_be_victims() -> None:
    async def scenario(sim: Simulation) -> None:
        ended: list[int] = []

        async def guest(nth: int) -> None:
            with sim.victim():
                await trio.sleep(nth)
                ended.append(nth)

        async with trio.open_nursery() as nursery:
            for nth in range(1, 4):
                nursery.start_soon(guest, nth)
        assert len(ended) >= 2

    assert sweep(scenario).checkpoints == 3


def test_what_is_left_behind_is_found_at_each_checkpoint() -> None:
    async def scenario(sim: Simulation) -> None:
        house = House()
        sim.leaves_nothing(lambda: house.inside)
        with sim.victim():
            await house.visit_carelessly("ada")

    with pytest.raises(ResourceLeakError, match="leaked: ada"):
        sweep(scenario)


# --- victims that are none -------------------------------------------------------------------------------


async def swallows(sim: Simulation) -> None:
    with sim.victim():
        for _ in range(10_000):
            with suppress(trio.Cancelled):
                await trio.sleep(0.001)


async def swallows_once_and_waits(sim: Simulation) -> None:
    door = trio.Event()
    with sim.victim():
        try:
            await trio.sleep(1)
            door.set()
        finally:
            with trio.CancelScope(shield=True):
                await door.wait()


@pytest.mark.parametrize(
    ("scenario", "says"),
    [(swallows, "the victim swallows Cancelled"), (swallows_once_and_waits, "nothing can run any more")],
)
def test_a_victim_that_does_not_end_is_told(scenario: Callable[[Simulation], object], says: str) -> None:
    with pytest.raises(DeadlockError) as caught:
        sweep(scenario, limit_s=100)  # type: ignore[arg-type]  # one of the above
    assert says in caught.value.detail
    assert scenario.__name__ in caught.value.tree
    assert "cancelled at its checkpoint 1 of" in notes_of(caught.value)


def test_a_scenario_that_fails_unharmed_is_not_blamed_on_a_checkpoint() -> None:
    async def fails(sim: Simulation) -> None:
        with sim.victim():
            await trio.sleep(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        sweep(fails)
    assert "its checkpoint" not in notes_of(caught.value)
    assert "only=" not in notes_of(caught.value)


def test_a_scenario_needs_a_victim_and_an_end() -> None:
    async def has_none(sim: Simulation) -> None:
        await trio.sleep(1)

    with pytest.raises(ValueError, match=r"has_none does not say `with sim\.victim\(\)`"):
        sweep(has_none)
    with pytest.raises(ValueError, match="2 checkpoints, more than 1"):
        sweep(careful, checkpoints_max=1)


def test_a_task_is_a_victim_once_at_a_time() -> None:
    async def nests(sim: Simulation) -> None:
        with sim.victim(), sim.victim():
            await trio.sleep(1)

    with pytest.raises(RuntimeError, match="inside its victim scope already"):
        sweep(nests)
