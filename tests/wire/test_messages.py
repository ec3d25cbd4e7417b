"""The exact form of every message: what commands refuse, what events forgive, how both look on the wire."""

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given

from tests.wire.drawn import COMMANDS, EVENTS, commands, events, least, tag
from trio_chat.errors import BadMessage
from trio_chat.wire.codec import decode_command, decode_event, encode
from trio_chat.wire.messages import MAX_NUMBER, VERSION, Command, Event, Hello, History, Join, Ping, Search

COMMAND_TYPES = {tag(command): command for command in COMMANDS}
EVENT_TYPES = {tag(event): event for event in EVENTS}


def decode(**fields: object) -> Command:
    return decode_command(json.dumps(fields).encode())


def test_commands_are_verbs_and_events_are_not() -> None:
    assert sorted(COMMAND_TYPES) == sorted(
        "hello join leave say topic whisper rename who rooms history search typing ping quit".split()
    )
    assert sorted(EVENT_TYPES) == sorted(
        "welcome room said retitled presence typing members rooms history found named whispered pong "
        "ack gap error bye".split()
    )


def test_any_command_may_carry_a_ref() -> None:
    for command in COMMANDS:
        assert decode(**least(command), ref="r1") == msgspec.convert(least(command) | {"ref": "r1"}, command)


@given(commands)
def test_a_command_comes_as_it_went(command: Command) -> None:
    assert decode_command(encode(command)) == command


@given(events)
def test_an_event_comes_as_it_went(event: Event) -> None:
    assert decode_event(encode(event)) == event


@given(commands | events)
def test_nothing_absent_is_on_the_wire(message: msgspec.Struct) -> None:
    """An optional field is left out: neither null, nor the value that stands for its absence."""
    sent = json.loads(encode(message))
    assert None not in sent.values()
    for field in msgspec.structs.fields(message):
        if not field.required and getattr(message, field.name) in ("", msgspec.UNSET):
            assert field.encode_name not in sent


def wrong_values() -> Iterator[object]:
    """A command, a field of it, and a JSON value that is of none of its types."""
    for command in COMMANDS:
        for field in msgspec.structs.fields(command):
            values = ["null", "1.5", "1.0", "{}", "[]"]
            kind = msgspec.inspect.type_info(field.type)
            values += ['"1"'] if isinstance(kind, msgspec.inspect.IntType) else ["1"]
            values += [] if isinstance(kind, msgspec.inspect.BoolType) else ["true"]
            for value in values:
                if (field.name, value) == ("version", "1"):
                    continue
                yield pytest.param(command, field.name, value, id=f"{tag(command)}-{field.name}-{value}")


@pytest.mark.parametrize(("command", "field", "value"), list(wrong_values()))
def test_a_wrong_type_is_refused_by_name(command: type[msgspec.Struct], field: str, value: str) -> None:
    fields = {name: json.dumps(each) for name, each in least(command).items()} | {field: value}
    payload = "{" + ", ".join(f'"{name}": {each}' for name, each in fields.items()) + "}"
    with pytest.raises(BadMessage) as caught:
        decode_command(payload.encode())
    assert caught.value.field == field


@pytest.mark.parametrize("command", COMMANDS, ids=tag)
def test_a_missing_field_is_named(command: type[msgspec.Struct]) -> None:
    whole = least(command)
    for missing in whole:
        with pytest.raises(BadMessage) as caught:
            decode(**{name: value for name, value in whole.items() if name != missing})
        assert caught.value.field == missing


@pytest.mark.parametrize("command", COMMANDS, ids=tag)
def test_an_unknown_field_is_named(command: type[msgspec.Struct]) -> None:
    with pytest.raises(BadMessage) as caught:
        decode(**least(command), shout=True, ref="r1")
    assert (caught.value.field, caught.value.ref) == ("shout", "r1")


@pytest.mark.parametrize("event", EVENTS, ids=tag)
def test_an_event_may_grow(event: type[msgspec.Struct]) -> None:
    grown = least(event) | {"later": {"deeply": [1, None, {}]}}
    assert decode_event(json.dumps(grown).encode()) == msgspec.convert(least(event), event)


@pytest.mark.parametrize("event", EVENTS, ids=tag)
def test_a_server_that_gets_an_event_wrong_is_told(event: type[msgspec.Struct]) -> None:
    """Unknown fields are ignored; a missing or invalid field is an error."""
    for name in least(event):
        with pytest.raises(BadMessage) as caught:
            decode_event(json.dumps(least(event) | {name: 1.5}).encode())
        assert caught.value.field == name


@pytest.mark.parametrize(
    ("command", "field", "low", "high"),
    [
        (Join, "recent", 0, 200),
        (Join, "after", 0, MAX_NUMBER),
        (History, "before", 0, MAX_NUMBER),
        (History, "after", 0, MAX_NUMBER),
        (History, "limit", 1, 200),
        (Search, "before", 0, MAX_NUMBER),
        (Search, "limit", 1, 100),
        (Ping, "n", 0, MAX_NUMBER),
    ],
)
def test_numbers_have_bounds(command: type[msgspec.Struct], field: str, low: int, high: int) -> None:
    for within in (low, high):
        assert getattr(decode(**least(command) | {field: within}), field) == within
    for beyond in (low - 1, high + 1, -(2**63) - 1, 2**64):
        with pytest.raises(BadMessage) as caught:
            decode(**least(command) | {field: beyond})
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("kind", "field", "longest"),
    [
        *[(kind, "ref", 64) for kind in COMMAND_TYPES],
        ("hello", "token", 64),
        ("hello", "agent", 128),
        ("join", "epoch", 64),
        ("quit", "reason", 128),
    ],
)
def test_labels_have_bounds(kind: str, field: str, longest: int) -> None:
    """In characters, whatever they are in bytes, and never empty."""
    command = least(COMMAND_TYPES[kind])
    for within in ("a", "é" * longest):
        assert getattr(decode(**command | {field: within}), field) == within
    for beyond in ("", "a" * (longest + 1)):
        with pytest.raises(BadMessage) as caught:
            decode(**command | {field: beyond})
        assert caught.value.field == field


def test_the_version_is_ours() -> None:
    assert decode(type="hello", version=VERSION, name="ada") == Hello(version=1, name="ada")


@pytest.mark.parametrize("message", COMMANDS + EVENTS, ids=lambda message: message.__name__)
def test_messages_are_values(message: type[msgspec.Struct]) -> None:
    one, same = (msgspec.convert(least(message), message) for _ in range(2))
    assert one == same
    assert not message.__struct_config__.gc, "the collector walks every message of every connection"
    first = msgspec.structs.fields(message)[0].name
    with pytest.raises(AttributeError):
        setattr(one, first, "changed")
