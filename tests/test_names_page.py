"""docs/names.md translates names of older documents to names that exist."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "names.md").read_text(encoding="utf-8")
NEW = re.findall(r"^\| [^|]+ \| `([^`|]+)` \|", PAGE, re.MULTILINE)
SOURCES = [path for top in ("trio_chat", "loadtest", "tests") for path in (ROOT / top).rglob("*.py")]
CODE = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
PAGE_CODE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "trio_chat" / "page").glob("*.js"))


def exists(name: str) -> bool:
    """Whether a file, a class, a function, a method, an attribute or a constant has this name."""
    if "/" in name or name.endswith((".py", ".js", ".css")):
        return any((ROOT / top / name).exists() for top in ("", "trio_chat", "trio_chat/page"))
    last = re.escape(name.rpartition(".")[2])
    return bool(
        re.search(rf"^\s*(?:class|def|async def) {last}\b|^\s*(?:self\.)?{last}\s*[:=]", CODE, re.MULTILINE)
        or re.search(
            rf"^\s*(?:export )?(?:class|function|const|let|async|#)?\s*{last}\b", PAGE_CODE, re.MULTILINE
        )
    )


def test_there_are_names() -> None:
    assert len(NEW) > 100


@pytest.mark.parametrize("name", NEW)
def test_a_new_name_exists(name: str) -> None:
    assert exists(name)


def test_a_name_that_is_not_there_is_found_out() -> None:
    assert not exists("server/owed.py") and not exists("OutboundQueue" + "Z")


def test_no_two_public_classes_have_one_name() -> None:
    """One name, one thing. A class inside another one, or with an underscore in front, is not public."""
    names = Counter(
        node.name
        for top in ("trio_chat", "loadtest")
        for path in (ROOT / top).rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []
