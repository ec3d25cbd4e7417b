"""Watch every pass of a simulated run: record it, and end a run that cannot end by itself.

The watch first cancels the scope of the run. If the run is stuck again, behind a shield, it raises `_Ended`
where each task waits, which no shield prevents. If that fails too, in a loop that swallows all errors, it
aborts the run and drops its tasks. After each attempt the run gets a little more time and some steps.
"""

from math import inf

import trio
from trio.lowlevel import Task

from trio_chat.errors import DeadlockError
from trio_chat.testing.scheduling import throw
from trio_chat.testing.trace import Trace
from trio_chat.testing.tree import task_tree

__all__ = ["RunWatch"]

GRACE_S = 100.0  # of virtual time, for cleaning up behind a shield that has a deadline
GRACE_STEPS = 10_000
THROWS_MAX, THROW_STEPS = 10, 1_000
STUCK_PASSES = 100  # a jump so small that a float does not hold it could be tried for ever


# Kept for ever: a task that swallows every error would also swallow GeneratorExit, during another run.
_dropped: list[Task | None] = []


class _Ended(BaseException):
    """Raised inside a program that does not end when it is cancelled; the program must not catch it."""


class RunWatch:
    """The watch of one run; `hung` is the error that it found, or None."""

    def __init__(self, trace: Trace, *, limit_s: float, steps_max: int) -> None:
        self.hung: DeadlockError | None = None
        self.steps = 0
        self.now = 0.0
        self._trace = trace
        self._limit_s = limit_s
        self._steps_max = steps_max
        self._still_passes = 0
        self._throws = 0
        self._main: tuple[Task, trio.CancelScope] | None = None

    def begin(self, scope: trio.CancelScope) -> None:
        """Register the calling task as the scenario's, within `scope`."""
        self._main = trio.lowlevel.current_task(), scope

    def passed(self, numbers: list[int]) -> None:
        """Record the next pass; the scheduler calls this, outside of all tasks."""
        if not numbers:
            self._nothing_runs()
            return
        self._still_passes = 0
        self._trace.passed(numbers)
        self.steps += len(numbers)
        if self.steps > self._steps_max:
            self._steps_max = self.steps + (GRACE_STEPS if self.hung is None else THROW_STEPS)
            self.end(f"{self.steps:,} steps, at {self.now:g} s of virtual time: it runs for ever")

    def end(self, why: str) -> None:
        """End the unfinished run; each further call uses a stronger method."""
        if self._main is None:
            return
        main, scope = self._main
        if self.hung is None:
            self.hung = DeadlockError(why, task_tree())
            scope.cancel(reason=why)
        elif self._throws < THROWS_MAX:
            self._throws += 1
            _throw_into(main)
        else:
            _dropped.append(trio.lowlevel.current_root_task())
            raise self.hung

    def _nothing_runs(self) -> None:
        now = trio.current_time()
        if now > self.now:
            self.now = now
            self._still_passes = 0
            self._trace.jumped(now)
            if now > self._limit_s:
                limit_s, self._limit_s = self._limit_s, now + GRACE_S
                self.end(f"not done after {limit_s:g} s of virtual time")
            return
        self._still_passes += 1
        next_s = trio.lowlevel.current_statistics().seconds_to_next_deadline
        if next_s == inf or self._still_passes > STUCK_PASSES:
            self.end(f"nothing can run any more, at {now:g} s of virtual time")


def _throw_into(task: Task) -> None:
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            _throw_into(child)
    throw(task, _Ended("the run is over"))
