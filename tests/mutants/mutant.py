"""A mistake, as an edit of some lines of a function, planted in memory and taken out again.

The lines that are to be there are part of it: when the function has changed so that they are not, or not
exactly once, planting fails. So no mutant is hunted, or believed to be found, that is none any more.
"""

from __future__ import annotations
import __future__

import ast
import importlib
import inspect
import linecache
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import dedent
from types import CodeType, FunctionType

__all__ = ["DoesNotApply", "Edit", "Mutant", "planted"]


class DoesNotApply(Exception):
    """The function is not what the mistake was made in any more: look whether it still can be made."""


@dataclass(frozen=True)
class Edit:
    """`where` is `module:function` or `module:Class.method`; `right` are whole lines of it, however far they
    are indented, and `wrong` is what stands there instead."""

    where: str
    right: str
    wrong: str


@dataclass(frozen=True)
class Mutant:
    """A mistake, in a line, and what it is in code."""

    name: str
    description: str
    edits: tuple[Edit, ...]


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The mistake is made for as long as the block lasts. Raises `DoesNotApply`, and has changed nothing.

    What is replaced is the code of the function, not the name it goes by: so it is another one also for
    those who have imported it by name, and for what holds it bound.
    """
    edited: dict[str, list[Edit]] = {}
    for edit in mutant.edits:
        edited.setdefault(edit.where, []).append(edit)
    functions = {where: _function(where) for where in edited}
    mistaken = {where: _mistaken(mutant, functions[where], edits) for where, edits in edited.items()}
    sound = {where: function.__code__ for where, function in functions.items()}
    for where, function in functions.items():
        function.__code__ = mistaken[where]
    try:
        yield
    finally:
        for where, function in functions.items():
            function.__code__ = sound[where]


def _function(where: str) -> FunctionType:
    module, _, path = where.partition(":")
    found: object = importlib.import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name, None)
    if isinstance(found, property):
        found = found.fget
    if not isinstance(found, FunctionType):
        raise DoesNotApply(f"there is no function {where}")
    return found


def _mistaken(mutant: Mutant, function: FunctionType, edits: list[Edit]) -> CodeType:
    """The code of a function with the edits made."""
    source = dedent(inspect.getsource(function))
    for edit in edits:
        source = _edited(source, edit)
    name = f"<{mutant.name}: {function.__qualname__}>"
    tree = ast.parse(source, name)
    (made,) = tree.body
    assert isinstance(made, ast.FunctionDef | ast.AsyncFunctionDef), "a function was asked for"
    made.decorator_list.clear()
    # The flag: annotations name what only the type checker imports.
    code = compile(tree, name, "exec", flags=__future__.annotations.compiler_flag, dont_inherit=True)
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name  # for tracebacks
    made_here: dict[str, FunctionType] = {}
    exec(code, dict(function.__globals__), made_here)  # noqa: S102
    return made_here[made.name].__code__


def _edited(source: str, edit: Edit) -> str:
    lines = source.splitlines()
    right = dedent(edit.right).strip("\n").splitlines()
    wrong = dedent(edit.wrong).strip("\n").splitlines()
    places = []
    for at in range(len(lines) - len(right) + 1):
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        if lines[at : at + len(right)] == [indent + line if line else "" for line in right]:
            places.append((at, indent))
    if len(places) != 1:
        often = "more than once" if places else "no more"
        raise DoesNotApply(f"{edit.where} has {often}:\n" + "\n".join(right))
    ((at, indent),) = places
    lines[at : at + len(right)] = [indent + line if line else "" for line in wrong]
    return "\n".join(lines) + "\n"
