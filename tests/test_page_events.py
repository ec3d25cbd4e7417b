"""The page's table of events is held against the server's messages, so that no field is forgotten in it."""

import ast
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from msgspec import inspect

import trio_chat
from tests.wire.drawn import EVENTS, tag
from trio_chat.wire.messages import MAX_AT, Entry, UnsetType

SOURCE = (Path(trio_chat.__file__).parent / "page" / "events.js").read_text(encoding="utf-8")
ENTRIES = {tag(entry) for entry in get_args(Entry)}


def literal(name: str) -> ast.Dict:
    """Return an object literal of the page's module, as the dictionary that it is in Python, too."""
    found = re.search(rf"const {name} = (\{{.*?\}});\n", SOURCE, re.DOTALL)
    assert found, f"events.js has no {name}"
    whole = re.sub(r"(?<=[{,\n])(\s*)(\w+)(?=\s*[,}])", r"\1\2: \2", found[1])
    parsed = ast.parse(whole, mode="eval").body
    assert isinstance(parsed, ast.Dict)
    return parsed


def fields(shape: ast.expr) -> dict[str, str]:
    """Return the check of each field of a shape, without white space."""
    assert isinstance(shape, ast.Dict)
    made = {}
    for key, value in zip(shape.keys, shape.values, strict=True):
        assert isinstance(key, ast.Name)
        made[key.id] = "optional(text)" if key.id == ast.unparse(value) == "ref" else ast.unparse(value)
    return made


SHAPES = {
    key.id: literal(key.id) if key.id in ENTRIES else value
    for key, value in zip(literal("SHAPES").keys, literal("SHAPES").values, strict=True)
    if isinstance(key, ast.Name)
}


def check_of(kind: inspect.Type) -> str:
    """Return the check that the page needs for a type of the server."""
    match kind:
        case inspect.StrType():
            return "text"
        case inspect.IntType(le=most):
            return "time" if most == MAX_AT else "number"
        case inspect.BoolType():
            return "flag"
        case inspect.ListType(item_type=item):
            return f"list({check_of(item)})"
        case inspect.StructType(cls=cls):
            inner = ", ".join(f"{name}: {check}" for name, check in checks_of(cls).items())
            return f"object({{{inner}}})"
        case inspect.UnionType(types=types):
            structs = {each.cls for each in types if isinstance(each, inspect.StructType)}
            assert structs == set(get_args(Entry))
            return "entry"
        case other:
            raise TypeError(f"no check for {other}")


def checks_of(struct: type[msgspec.Struct]) -> dict[str, str]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    made = {}
    for field in info.fields:
        check = check_of(_without_unset(field.type))
        made[field.encode_name] = check if field.required else f"optional({check})"
    return made


def _without_unset(kind: inspect.Type) -> inspect.Type:
    if isinstance(kind, inspect.UnionType):
        known = [
            each
            for each in kind.types
            if not (isinstance(each, inspect.CustomType) and each.cls is UnsetType)
        ]
        return known[0] if len(known) == 1 else kind
    return kind


@pytest.mark.parametrize("event", EVENTS, ids=tag)
def test_the_page_checks_every_field_of_an_event(event: type[msgspec.Struct]) -> None:
    assert fields(SHAPES[tag(event)]) == checks_of(event)


def test_the_page_checks_no_other_event() -> None:
    assert set(SHAPES) == {tag(event) for event in EVENTS}


def test_the_page_has_the_bound_of_times() -> None:
    assert f"AT_MAX = {MAX_AT:_};" in SOURCE
