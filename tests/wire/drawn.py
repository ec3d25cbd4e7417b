"""Messages for tests: what each type allows, read from the type itself."""

from typing import get_args

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from trio_chat.wire.messages import MAX_NUMBER, Command, Event

__all__ = ["COMMANDS", "EVENTS", "commands", "events", "least", "tag"]

COMMANDS: tuple[type[msgspec.Struct], ...] = get_args(Command)
EVENTS: tuple[type[msgspec.Struct], ...] = get_args(Event)


def tag(message: type[msgspec.Struct]) -> str:
    """The `type` of a message on the wire."""
    return str(message.__struct_config__.tag)


def least(message: type[msgspec.Struct]) -> dict[str, object]:
    """The smallest object that is this message: the fields it must have, as short as they may be."""
    needed = {field.encode_name: field for field in msgspec.structs.fields(message) if field.required}
    return {"type": tag(message)} | {name: _least(field.type) for name, field in needed.items()}


def _least(kind: object) -> object:
    match inspect.type_info(kind):
        case inspect.StrType(min_length=length):
            return "x" * (length or 0)
        case inspect.IntType(ge=low):
            return low or 0
        case inspect.BoolType():
            return False
        case inspect.ListType():
            return []
        case inspect.StructType(cls=part):
            return {field.name: _least(field.type) for field in msgspec.structs.fields(part)}
        case other:
            raise TypeError(f"no least value for {other}")


def _values(kind: inspect.Type) -> st.SearchStrategy[object]:
    match kind:
        case inspect.StrType(min_length=low, max_length=high):
            return st.text(min_size=low or 0, max_size=high)
        case inspect.IntType(ge=low, le=high):
            return st.integers(int(low or 0), MAX_NUMBER if high is None else int(high))
        case inspect.BoolType():
            return st.booleans()
        case inspect.ListType(item_type=item):
            return st.lists(_values(item), max_size=5)
        case inspect.StructType(cls=struct):
            return _struct(struct)
        case inspect.UnionType(types=types):
            return st.one_of([_values(each) for each in types])
        case other:
            raise TypeError(f"no values for {other}")


def _struct(struct: type[msgspec.Struct]) -> st.SearchStrategy[msgspec.Struct]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    needed = {field.name: _values(field.type) for field in info.fields if field.required}
    optional = {field.name: _values(field.type) for field in info.fields if not field.required}
    return st.fixed_dictionaries(needed, optional=optional).map(lambda fields: struct(**fields))


commands = st.one_of([_struct(command) for command in COMMANDS])
"""Any command that its type allows, optional fields there or not."""

events = st.one_of([_struct(event) for event in EVENTS])
"""Any event that a server of ours could send."""
