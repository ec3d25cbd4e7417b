"""Which task runs next, and how late: decided by a seed. All of Trio's private names are in this file.

Trio runs its tasks in passes: whatever can run when a pass begins runs once in it, in an order by chance.
With a seeded order alone tasks stay in lock-step, each one step a pass, and a race that needs one of them
to be several steps behind is never met. So tasks are also *held back*: taken out of a pass and put into
the next. While any is held there is something to run, so the loop does not block and a virtual clock does
not jump: to the program a held task is one on a slow core, not one that has slept.

How much is held back is the seed's choice too (`DelayPolicy.draw`): by some seeds nobody, by some a step here
and there, by some a few tasks again and again. A bug that hides from the one kind is met by another.
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
"""The audit event of Trio handing work to a thread while a scheduler is in place."""


@dataclass(frozen=True)
class DelayPolicy:
    """How tasks are held back in one run."""

    every: int = 0
    """One step in so many, on average, is held back; 0 for none."""
    slow_of: int = 0
    """One task in so many is slow: all its steps are held back; 0 for none."""
    slow_nth: int = 0
    """Which of each `slow_of` tasks it is."""
    passes_max: int = 1
    """For how many passes at most, in which others run."""

    @classmethod
    def draw(cls, random: Random) -> "DelayPolicy":
        """What one seed chooses: a tenth of them, roughly, hold nobody back."""
        every = random.choice((0, 0, 0, 2, 4, 10, 30, 100))
        slow_of = random.choice((0, 0, 2, 2, 3, 4, 6, 12))
        slow_nth = random.randrange(slow_of) if slow_of else 0
        return cls(every, slow_of, slow_nth, random.choice((1, 3, 10, 40)))


class Scheduler(Random):
    """Stands in for Trio's own source of chance, which is asked to shuffle each pass.

    `passed` is told of each pass, of an empty one too: the numbers of its tasks, the last to run first. A
    task's number is how many were spawned in this run before it. `passed` may raise: that breaks the run
    off with `trio.TrioInternalError`, its tasks not ended but dropped.
    """

    def __init__(self, random: Random, holding: DelayPolicy, passed: Callable[[list[int]], object]) -> None:
        super().__init__(random.getrandbits(64))
        self._holding = holding
        self._passed = passed
        self._first = -1  # Trio counts the tasks of a process; this is the first of the run
        self._passes = 0
        self._held: list[tuple[int, int, Task]] = []  # a heap: until which pass, and in order of number
        self._ticker: Task | None = None  # the one of them that Trio knows to be able to run
        self._due = self._next_due()  # how many steps until one is held back by chance

    def shuffle(self, x: Any) -> None:
        """Order one pass, and hold tasks back. Costs 0.6 µs, and 0.15 for each task, with nobody held."""
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
        """Let those run whose passes are over; or one, if nobody else can: slow is slower than somebody."""
        held = self._held
        while held and (held[0][0] <= self._passes or not batch):
            batch.append(heappop(held)[2])
        if held:
            # One of them is enough to keep the loop from blocking, and the clock from jumping.
            self._ticker = held[0][2]
            self._ticker._runner.runq.append(self._ticker)

    def _next_due(self) -> int:
        """A geometric distance, so that chance is asked once for each step held back, not for each step."""
        every = self._holding.every
        if not every:
            return 1 << 62
        return int(log(1.0 - self.random()) / log(1.0 - 1.0 / every))


@contextmanager
def seeded(scheduler: Scheduler) -> Iterator[None]:
    """Let `scheduler` choose within the `with`; then everything is as it was.

    Meant for one `trio.run` inside it, in this thread. Raises RuntimeError if one is in place already, or
    if this Trio does not have what is replaced here.
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
    # Trio keeps threads for a while; to reuse one of an earlier run is an event of no audit but this.
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
    """A number that is larger the later a task was spawned: to sort by, in this process."""
    return task._counter


def throw(task: Task, error: BaseException) -> bool:
    """Let what `task` awaits raise `error`, whatever shields are around it; whether that was possible.

    It is not for the task that runs just now, nor where the task waits for something that cannot be
    interrupted. A nursery that waits for its tasks takes the error as that of one of them.
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
