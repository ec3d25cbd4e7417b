"""Run an async scenario on a virtual clock, in an order that a seed decides, and hash what happened.

    async def scenario(sim):
        async with trio.open_nursery() as nursery:
            ...
        assert nothing_is_lost

    for seed in range(300):
        simulate(seed, scenario)

The same seed does the same, in any process: the error that comes out of a run holds the call that repeats
it. That is so as long as the program asks nothing that is not simulated, which is an error (`isolation.py`),
and does not let the order of a set of strings or the `id` of an object decide anything.
"""

import gc
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from random import Random
from typing import Any, Generic, TypeVar

import outcome
import trio
from trio.testing import MockClock

from trio_chat.errors import NotSimulated, ResourceLeakError
from trio_chat.testing.cancel_injector import CancelInjector, Inside
from trio_chat.testing.isolation import Isolation, fenced
from trio_chat.testing.leaks import LeftOpen, left_open
from trio_chat.testing.scheduling import DelayPolicy, Scheduler, seeded
from trio_chat.testing.trace import Note, Trace
from trio_chat.testing.watch import RunWatch

__all__ = ["LIMIT_S", "STEPS_MAX", "Run", "Simulation", "name_of", "run_once", "simulate"]

T = TypeVar("T")

LIMIT_S = 10_000.0
STEPS_MAX = 2_000_000


class Simulation:
    """What a scenario is given: chance from the seed, the time, and a place to note things."""

    def __init__(self, seed: int, trace: Trace, victim: CancelInjector | None) -> None:
        self.seed = seed
        self.random = self.fork("scenario")
        """For the scenario itself; the module `random` is seeded as well, for the length of the run."""
        self._trace = trace
        self._victim = victim
        self._checks: list[Callable[[], Iterable[str]]] = []

    @property
    def now(self) -> float:
        """Virtual seconds since the run began."""
        return trio.current_time()

    def fork(self, name: str) -> Random:
        """A source of chance of its own, from seed and name: what one part draws does not change what
        another gets."""
        digest = blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
        return Random(int.from_bytes(digest, "big"))

    def note(self, *what: Any) -> None:
        """Put values into the trace, with the time. Raises TypeError unless they are plain: str, bytes,
        numbers, None, and tuples and lists of them."""
        self._trace.noted(what)

    def keep_notes(self) -> None:
        """Keep all that is noted from now on, and not the last 10,000."""
        self._trace.keep_all()

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was noted and kept. Of a run that failed there is no `Run` to ask: whoever has held on to the
        simulation may ask here."""
        return self._trace.notes

    @property
    def trace_hash(self) -> str:
        """That of the run, when it is over, however it ended."""
        return self._trace.digest()

    def victim(self) -> Inside:
        """`with sim.victim() as scope:` is the part of the scenario that `sweep` cancels, or makes fail, at
        each of its checkpoints; the scenario goes on after the `with`. Otherwise it is a cancel scope.

        Several tasks may be inside one each; their checkpoints are counted together, and the one struck is
        the one whose checkpoint it was.
        """
        return Inside(self._victim)

    def leaves_nothing(self, check: Callable[[], Iterable[str]]) -> None:
        """Call `check` when the scenario is done; each line that it lists is something left behind."""
        self._checks.append(check)

    def left(self) -> list[str]:
        """What the checks list now."""
        return [line for check in self._checks for line in check()]


@dataclass(frozen=True)
class Run(Generic[T]):
    """A run that went well."""

    seed: int
    value: T
    """What the scenario returned."""
    trace_hash: str
    """In hex; equal for runs that did the same."""
    trace: tuple[Note, ...]
    """What the scenario noted: the last 10,000, or all if it said `sim.keep_notes()`."""
    steps: int
    """How often a task ran."""
    seconds: float
    """How long it took, in virtual time."""


def simulate(
    seed: int,
    scenario: Callable[[Simulation], Awaitable[T]],
    *,
    limit_s: float = LIMIT_S,
    steps_max: int = STEPS_MAX,
) -> Run[T]:
    """Run `scenario(sim)` under `trio.run`, from ordinary code: not inside a run, not in two threads.

    What the scenario raises comes out as it is, with a note of how to replay it. Besides, in this order:
    `NotSimulated` if the program used threads, sockets, processes or real clocks, whether it swallowed that
    or not; `Hung`, with the task tree, if nothing could run any more, or it was not done after `limit_s` of
    virtual time or `steps_max` steps of tasks; `ResourceLeakError` if it ended well but the checks of
    `sim.leaves_nothing` list something, or an async generator was not closed, or a coroutine not awaited.

    No task outlives it; one that swallows all that is raised in it is dropped. The garbage collector is off
    meanwhile, as it would call finalizers at moments of its own.
    """
    options = {"limit_s": (limit_s, LIMIT_S), "steps_max": (steps_max, STEPS_MAX)}
    changed = "".join(f", {name}={value!r}" for name, (value, usual) in options.items() if value != usual)
    replay = f"simulate({seed}, {name_of(scenario)}{changed})"
    return run_once(seed, scenario, replay, limit_s=limit_s, steps_max=steps_max)


def run_once(
    seed: int,
    scenario: Callable[[Simulation], Awaitable[T]],
    replay: str,
    *,
    victim: CancelInjector | None = None,
    limit_s: float = LIMIT_S,
    steps_max: int = STEPS_MAX,
) -> Run[T]:
    """`simulate`, and strike a victim; `replay` is the call that repeats it."""
    trace = Trace()
    watch = RunWatch(trace, limit_s=limit_s, steps_max=steps_max)
    if victim is not None:
        victim.overdue = watch.end
    sim = Simulation(seed, trace, victim)
    chance = sim.fork("schedule")
    scheduler = Scheduler(chance, DelayPolicy.draw(chance), watch.passed)
    clock = MockClock(autojump_threshold=0)
    with seeded(scheduler), _steady(sim.fork("random")), fenced() as fence, left_open() as left:
        stage = _Stage(sim, scenario, watch, fence, left)
        instruments = [victim] if victim is not None else []
        ended = outcome.capture(partial(trio.run, stage.play, clock=clock, instruments=instruments))
    stage.judge(ended, replay)
    return Run(seed, stage.value[0], trace.digest(), trace.notes, watch.steps, watch.now)


class _Stage(Generic[T]):
    """One run of a scenario, and what is said of it at the end."""

    def __init__(
        self,
        sim: Simulation,
        scenario: Callable[[Simulation], Awaitable[T]],
        watch: RunWatch,
        fence: Isolation,
        left_open: LeftOpen,
    ) -> None:
        self.value: list[T] = []  # one, when it is done
        self._sim = sim
        self._scenario = scenario
        self._watch = watch
        self._fence = fence
        self._left_open = left_open
        self._left: list[str] = []

    async def play(self) -> None:
        trio.lowlevel.current_task().name = name_of(self._scenario)
        self._left_open.see_generators()
        self._fence.is_up = True
        try:
            with trio.CancelScope() as scope:
                self._watch.begin(scope)
                self.value.append(await self._scenario(self._sim))
            self._left = self._sim.left() + self._left_open.lines()
        finally:
            self._fence.is_up = False

    def judge(self, ended: outcome.Outcome[None], replay: str) -> None:
        """Raise what the run is to be blamed for, if anything, and add the note."""
        raised = ended.error if isinstance(ended, outcome.Error) else None
        blamed = self._blamed(raised)
        if blamed is None:
            return
        blamed.add_note(f"replay: {replay}")
        if blamed is raised:
            raise blamed
        raise blamed from (raised if isinstance(raised, Exception) else None)

    def _blamed(self, raised: BaseException | None) -> BaseException | None:
        first = self._fence.first
        if first is not None:
            # It may be inside what was raised: said anew, so that it does not cause itself.
            return raised if raised is first else NotSimulated(str(first))
        if self._watch.hung is not None:
            return self._watch.hung
        return ResourceLeakError(tuple(self._left)) if self._left else raised  # looked for when all went well


@contextmanager
def _steady(chance: Random) -> Iterator[None]:
    """Nothing of the process decides anything: the module `random` is seeded, no garbage is collected."""
    before, collecting = random.getstate(), gc.isenabled()
    random.seed(chance.getrandbits(64))
    gc.disable()
    try:
        yield
    finally:
        random.setstate(before)
        if collecting:
            gc.enable()


def name_of(thing: Any) -> str:
    """What to write to get a function or class: module and name; of a partial, those of its function."""
    while hasattr(thing, "func"):
        thing = thing.func
    name = getattr(thing, "__qualname__", None)
    return f"{thing.__module__}.{name}" if name else repr(thing)
