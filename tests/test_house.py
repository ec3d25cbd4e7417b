"""The rules of the house: modules of one purpose, small functions, each with a word on what it is for.

ruff keeps `__all__` sorted (RUF022); what it does not ask for is asked for here.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("trio_chat", "loadtest")

MODULE_LINES_MAX = 500
TEST_MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60

_UNFINISHED = re.compile(r"#.*\b(T[O]DO|F[I]XME|X[X]X)\b")  # spelt so that it does not find itself
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def faults(name: str, source: str) -> list[str]:
    """What is wrong with the source of one module, and what to do about it; `name` is its path."""
    tree = ast.parse(source)
    return [
        f"{name}{fault}"
        for check in (_size, _docstring, _functions, _unfinished, _exports, _work)
        for fault in check(name, tree, source)
    ]


def _is_test(name: str) -> bool:
    return not name.startswith(OURS)


def _size(name: str, tree: ast.Module, source: str) -> Iterator[str]:
    most = TEST_MODULE_LINES_MAX if _is_test(name) else MODULE_LINES_MAX
    lines = source.count("\n")
    if lines > most:
        yield f": {lines} lines, more than {most}. Find the second thing it does and give it a module."


def _docstring(name: str, tree: ast.Module, source: str) -> Iterator[str]:
    if tree.body and not ast.get_docstring(tree):
        yield ": no docstring. Say in a line what the module is for."


def _functions(name: str, tree: ast.Module, source: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            start = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            lines = (node.end_lineno or 0) - (start or 0) + 1
            if lines > FUNCTION_LINES_MAX:
                what = f"`{node.name}` has {lines} lines, more than {FUNCTION_LINES_MAX}"
                yield f", line {node.lineno}: {what}. Name its parts."


def _unfinished(name: str, tree: ast.Module, source: str) -> Iterator[str]:
    for number, line in enumerate(source.splitlines(), 1):
        if found := _UNFINISHED.search(line):
            yield f", line {number}: a {found[1]}. Do it, or file an issue."


def _exports(name: str, tree: ast.Module, source: str) -> Iterator[str]:
    if _is_test(name):
        return
    defines = any(isinstance(node, _Function | ast.ClassDef) for node in tree.body)
    if defines and "__all__" not in set(_bound(tree)):
        yield ": no `__all__`. List the names that other modules may use."


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _work(name: str, tree: ast.Module, source: str) -> Iterator[str]:
    """What runs when a module is imported: definitions may, statements that act may not."""
    for node in tree.body:
        acts = isinstance(node, ast.For | ast.While | ast.With | ast.Try | ast.Assert)
        if acts or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)):
            yield f", line {node.lineno}: importing it does something. Put that into a function."


def modules() -> Iterator[str]:
    for top in (*OURS, "tests"):
        yield from (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / top).rglob("*.py")))
    yield "noxfile.py"


@pytest.mark.parametrize("name", list(modules()))
def test_a_module_keeps_the_rules(name: str) -> None:
    found = faults(name, (ROOT / name).read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith(OURS)])
def test_what_a_module_lists_is_there(name: str) -> None:
    module = importlib.import_module(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    listed = getattr(module, "__all__", [])
    missing = [each for each in listed if not hasattr(module, each)]
    assert not missing, f"{name}: `__all__` lists {missing}, which are not there"
    assert len(set(listed)) == len(listed), f"{name}: `__all__` lists something twice"


DOC = '"""What it is for."""\n'


@pytest.mark.parametrize(
    ("name", "source", "says"),
    [
        ("trio_chat/a.py", DOC + "x = 1\n" * 500, "501 lines, more than 500"),
        ("tests/test_a.py", DOC + "x = 1\n" * 500, "501 lines, more than 500"),
        ("trio_chat/a.py", "x = 1\n", "no docstring"),
        ("tests/a.py", DOC + "def f():\n" + "    x = 1\n" * 60, "line 2: `f` has 61 lines"),
        ("tests/a.py", DOC + "class A:\n  async def f():\n" + "    x = 1\n" * 60, "line 3: `f` has 61"),
        ("tests/a.py", DOC + "x = 1  # TO" + "DO: more\n", "line 2: a TO" + "DO"),
        ("trio_chat/a.py", DOC + "def f(): pass\n", "no `__all__`"),
        ("trio_chat/a.py", DOC + "class A: pass\n", "no `__all__`"),
        ("trio_chat/a.py", DOC + "signal.signal(1, 2)\n", "line 2: importing it does something"),
        ("trio_chat/a.py", DOC + "with open('x'): pass\n", "line 2: importing it does something"),
    ],
)
def test_a_broken_rule_is_found(name: str, source: str, says: str) -> None:
    (fault,) = faults(name, source)
    assert fault.startswith(name)
    assert says in fault


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("trio_chat/a.py", DOC + "x = 1\n" * 499),
        ("trio_chat/a.py", DOC + '__all__ = ["f"]\ndef f():\n' + "    x = 1\n" * 59),
        (
            "tests/a.py",
            DOC + 'def f():\n    """Long.\n' + "    words\n" * 60 + '    """\n' + "    x = 1\n" * 58,
        ),
        ("trio_chat/a.py", DOC + 'limit: int = 3\n"""What it limits."""\n'),
        ("tests/__init__.py", ""),
        ("tests/a.py", DOC + "def f(): pass\n"),
    ],
)
def test_a_kept_rule_passes(name: str, source: str) -> None:
    assert faults(name, source) == []
