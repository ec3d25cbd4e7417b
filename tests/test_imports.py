"""The directions of imports: what each package may import, as docs/architecture.md tells it.

The imports are read from the source, those inside functions and under TYPE_CHECKING too: a direction
is a direction whenever it is taken.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Row:
    """What one package may import of ours, and what it must never import of others."""

    ours: frozenset[str]
    never: frozenset[str] = frozenset()


def row(ours: str = "", *, never: str = "") -> Row:
    return Row(frozenset(ours.split()), frozenset(never.split()))


# A pure package neither waits nor looks at the world: time, chance and bytes are its arguments.
IMPURE = """
    trio asyncio threading multiprocessing subprocess
    socket select selectors ssl sqlite3
    time random secrets
"""
SERVER_SIDE = "errors wire contract hub journal net dialects"

TABLE = {
    "errors": row(never=IMPURE),
    "version": row(never=IMPURE),
    "wire": row("errors", never=IMPURE),
    "contract": row("errors", never=IMPURE),
    "hub": row("errors wire", never=IMPURE),
    "journal": row("errors wire"),
    "journal.admin": row("errors wire hub journal", never="trio asyncio threading"),
    "net": row("errors"),
    "dialects": row("errors wire", never=IMPURE),
    "server": row(f"{SERVER_SIDE} version"),
    "client": row("errors version wire net dialects"),
    "terminal": row("errors wire client"),
    "testing": row(f"{SERVER_SIDE} server client", never="pytest _pytest"),
    "loadtest": row("errors wire contract client"),
    "cli": row(f"{SERVER_SIDE} server client terminal testing loadtest journal.admin version trio_chat"),
    # The console script.
    "__main__": row("cli"),
    # The front door: the names that programs import.
    "trio_chat": row("errors version server client"),
}

# Each command loads its own world inside its body, so that `--help` is quick.
CLI_AT_THE_TOP = {"click", "errors"}


class Import(NamedTuple):
    line: int
    target: str  # a module by its full name
    inside_function: bool


def imports_of(source: str, package: str) -> Iterator[Import]:
    """Every import in the source of a module that lies in `package`."""

    def walk(node: ast.AST, inside: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(child.lineno, alias.name, inside)
            elif isinstance(child, ast.ImportFrom):
                base = _absolute(child, package)
                for alias in child.names:
                    yield Import(child.lineno, f"{base}.{alias.name}", inside)
            else:
                within = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, within)

    yield from walk(ast.parse(source), inside=False)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")[: -(node.level - 1) or None]
    return ".".join([*parents, *([node.module] if node.module else [])])


def package_of(module: str) -> str:
    """The row of the table for one of our modules, given by its full name."""
    top, _, rest = module.partition(".")
    if top == "loadtest":
        return top
    package, _, below = rest.partition(".")
    within = f"{package}.{below.partition('.')[0]}"
    return next((row for row in (within, package) if row in TABLE), "trio_chat")


def is_ours(module: str) -> bool:
    return module.partition(".")[0] in {"trio_chat", "loadtest"}


def faults(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one module, and what to do about it."""
    here = package_of(module)
    rules = TABLE[here]
    package = module if is_package else module.rpartition(".")[0]
    found = []
    for line, target, inside_function in imports_of(source, package):
        where = f"{module}, line {line}: "
        top = target.partition(".")[0]
        name = package_of(target) if is_ours(target) else top
        if is_ours(target) and name != here and name not in rules.ours:
            may = ", ".join(sorted(rules.ours)) or "nothing of ours"
            found.append(
                f"{where}`{here}` imports `{name}`; it may import {may}. Move the code, or pass it in."
            )
        elif name in rules.never:
            found.append(f"{where}`{here}` imports `{name}`, which it never may. Take it as an argument.")
        elif here == "cli" and not inside_function and not _cli_may_at_the_top(name):
            found.append(f"{where}`cli` imports `{name}` at the top. Import it inside the command's body.")
    return found


def _cli_may_at_the_top(name: str) -> bool:
    return name in CLI_AT_THE_TOP or name == "cli" or name in sys.stdlib_module_names


def our_modules() -> Iterator[tuple[str, Path]]:
    for top in ("trio_chat", "loadtest"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@pytest.mark.parametrize(("module", "path"), [pytest.param(*each, id=each[0]) for each in our_modules()])
def test_a_module_imports_what_the_table_allows(module: str, path: Path) -> None:
    assert not faults(module, path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py")


@pytest.mark.parametrize(
    "path", ["net/address.py", "net/proxy_header.py", "server/proxies.py", "server/refusals.py"]
)
def test_a_pure_module_of_an_impure_package_imports_nothing_impure(path: str) -> None:
    source = (ROOT / "trio_chat" / path).read_text(encoding="utf-8")
    assert "PURE" in (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    imported = {target.partition(".")[0] for _, target, _ in imports_of(source, "trio_chat")}
    assert not imported & set(IMPURE.split())


def test_every_package_has_a_row() -> None:
    inner = {path.stem for path in (ROOT / "trio_chat").iterdir() if path.suffix == ".py"}
    inner |= {path.name for path in (ROOT / "trio_chat").iterdir() if (path / "__init__.py").exists()}
    missing = inner - {"__init__", "__main__"} - set(TABLE)
    assert not missing, f"say in TABLE, and in docs/architecture.md, what may be imported by {missing}"


def test_the_table_has_no_way_round() -> None:
    """Whatever a package may import, it may import the imports of as well, but for the front door."""
    for package in set(TABLE) - {"trio_chat", "cli"}:
        reached = set(TABLE[package].ours)
        while more := {further for name in reached for further in TABLE[name].ours} - reached:
            reached |= more
        assert package not in reached, f"`{package}` imports itself by way of others"


@pytest.mark.parametrize(
    ("module", "source", "says"),
    [
        ("trio_chat.wire.codec", "import trio", "`wire` imports `trio`, which it never may"),
        ("trio_chat.hub.rooms", "from time import monotonic", "`hub` imports `time`, which it never may"),
        ("trio_chat.hub.rooms", "import trio.testing", "`hub` imports `trio`"),
        ("trio_chat.hub.rooms", "from trio_chat.server.session import x", "`hub` imports `server`"),
        ("trio_chat.hub.rooms", "from trio_chat import server", "`hub` imports `server`"),
        ("trio_chat.hub.rooms", "from .. import server", "`hub` imports `server`"),
        ("trio_chat.hub.rooms", "from ..server.session import x", "`hub` imports `server`"),
        ("trio_chat.hub.rooms", "from trio_chat import connect", "`hub` imports `trio_chat`"),
        ("trio_chat.journal.memory", "import trio_chat.hub.rooms as r", "`journal` imports `hub`"),
        ("trio_chat.net.dial", "def f():\n    import trio_chat.wire.codec", "line 2: `net` imports `wire`"),
        (
            "trio_chat.errors",
            "if TYPE_CHECKING:\n    import trio_chat.wire",
            "line 2: `errors` imports `wire`",
        ),
        ("trio_chat.testing.sweep", "import pytest", "`testing` imports `pytest`, which it never may"),
        ("trio_chat.client.chat", "from trio_chat.journal import store", "`client` imports `journal`"),
        ("loadtest.user", "from trio_chat import hub", "`loadtest` imports `hub`"),
        ("trio_chat.client.chat", "import loadtest", "`client` imports `loadtest`"),
        ("trio_chat.cli", "import trio", "`cli` imports `trio` at the top"),
        ("trio_chat.cli", "from trio_chat.server import serve", "`cli` imports `server` at the top"),
        ("trio_chat.cli", "class A:\n    import trio", "line 2: `cli` imports `trio` at the top"),
    ],
)
def test_a_wrong_direction_is_found(module: str, source: str, says: str) -> None:
    (fault,) = faults(module, source)
    assert says in fault


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("trio_chat.wire.codec", "import re, msgspec\nfrom trio_chat.wire.messages import Said"),
        ("trio_chat.wire.codec", "from .messages import Said\nfrom ..errors import BadMessage"),
        ("trio_chat.server.session", "import trio, socket, time\nfrom trio_chat import hub, net"),
        ("trio_chat.cli", "import click, os\nfrom trio_chat.errors import ChatError"),
        ("trio_chat.cli", "def serve():\n    import trio\n    from trio_chat.server import serve"),
        ("trio_chat", "from trio_chat.client.connect import connect"),
    ],
)
def test_a_right_direction_passes(module: str, source: str) -> None:
    assert faults(module, source) == []


def test_relative_imports_of_a_package_itself_are_read() -> None:
    source = "from . import rooms\nfrom ..server import session"
    assert [each.target for each in imports_of(source, "trio_chat.hub")] == [
        "trio_chat.hub.rooms",
        "trio_chat.server.session",
    ]
