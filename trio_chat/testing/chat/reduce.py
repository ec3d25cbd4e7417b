"""Shrink a failing plan, as long as it fails in the same way.

The seed stays: it decides the scheduling and the random values of the network. But each step that is left out
changes the conditions of later steps, so a plan may stop failing without a step that is unrelated to the bug.
The result is a small plan that fails, not the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import msgspec
import outcome
from msgspec.structs import replace

from trio_chat.errors import PromiseBroken
from trio_chat.testing.chat.faulty_store import FaultyDisk
from trio_chat.testing.chat.plan import Plan, Step, Talk
from trio_chat.testing.chat.play import play
from trio_chat.testing.faults import Fault
from trio_chat.testing.shrink import shrink, smaller
from trio_chat.testing.simulate import simulate

__all__ = ["RUNS_MAX", "Failure", "Reduced", "failure_of", "perform", "reduce_plan"]

RUNS_MAX = 1_000

# The lowest value of each number of a step, a fault or its rule; other numbers stay.
_LOWEST = {
    "after_bytes": 0,
    "after_s": 0.0,
    "bytes_max": 1,
    "delay_s": 0.0,
    "jitter_s": 0.0,
    "lasts_s": 0.0,
    "recent": 0,
    "size": 20,
    "times": 1,
    "within_s": 0.0,
}
_PLAIN = {"away_s": 1.0, "both": False, "hasty": False, "sends": 1.0}


@dataclass(frozen=True)
class Failure:
    """How a plan fails. Two failures that are `alike` count as the same."""

    alike: str
    """The type of error; of a broken promise also the kind of the first; of several errors, the first."""
    words: str
    """The message of the error, in one line."""


@dataclass(frozen=True)
class Reduced:
    """The result of shrinking a plan."""

    plan: Plan
    failure: Failure
    """How it fails."""
    runs: int
    is_done: bool
    """Whether nothing more could be left out; otherwise the runs were used up."""


def perform(plan: Plan) -> object:
    """Simulate a plan with its own seed."""
    return simulate(plan.seed, partial(play, plan=plan))


def failure_of(plan: Plan, run: Callable[[Plan], object] = perform) -> Failure | None:
    """Return how a plan fails, or None. An error that is not an `Exception`, as Ctrl-C, is raised."""
    ended = outcome.capture(run, plan)
    if isinstance(ended, outcome.Value):
        return None
    error = ended.error
    if not isinstance(error, Exception):
        raise error
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    kind = f": {error.kind}" if isinstance(error, PromiseBroken) else ""
    words = str(error).partition("\n")[0]
    return Failure(type(error).__name__ + kind, words)


def reduce_plan(
    plan: Plan,
    run: Callable[[Plan], object] = perform,
    *,
    runs_max: int = RUNS_MAX,
    tell: Callable[[Plan, int], None] | None = None,
) -> Reduced:
    """Shrink a plan that fails, with up to `runs_max` runs; `tell` gets each smaller plan and the runs so
    far. Raises ValueError if the plan does not fail."""
    failure = failure_of(plan, run)
    if failure is None:
        raise ValueError("this plan does not fail")
    reducer = _Reducer(plan, failure, run, runs_max, tell)
    reducer.reduce()
    return Reduced(reducer.plan, reducer.failure, reducer.runs, not reducer.is_tired)


class _Reducer:
    """The state of a reduction: `plan` is the smallest so far, and `failure` its failure."""

    def __init__(
        self,
        plan: Plan,
        failure: Failure,
        run: Callable[[Plan], object],
        runs_max: int,
        tell: Callable[[Plan, int], None] | None,
    ) -> None:
        self.plan = plan
        self.failure = failure
        self.runs = 1
        self.is_tired = False
        self._run = run
        self._runs_max = runs_max
        self._tell = tell
        self._known: dict[str, Failure | None] = {plan.as_json(): failure}
        self._told = _size(plan)

    def reduce(self) -> None:
        """Shrink to a local minimum; then start again from variants of it, as long as they lead to a smaller
        plan."""
        self._descend()
        asides = _asides(self.plan)
        while aside := next(asides, None):
            best = self.plan, self.failure
            if self._fails(aside):
                self._descend()
                if _size(self.plan) < _size(best[0]):
                    asides = _asides(self.plan)
                else:
                    self.plan, self.failure = best

    def _descend(self) -> None:
        """Repeat all reductions until a round finds nothing more."""
        before = None
        while self.plan != before and not self.is_tired:
            before = self.plan
            self._surroundings()
            self._people()
            self._only_steps(self.plan.steps)
            self._moments()
            self._numbers()
            self._width()

    def _fails(self, plan: Plan) -> bool:
        """Return whether a plan fails alike, and keep it if it does. No plan is run twice."""
        text = plan.as_json()
        if text not in self._known:
            if self.runs >= self._runs_max:
                self.is_tired = True
                return False
            self.runs += 1
            self._known[text] = failure_of(plan, self._run)
        failure = self._known[text]
        if failure is None or failure.alike != self.failure.alike:
            return False
        self.plan, self.failure = plan, failure
        if self._tell is not None and _size(plan) < self._told:
            self._told = _size(plan)
            self._tell(plan, self.runs)
        return True

    def _surroundings(self) -> None:
        """Try fewer faults, and default settings of the server and its journal."""
        if self.plan.crash_s is not None:
            self._fails(replace(self.plan, crash_s=None, lost_commits=None))
        if self.plan.lost_commits is not None:
            self._fails(replace(self.plan, lost_commits=None))
        shrink(self.plan.faults, lambda faults: self._fails(replace(self.plan, faults=faults)))
        self._fails(replace(self.plan, disk=FaultyDisk()))
        for name in FaultyDisk.__struct_fields__:
            self._fails(replace(self.plan, disk=replace(self.plan.disk, **{name: 0.0})))
        limits = tuple(self.plan.limits.items())
        shrink(limits, lambda fewer: self._fails(replace(self.plan, limits=dict(fewer))))
        self._fails(replace(self.plan, ending="quit"))

    def _people(self) -> None:
        """Try plans with fewer users and rooms."""
        shrink(self.plan.users, lambda users: self._fails(_among(self.plan, users)))
        shrink(self.plan.rooms, lambda rooms: self._fails(_inside(self.plan, rooms)))

    def _only_steps(self, steps: tuple[Step, ...]) -> None:
        shrink(steps, lambda fewer: self._fails(replace(self.plan, steps=fewer)))

    def _moments(self) -> None:
        """Move steps and faults to consecutive whole seconds, all of them or as many as possible."""
        times = {step.at_s for step in self.plan.steps}
        for fault in self.plan.faults:
            times |= {fault.at_s, round(fault.at_s + fault.lasts_s, 3)}
        for step_s in (1.0, 0.1):
            nth = {at_s: round(index * step_s, 1) for index, at_s in enumerate(sorted(times))}
            faults = tuple(
                replace(
                    each,
                    at_s=nth[each.at_s],
                    lasts_s=nth[round(each.at_s + each.lasts_s, 3)] - nth[each.at_s],
                )
                for each in self.plan.faults
            )
            steps = tuple(replace(each, at_s=nth[each.at_s]) for each in self.plan.steps)
            if self._fails(replace(self.plan, steps=steps, faults=faults)):
                return
        if self.plan.crash_s is not None:
            for at_s in smaller(self.plan.crash_s):
                if self._fails(replace(self.plan, crash_s=at_s)):
                    return

    def _numbers(self) -> None:
        """Try smaller values for each number of each step and fault."""
        earliest = 0.0
        for index in range(len(self.plan.steps)):
            self._simplest(self.plan.steps[index], partial(self._with_step, index), earliest)
            earliest = self.plan.steps[index].at_s
        for index in range(len(self.plan.faults)):
            fault = self.plan.faults[index]
            self._simplest(fault.rule, partial(self._with_rule, index))
            self._simplest(self.plan.faults[index], partial(self._with_fault, index))

    def _width(self) -> None:
        """Try default pipe sizes, or nearly. Last, since narrow pipes need fewer steps to fail."""
        for wide in (65_536, 8_000, 2_000):
            if wide > self.plan.buffer_bytes and self._fails(replace(self.plan, buffer_bytes=wide)):
                return

    def _simplest(self, thing: msgspec.Struct, fails: Callable[..., bool], earliest: float = 0.0) -> None:
        while simpler := next((each for each in _simpler(thing, earliest) if fails(each)), None):
            thing = simpler

    def _with_step(self, index: int, step: Step) -> bool:
        steps = self.plan.steps
        return self._fails(replace(self.plan, steps=(*steps[:index], step, *steps[index + 1 :])))

    def _with_fault(self, index: int, fault: Fault) -> bool:
        faults = self.plan.faults
        return self._fails(replace(self.plan, faults=(*faults[:index], fault, *faults[index + 1 :])))

    def _with_rule(self, index: int, rule: msgspec.Struct) -> bool:
        return self._with_fault(index, replace(self.plan.faults[index], rule=rule))


def _among(plan: Plan, users: tuple[str, ...]) -> Plan:
    """Return the plan without the other users, their steps and their faults."""
    gone = set(plan.users) - set(users)
    return replace(
        plan,
        users=users,
        steps=tuple(step for step in plan.steps if step.user not in gone),
        faults=tuple(fault for fault in plan.faults if not {fault.first, fault.second} & gone),
    )


def _inside(plan: Plan, rooms: tuple[str, ...]) -> Plan:
    """Return the plan without the other rooms and the steps in them."""
    gone = set(plan.rooms) - set(rooms)
    return replace(
        plan, rooms=rooms, steps=tuple(step for step in plan.steps if getattr(step, "room", "") not in gone)
    )


def _asides(plan: Plan) -> Iterator[Plan]:
    """Yield plans that are not smaller but may fail more readily: with narrower pipes, or longer texts."""
    for narrow in (700, 2_000):
        if narrow < plan.buffer_bytes:
            yield replace(plan, buffer_bytes=narrow)
    for size in (300, 3_000):
        steps = tuple(replace(each, size=size) if isinstance(each, Talk) else each for each in plan.steps)
        yield replace(plan, steps=steps)
        yield replace(plan, steps=steps, buffer_bytes=min(plan.buffer_bytes, 700))


def _size(plan: Plan) -> tuple[int, ...]:
    """Return a key that orders plans by size: first by the number of steps and faults."""
    said = sum(step.times for step in plan.steps if isinstance(step, Talk))
    return len(plan.steps) + len(plan.faults), len(plan.users) + len(plan.rooms), said


def _simpler(thing: msgspec.Struct, earliest: float) -> Iterator[msgspec.Struct]:
    """Yield copies with one number smaller or rounder, or with one field at its default."""
    for name in thing.__struct_fields__:
        value = getattr(thing, name)
        if name in _PLAIN and value != _PLAIN[name]:
            yield replace(thing, **{name: _PLAIN[name]})
        elif name == "at_s" or name in _LOWEST:
            lowest = _LOWEST.get(name, earliest)
            yield from (replace(thing, **{name: each}) for each in smaller(value, lowest))
