"""Show the tasks of a running Trio program as text: their nurseries, and the line that each task awaits.

    app.main             app.py:31      async with trio.open_nursery() as nursery:
    ├─ app.philosopher   app.py:19      async with right:
    └─ app.philosopher   app.py:19      async with right:

The line is the innermost line of the *program*: not of Trio, the standard library or this package.
"""

import linecache
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from types import FrameType

import outcome
import trio
from trio.lowlevel import Task

from trio_chat.testing.scheduling import spawned

__all__ = ["awaited", "calling", "task_tree"]

SOURCE_CHARS_MAX = 90
_SITE_PACKAGES = f"{os.sep}site-packages{os.sep}"


def task_tree() -> str:
    """Return the task tree of the current `trio.run`, called by a task or between two; a line for each task.

    It awaits nothing. Neighbouring tasks with the same name and the same awaited line, and without tasks of
    their own, share a line with their number. If a task has opened several nurseries, each has a line, the
    outermost first.
    """
    root = trio.lowlevel.current_root_task()
    assert root is not None
    lines: list[_Line] = []
    for task in _children(root):
        if task.parent_nursery is root.child_nurseries[-1]:  # not Trio's own task, which is further out
            _draw(_Node.of(task), "", "", lines)
    name_width = max((len(line.name) for line in lines), default=0)
    place_width = max((len(line.place) for line in lines), default=0)
    return "\n".join(
        f"{line.name:{name_width}}  {line.place:{place_width}}  {line.source}".rstrip() for line in lines
    )


def awaited(task: Task) -> str:
    """Return the line that `task` awaits, as `file:line  source`: the innermost line of the program.

    For a task entirely in Trio, such as `nursery.start_soon(trio.sleep, 1)`, return the outermost line.
    """
    place, source = _awaited(task)
    return f"{place}  {source}"


def calling(frame: FrameType | None) -> str:
    """Return the line of the program that led to a frame, as `file:line  source`, or an empty text."""
    while frame is not None:
        if _of_program(frame.f_code.co_filename):
            place, source = _line(frame.f_code.co_filename, frame.f_lineno)
            return f"{place}  {source}"
        frame = frame.f_back
    return ""


@dataclass
class _Node:
    """A task, or several that look alike."""

    name: str
    place: str
    source: str
    nurseries: list[list["_Node"]] = field(default_factory=list)
    number: int = 1

    @classmethod
    def of(cls, task: Task) -> "_Node":
        nurseries = [_gathered(_sorted(nursery.child_tasks)) for nursery in task.child_nurseries]
        return cls(task.name, *_awaited(task), [each for each in nurseries if each])

    def looks_like(self, other: "_Node") -> bool:
        mine, others = (self.name, self.place), (other.name, other.place)
        return mine == others and not self.nurseries and not other.nurseries


@dataclass
class _Line:
    name: str
    place: str = ""
    source: str = ""


def _sorted(tasks: Iterable[Task]) -> list[Task]:
    return sorted(tasks, key=spawned)


def _children(task: Task) -> Iterator[Task]:
    for nursery in task.child_nurseries:
        yield from _sorted(nursery.child_tasks)


def _gathered(tasks: list[Task]) -> list[_Node]:
    nodes: list[_Node] = []
    for task in tasks:
        node = _Node.of(task)
        if nodes and nodes[-1].looks_like(node):
            nodes[-1].number += 1
        else:
            nodes.append(node)
    return nodes


def _draw(node: _Node, before: str, below: str, lines: list[_Line]) -> None:
    times = f" ×{node.number}" if node.number > 1 else ""
    lines.append(_Line(f"{before}{node.name}{times}", node.place, node.source))
    if len(node.nurseries) == 1:
        _draw_all(node.nurseries[0], below, lines)
        return
    for nth, nursery in enumerate(node.nurseries, 1):
        last = nth == len(node.nurseries)
        lines.append(_Line(f"{below}{'└─' if last else '├─'} nursery {nth}"))
        _draw_all(nursery, f"{below}{'   ' if last else '│  '}", lines)


def _draw_all(nodes: list[_Node], below: str, lines: list[_Line]) -> None:
    for node in nodes[:-1]:
        _draw(node, f"{below}├─ ", f"{below}│  ", lines)
    _draw(nodes[-1], f"{below}└─ ", f"{below}   ", lines)


def _awaited(task: Task) -> tuple[str, str]:
    found = None
    for frame, number in task.iter_await_frames():
        filename = frame.f_code.co_filename
        if found is None or _of_program(filename):
            found = filename, number
    return _line(*found) if found else ("", "")


def _line(filename: str, number: int) -> tuple[str, str]:
    source = linecache.getline(filename, number).strip()
    if len(source) > SOURCE_CHARS_MAX:
        source = source[: SOURCE_CHARS_MAX - 1] + "…"
    return f"{_short(filename)}:{number}", source


def _short(filename: str) -> str:
    """Return a short path: relative to the current directory, or else the package and file name."""
    _, installed, module = filename.rpartition(_SITE_PACKAGES)
    if installed:
        return module
    inside = os.path.relpath(filename) if os.path.isabs(filename) else filename
    if not inside.startswith(os.pardir):
        return inside
    return os.path.join(*filename.split(os.sep)[-2:])


@cache
def _of_program(filename: str) -> bool:
    """Return whether a file belongs to the program under test."""
    if filename.startswith("<frozen "):
        return False
    if filename.startswith((_folder(trio), _folder(outcome), os.path.dirname(__file__) + os.sep)):
        return False
    in_stdlib = filename.startswith(sysconfig.get_path("stdlib") + os.sep)
    return not in_stdlib or _SITE_PACKAGES in filename


def _folder(package: object) -> str:
    file = sys.modules[str(getattr(package, "__name__", ""))].__file__
    return os.path.dirname(file or "") + os.sep
