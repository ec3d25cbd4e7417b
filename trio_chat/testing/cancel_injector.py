"""Count the checkpoints of a part of a program, the victim, and cancel it at one of them, or raise an error.

A checkpoint is each wait or yield of a task inside, also behind a shield: a task cancelled there gets the
cancellation when the shield ends.
"""

from collections.abc import Callable
from types import TracebackType

import trio
from trio.lowlevel import Task

from trio_chat.testing.scheduling import throw
from trio_chat.testing.tree import awaited

__all__ = ["CancelInjector", "Inside"]

OVERDUE = 1_000
"""The checkpoints after its cancellation at which a victim counts as one that swallows it."""


class CancelInjector(trio.abc.Instrument):
    """Counts checkpoints inside `Inside(victim)`; at number `at` it cancels, or raises `error()` there.

    `children`: count the checkpoints of the tasks spawned inside as well.
    """

    def __init__(
        self, at: int = 0, *, error: Callable[[], Exception] | None = None, children: bool = False
    ) -> None:
        self.checkpoints = 0
        """The number of checkpoints so far."""
        self.entered = False
        self.line = ""
        """The line that awaited at the chosen checkpoint, as `file:line  source`; empty before it."""
        self.overdue: Callable[[str], None] = lambda _: None
        """Called, again and again, when the victim does not end."""
        self.raised: Exception | None = None
        self._at = at
        self._error = error
        self._children = children
        self._inside: dict[Task, Inside] = {}

    def enter(self, task: Task, inside: "Inside") -> None:
        if task in self._inside:
            raise RuntimeError("this task is inside its victim scope already")
        self.entered = True
        self._inside[task] = inside

    def leave(self, task: Task) -> None:
        del self._inside[task]

    def task_spawned(self, task: Task) -> None:
        if self._children and (inside := self._around(task.parent_nursery)) is not None:
            self._inside[task] = inside

    def _around(self, nursery: trio.Nursery | None) -> "Inside | None":
        """Return the scope that ends the tasks of a nursery, unless the nursery was open before it was
        entered."""
        inside = None if nursery is None else self._inside.get(nursery.parent_task)
        return None if inside is None or nursery in inside.outer else inside

    def task_exited(self, task: Task) -> None:
        self._inside.pop(task, None)

    def after_task_step(self, task: Task) -> None:
        inside = self._inside.get(task)
        if inside is None:
            return
        if task is not inside.task and self._around(task.parent_nursery) is not inside:
            # `nursery.start` has moved the task, or a task around it, to another nursery
            del self._inside[task]
            return
        self.checkpoints += 1
        if self.checkpoints == self._at:
            self.line = awaited(task)
            self._strike(task, inside.scope)
        elif self.line and self._error is None and self.checkpoints > self._at + OVERDUE:
            self.overdue(
                f"still running {OVERDUE:,} checkpoints after the cancel: the victim swallows Cancelled"
            )

    def _strike(self, task: Task, scope: trio.CancelScope) -> None:
        if self._error is None:
            scope.cancel(reason="the sweep")
            return
        self.raised = self._error()
        throw(task, self.raised)


class Inside:
    """The scope of a victim: `with Inside(victim) as scope:`; without a victim it is only a cancel scope.

    It catches the cancellation, and the injected error if that leaves the block unchanged.
    """

    def __init__(self, victim: CancelInjector | None) -> None:
        self.scope = trio.CancelScope()
        self.task: Task | None = None
        self.outer: list[trio.Nursery] = []
        self._victim = victim

    def __enter__(self) -> trio.CancelScope:
        if self._victim is not None:
            self.task = trio.lowlevel.current_task()
            self.outer = self.task.child_nurseries
            self._victim.enter(self.task, self)
        return self.scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._victim is not None:
            self._victim.leave(trio.lowlevel.current_task())
        if self.scope.__exit__(kind, error, trace):
            return True
        raised = None if self._victim is None else self._victim.raised
        return raised is not None and _is_only(error, raised)


def _is_only(error: BaseException | None, raised: Exception) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_only(each, raised) for each in error.exceptions)
    return error is raised
