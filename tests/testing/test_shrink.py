"""A failing plan is reduced and still fails."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.patience import PATIENCE_S
from tests.testing.plans import a_chat
from tests.testing.planted import forget_rests
from trio_chat.errors import PromiseBroken, ResourceLeakError
from trio_chat.testing import Fault, Latency, Partition, simulate
from trio_chat.testing.chat import Enter, FaultyDisk, Go, Knock, Plan, Step, Talk, play
from trio_chat.testing.chat.reduce import Failure, failure_of, perform, reduce_plan
from trio_chat.testing.chat.serialize import as_lines, as_test
from trio_chat.testing.shrink import shrink, smaller

# --- any sequence -----------------------------------------------------------------------------------


def test_what_fails_together_is_found() -> None:
    calls = []

    def fails(items: tuple[int, ...]) -> bool:
        calls.append(items)
        return {17, 423, 998} <= set(items)

    assert shrink(range(1_000), fails) == (17, 423, 998)
    assert len(calls) < 150


@pytest.mark.parametrize("needed", [set(), {0}, {9}, {0, 9}, set(range(10))])
def test_nothing_needed_is_lost_and_nothing_else_is_left(needed: set[int]) -> None:
    assert shrink(range(10), lambda items: needed <= set(items)) == tuple(sorted(needed))


def test_single_items_are_tried_again_after_a_removal() -> None:
    """Each item can be removed only after the item before it."""

    def fails(items: tuple[int, ...]) -> bool:
        return items == tuple(range(items[0], 8)) if items else False

    assert shrink(range(8), fails) == (7,)


def test_a_predicate_that_is_never_true_keeps_the_items() -> None:
    assert shrink(range(100), lambda _: False) == tuple(range(100))


def test_smaller_numbers() -> None:
    assert list(smaller(3_000, 20)) == [20, 300, 1_500, 2_250]
    assert list(smaller(1, 1)) == []
    assert list(smaller(True)) == [0]
    assert list(smaller(2.718)) == [0, 1.0, 1.4, 1.36, 2.7]
    assert list(smaller(2.718, 2.7)) == [2.7]
    assert list(smaller(0.0)) == []


# --- plans ------------------------------------------------------------------------------------------


def a_plan() -> Plan:
    steps: list[Step] = [
        Enter(0.1, user, room, 3) for user in ("ada", "bob", "cy") for room in ("den", "loft")
    ]
    steps += [Talk(1.234 + nth, "ada", "den", 5, 300) for nth in range(50)]
    steps += [Go(7.777, "bob", "rst", 3.0, hasty=True)]
    steps += [Talk(60.5, "cy", "loft", 20, 3_000)]
    return Plan(
        seed=7,
        users=("ada", "bob", "cy"),
        rooms=("den", "loft"),
        steps=tuple(steps),
        faults=(
            Fault(Latency(0.321, 0.1), "ada", "server", 2.5, 3.25, both=True),
            Fault(Partition(), "bob", "server", 12.5, 1.5),
        ),
        disk=FaultyDisk(0.1, 0.5, 0.4),
        limits={"sessions": 2, "queue_entries": 1},
        buffer_bytes=700,
        crash_s=9.875,
        ending="drain",
    )


def failing(needs: Callable[[Plan], bool], error: Exception) -> Callable[[Plan], None]:
    """A run that takes no time."""

    def run(plan: Plan) -> None:
        if needs(plan):
            raise error

    return run


def test_all_that_does_not_matter_goes() -> None:
    reduced = reduce_plan(a_plan(), failing(lambda _: True, ResourceLeakError(("a task",))))
    assert reduced.plan == Plan(seed=7, users=(), rooms=(), steps=())
    assert reduced.failure == Failure("ResourceLeakError", "leaked: a task")
    assert reduced.is_done
    assert reduced.runs < 50


def test_what_matters_stays_and_becomes_simple() -> None:
    def needs(plan: Plan) -> bool:
        return (
            any(isinstance(step, Go) and step.hasty for step in plan.steps)
            and any(isinstance(step, Talk) and step.times >= 3 and step.user == "ada" for step in plan.steps)
            and any(isinstance(fault.rule, Latency) and fault.lasts_s >= 2 for fault in plan.faults)
            and plan.limits.get("sessions") == 2
            and plan.disk.read_s > 0.2
            and plan.crash_s is not None
        )

    plan = reduce_plan(a_plan(), failing(needs, ResourceLeakError(()))).plan
    assert plan.users == ("ada", "bob")
    assert plan.rooms == ("den",)
    talk, go = plan.steps
    assert talk == Talk(0.0, "ada", "den", 3, 20)
    assert go == Go(0.0, "bob", "rst", 1.0, hasty=True)
    (fault,) = plan.faults
    assert fault == Fault(Latency(0.0), "ada", "server", 0.0, 2.0)
    assert plan.limits == {"sessions": 2}
    assert plan.disk == FaultyDisk(read_s=0.5)
    assert plan.crash_s == 0.0
    assert (plan.seed, plan.buffer_bytes, plan.ending) == (7, 65_536, "quit")


def test_it_goes_on_failing_in_the_same_way() -> None:
    """The first breach is of one kind; a plan of three steps would break another promise."""

    def run(plan: Plan) -> None:
        if len(plan.steps) >= 10:
            raise PromiseBroken(("ada missed den 7", "x"), kind="lost")
        if len(plan.steps) >= 3:
            raise PromiseBroken(("ada was shown den 7 twice",), kind="doubled")
        raise ResourceLeakError(("a task",))

    reduced = reduce_plan(a_plan(), run)
    assert len(reduced.plan.steps) == 10
    assert reduced.failure == Failure("PromiseBroken: lost", "ada missed den 7; x")


def test_the_runs_are_bounded_and_the_best_is_kept() -> None:
    runs = []

    def run(plan: Plan) -> None:
        runs.append(plan)
        if len([step for step in plan.steps if isinstance(step, Talk)]) >= 20:
            raise ResourceLeakError(())

    told: list[tuple[int, int]] = []
    reduced = reduce_plan(a_plan(), run, runs_max=20, tell=lambda plan, n: told.append((len(plan.steps), n)))
    assert (len(runs), reduced.runs, reduced.is_done) == (20, 20, False)
    assert told[-1][0] == len(reduced.plan.steps) < len(a_plan().steps)
    assert failure_of(reduced.plan, run) == reduced.failure
    assert len({plan.as_json() for plan in runs}) == 19 + 1, "a plan was run twice"


def test_a_way_round_is_taken_when_it_leads_deeper() -> None:
    """With wide pipes each of many steps is needed; with narrow ones, one."""

    def needs(plan: Plan) -> bool:
        return len(plan.steps) >= (1 if plan.buffer_bytes <= 700 else 30)

    wide = replace(a_plan(), buffer_bytes=65_536)
    plan = reduce_plan(wide, failing(needs, ResourceLeakError(()))).plan
    assert (len(plan.steps), plan.buffer_bytes) == (1, 700)


def test_a_way_round_that_leads_nowhere_is_left() -> None:
    """The texts must be of one length, and one alone cannot be made shorter."""

    def needs(plan: Plan) -> bool:
        talks = [step for step in plan.steps if isinstance(step, Talk)]
        return len(talks) >= 2 and len({talk.size for talk in talks}) == 1

    steps = tuple(Talk(0.0, "ada", "den", 1, 25) for _ in range(2))
    plan = Plan(seed=1, users=("ada",), rooms=("den",), steps=steps)
    assert reduce_plan(plan, failing(needs, ResourceLeakError(()))).plan.steps == steps


def test_a_plan_names_no_removed_users_or_rooms() -> None:
    tried: list[Plan] = []

    def run(plan: Plan) -> None:
        tried.append(plan)
        if len(plan.faults) + len(plan.users) >= 2:
            raise ResourceLeakError(())

    reduce_plan(replace(a_plan(), steps=(*a_plan().steps, Knock(1.0, "x"))), run)
    for plan in tried:
        assert {step.user for step in plan.steps} <= {*plan.users, "x"}
        assert {fault.first for fault in plan.faults} <= set(plan.users)
        assert {step.room for step in plan.steps if isinstance(step, Talk | Enter)} <= set(plan.rooms)
    assert any(plan.users == () and plan.steps for plan in tried), "a stranger is no user"


def test_what_does_not_fail_is_not_reduced() -> None:
    with pytest.raises(ValueError, match="does not fail"):
        reduce_plan(a_plan(), lambda _: None)


def test_of_a_group_the_first_error_counts() -> None:
    group = ExceptionGroup("", [ExceptionGroup("", [KeyError("x")]), ResourceLeakError(())])
    assert failure_of(a_plan(), failing(lambda _: True, group)) == Failure("KeyError", "'x'")


def test_an_interrupt_is_no_failure() -> None:
    def run(plan: Plan) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failure_of(a_plan(), run)


# --- as text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [a_plan(), Plan(seed=-1, users=("o'''b\\",), rooms=(), steps=())])
def test_a_plan_survives_its_text(plan: Plan) -> None:
    assert Plan.from_json(as_lines(plan)) == plan
    namespace: dict[str, object] = {}
    exec(as_test(plan, 'it\'s "bad"\n\\'), namespace)  # noqa: S102  # it is to be run as it stands
    (name,) = [each for each in namespace if each.startswith("test_")]
    performed = []
    namespace["simulate"] = lambda seed, scenario: performed.append((seed, scenario))
    test = namespace[name]
    assert callable(test)
    test()
    ((seed, scenario),) = performed
    assert seed == plan.seed
    assert scenario.func is play
    assert scenario.keywords == {"plan": plan}


# --- a bug of the server ----------------------------------------------------------------------------


def test_a_planted_bug_comes_down_to_a_handful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And the test that is printed fails with the bug, passes without it, run as it was printed."""
    with monkeypatch.context() as planted:
        forget_rests(planted)
        plan = a_chat(4, 5, 200, 3, rooms=2, buffer_bytes=2_000)
        found = failure_of(plan)
        assert found is not None
        reduced = reduce_plan(plan)
        assert failure_of(reduced.plan) == reduced.failure
    assert reduced.failure.alike == found.alike
    assert len(plan.steps) > 200
    assert len(reduced.plan.steps) + len(reduced.plan.faults) <= 6
    assert reduced.plan.seed == plan.seed
    perform(reduced.plan)

    pasted = as_test(reduced.plan, reduced.failure.words)
    conftest = "import pytest\nfrom tests.testing.planted import forget_rests\n\n"
    conftest += "@pytest.fixture(autouse=True)\ndef _planted(monkeypatch): forget_rests(monkeypatch)\n"
    for folder, source, outcome in (("sound", "", "1 passed"), ("planted", conftest, "1 failed")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "conftest.py").write_text(source)
        (tmp_path / folder / "test_pasted.py").write_text(pasted)
        run = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tmp_path / folder),
        ]
        ended = subprocess.run(
            [*run, "-c", "/dev/null", str(tmp_path / folder / "test_pasted.py")],
            check=False,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            timeout=PATIENCE_S,
        )
        assert outcome in ended.stdout, ended.stdout + ended.stderr


def test_every_run_of_a_plan_is_the_same() -> None:
    plan = a_chat(3, 3, 30, 2)
    first, second = (simulate(plan.seed, partial(play, plan=plan)).trace_hash for _ in range(2))
    assert first == second
