"""Decide by a seed which task runs next, and how late. All uses of Trio's private names are in this file.

Trio runs its tasks in passes: each task that is runnable when a pass begins takes one step, in random order.
With a seeded order alone tasks stay in lock-step, each with one step per pass, and a race that needs a task
to be several steps behind never happens. So tasks are also *held back*: removed from a pass and added to a
later one. While a task is held, some task is runnable, so the loop does not block and a virtual clock does
not jump: for the program a held task runs on a slow core, and has not slept.

The seed also decides how much is held back (`DelayPolicy.draw`): some seeds hold no task, some a step now and
then, some a few tasks again and again. Each policy finds bugs that another one misses.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from heapq import heappop, heappush
from math import log
from random import Random
from typing import Any, NoReturn

import outcome
import trio
from trio._core import _run, _thread_cache
from trio.lowlevel import Task

__all__ = ["TRIO_THREAD", "DelayPolicy", "Scheduler", "seeded", "spawned", "throw"]

Batch = list[Task]

TRIO_THREAD = "trio.start_thread_soon"
"""The audit event for work that Trio gives to a thread while a scheduler is in place."""


@dataclass(frozen=True)
class DelayPolicy:
    """How tasks are held back in one run."""

    every: int = 0
    """Hold back one step in `every`, on average; 0 for none."""
    slow_of: int = 0
    """One task in `slow_of` is slow: all its steps are held back; 0 for none."""
    slow_nth: int = 0
    """Which of each `slow_of` tasks is the slow one."""
    passes_max: int = 1
    """The most passes for which a step is held back."""

    @classmethod
    def draw(cls, random: Random) -> "DelayPolicy":
        """Draw the policy of one seed: roughly a tenth of them hold no task back."""
        every = random.choice((0, 0, 0, 2, 4, 10, 30, 100))
        slow_of = random.choice((0, 0, 2, 2, 3, 4, 6, 12))
        slow_nth = random.randrange(slow_of) if slow_of else 0
        return cls(every, slow_of, slow_nth, random.choice((1, 3, 10, 40)))


class Scheduler(Random):
    """A replacement for Trio's own random source, which shuffles each pass.

    `passed` is called for each pass, also an empty one, with the numbers of its tasks, the last to run first.
    A task's number is how many tasks were spawned in this run before it. If `passed` raises, the run ends
    with `trio.TrioInternalError`, and its tasks are dropped without being ended.
    """

    def __init__(self, random: Random, holding: DelayPolicy, passed: Callable[[list[int]], object]) -> None:
        super().__init__(random.getrandbits(64))
        self._holding = holding
        self._passed = passed
        self._first = -1  # Trio counts the tasks of a process; this is the first of the run
        self._passes = 0
        self._held: list[tuple[int, int, Task]] = []  # a heap: until which pass, and in order of number
        self._ticker: Task | None = None  # the one of them that Trio knows to be able to run
        self._due = self._next_due()  # how many steps until the next random hold

    def shuffle(self, x: Any) -> None:
        """Order one pass, and hold tasks back. Costs 0.6 µs, and 0.15 for each task, if no task is held."""
        self._passes += 1
        if self._ticker is not None:
            x.remove(self._ticker)
            self._ticker = None
        if self._first < 0:
            self._first = x[0]._counter
        first, size = self._first, len(x)
        if size > 1 and (self._holding.slow_of or self._due < size):
            self._hold_back(x)
        else:
            self._due -= size
        if self._held:
            self._release(x)
        if len(x) > 1:
            random = self.random
            x.sort(key=lambda _: random())  # half of what Random.shuffle costs
        self._passed([task._counter - first for task in x])

    def _hold_back(self, batch: Batch) -> None:
        holding, first = self._holding, self._first
        picked = set()
        if holding.slow_of:
            numbers = enumerate(task._counter - first for task in batch)
            picked = {at for at, number in numbers if number % holding.slow_of == holding.slow_nth}
        self._due = max(self._due, 0)
        begun = 0
        while (at := begun + self._due) < len(batch):
            picked.add(at)
            begun, self._due = at + 1, self._next_due()
        self._due -= len(batch) - begun
        for at in sorted(picked):
            until = self._passes + 1 + int(self.random() * holding.passes_max)
            heappush(self._held, (until, batch[at]._counter, batch[at]))
        batch[:] = [task for at, task in enumerate(batch) if at not in picked]

    def _release(self, batch: Batch) -> None:
        """Release the tasks whose passes are over; or the first, if no other task can run: a task is slow
        only relative to others."""
        held = self._held
        while held and (held[0][0] <= self._passes or not batch):
            batch.append(heappop(held)[2])
        if held:
            # One of them is enough to keep the loop from blocking, and the clock from jumping.
            self._ticker = held[0][2]
            self._ticker._runner.runq.append(self._ticker)

    def _next_due(self) -> int:
        """Draw a geometric distance: one random number for each step held back, instead of one for each
        step."""
        every = self._holding.every
        if not every:
            return 1 << 62
        return int(log(1.0 - self.random()) / log(1.0 - 1.0 / every))


@contextmanager
def seeded(scheduler: Scheduler) -> Iterator[None]:
    """Install `scheduler` within the `with`; then restore Trio's own source.

    Use it for one `trio.run` inside it, in this thread. Raises RuntimeError if a scheduler is in place
    already, or if this Trio lacks the private names that are replaced here.
    """
    run, cache = vars(_run), _thread_cache.ThreadCache
    flag, source = "_ALLOW_DETERMINISTIC_SCHEDULING", "_r"
    before = run.get(flag), run.get(source)
    known = isinstance(before[0], bool) and isinstance(before[1], Random)
    if not known:
        raise RuntimeError(f"trio {trio.__version__} has no {flag} and {source} any more")
    nested = isinstance(before[1], Scheduler)
    if nested:
        raise RuntimeError("a simulation inside another")
    start_thread_soon = cache.start_thread_soon
    run[flag], run[source] = True, scheduler
    # Trio keeps threads for a while; only this event shows the reuse of a thread of an earlier run.
    setattr(cache, start_thread_soon.__name__, _audited(start_thread_soon))
    try:
        yield
    finally:
        setattr(cache, start_thread_soon.__name__, start_thread_soon)
        run[flag], run[source] = before


def _audited(start_thread_soon: Callable[..., None]) -> Callable[..., None]:
    @wraps(start_thread_soon)
    def start(*args: Any) -> None:
        sys.audit(TRIO_THREAD)
        start_thread_soon(*args)

    return start


def spawned(task: Task) -> int:
    """Return a sort key: a number that is larger the later a task was spawned in this process."""
    return task._counter


def throw(task: Task, error: BaseException) -> bool:
    """Raise `error` where `task` awaits, whatever shields are around it; return whether that was possible.

    This is not possible for the running task, nor for a task in an uninterruptible wait. A nursery that waits
    for its tasks treats the error as one of theirs.
    """

    def raise_it() -> NoReturn:
        raise error

    if task._next_send_fn is None:  # it waits, or it runs
        if task._abort_func is None:
            return False
        task._attempt_abort(raise_it)
    elif task._next_send is None:  # it has not begun
        task._next_send_fn, task._next_send = task.coro.throw, error
    else:
        task._next_send = outcome.Error(error)
    return True
