"""Run an async scenario on a virtual clock, in an order that a seed decides, and hash what happened.

    async def scenario(sim):
        async with trio.open_nursery() as nursery:
            ...
        assert nothing_is_lost

    for seed in range(300):
        simulate(seed, scenario)

The same seed gives the same run, in any process: the error of a run contains the call that repeats it. This
holds as long as the program uses nothing that is not simulated, which is an error (`isolation.py`), and
does not depend on the order of a set of strings or the `id` of an object.
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
    """The argument of a scenario: randomness from the seed, the time, and notes for the trace."""

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
        """Return a separate random source, from seed and name: the draws of one part do not change those of
        another."""
        digest = blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
        return Random(int.from_bytes(digest, "big"))

    def note(self, *what: Any) -> None:
        """Add values to the trace, with the time. Raises TypeError unless they are plain: str, bytes,
        numbers, None, and tuples and lists of them."""
        self._trace.noted(what)

    def keep_notes(self) -> None:
        """Keep all notes from now on, instead of the last 10,000."""
        self._trace.keep_all()

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes that were kept. A failed run returns no `Run`, but a caller that kept the simulation can
        read them here."""
        return self._trace.notes

    @property
    def trace_hash(self) -> str:
        """The hash of the run, when it is over, however it ended."""
        return self._trace.digest()

    def victim(self) -> Inside:
        """Return the scope of the victim: `with sim.victim() as scope:` is the part of the scenario that
        `sweep` cancels, or makes fail, at each of its checkpoints; the scenario continues after the `with`.
        Outside of a sweep it is a plain cancel scope.

        Several tasks may have such a scope each; their checkpoints are counted together, and the sweep
        strikes the task that is at the chosen checkpoint.
        """
        return Inside(self._victim)

    def leaves_nothing(self, check: Callable[[], Iterable[str]]) -> None:
        """Call `check` when the scenario is done; each line that it lists is a leak."""
        self._checks.append(check)

    def left(self) -> list[str]:
        """Return the lines that the checks list now."""
        return [line for check in self._checks for line in check()]


@dataclass(frozen=True)
class Run(Generic[T]):
    """A run that went well."""

    seed: int
    value: T
    """The return value of the scenario."""
    trace_hash: str
    """In hex; equal for runs that did the same."""
    trace: tuple[Note, ...]
    """The notes of the scenario: the last 10,000, or all if it called `sim.keep_notes()`."""
    steps: int
    """How often a task ran."""
    seconds: float
    """The duration, in virtual time."""


def simulate(
    seed: int,
    scenario: Callable[[Simulation], Awaitable[T]],
    *,
    limit_s: float = LIMIT_S,
    steps_max: int = STEPS_MAX,
) -> Run[T]:
    """Run `scenario(sim)` under `trio.run`, from synchronous code: not inside a run, not in two threads.

    An error of the scenario is raised unchanged, with a note of how to replay it. Other errors, in this
    order: `NotSimulated` if the program used threads, sockets, processes or real clocks, even if it caught
    that error; `DeadlockError`, with the task tree, if nothing could run any more, or the run was not done
    after `limit_s` of virtual time or `steps_max` steps of tasks; `ResourceLeakError` if the run ended well
    but the checks of `sim.leaves_nothing` list something, or an async generator was not closed, or a
    coroutine not awaited.

    No task outlives the run; a task that swallows every error raised in it is dropped. The garbage collector
    is off meanwhile, as it would call finalizers at unpredictable moments.
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
    """Run a scenario as `simulate` does, and strike a victim; `replay` is the call that repeats it."""
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
    """One run of a scenario, and its verdict."""

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
        """Raise the error of the run, if there is any, with the replay note."""
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
            # The raised error may contain it: raise a copy, so that it is not its own cause.
            return raised if raised is first else NotSimulated(str(first))
        if self._watch.hung is not None:
            return self._watch.hung
        # only looked for after a run without errors
        return ResourceLeakError(tuple(self._left)) if self._left else raised


@contextmanager
def _steady(chance: Random) -> Iterator[None]:
    """Keep the state of the process out of the run: seed the module `random`, collect no garbage."""
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
    """Return the module and name of a function or class; for a partial, those of its function."""
    while hasattr(thing, "func"):
        thing = thing.func
    name = getattr(thing, "__qualname__", None)
    return f"{thing.__module__}.{name}" if name else repr(thing)
