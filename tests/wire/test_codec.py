"""Payloads in, messages out, and one error for everything else, whatever the decoder raised."""

import json
import tracemalloc
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.wire.drawn import commands, events
from trio_chat.errors import BadMessage, FrameError
from trio_chat.wire.codec import decode_command, decode_entry, decode_event, encode
from trio_chat.wire.messages import (
    MAX_AT,
    MAX_NUMBER,
    Command,
    Event,
    Hello,
    Join,
    Ping,
    Pong,
    Said,
    Say,
    ServerLimits,
    TopicChanged,
)

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def refused(payload: bytes) -> BadMessage:
    with pytest.raises(BadMessage) as caught:
        decode_command(payload)
    assert caught.value.code == "bad_message"
    return caught.value


@given(st.binary() | ANY_JSON.map(lambda value: json.dumps(value).encode()))
@example(b"")
@example(b"\xff")
@example(b'{"type":"hello","version":2}')
def test_garbage_is_a_message_or_the_one_error(payload: bytes) -> None:
    for decode in (decode_command, decode_event):
        try:
            decode(payload)
        except (BadMessage, FrameError) as error:
            assert error.detail.isprintable()
            assert len(error.detail) <= 2000
        else:
            assert isinstance(json.loads(payload), dict)


@given(commands | events, st.data())
def test_a_damaged_message_is_a_message_or_the_one_error(
    message: Command | Event, data: st.DataObject
) -> None:
    payload = bytearray(encode(message))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] = data.draw(st.integers(0, 255))
    for decode in (decode_command, decode_event):
        try:
            decode(bytes(payload))
        except (BadMessage, FrameError) as error:
            assert error.detail


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"\xff", id="no such byte"),
        pytest.param(b"\xc3", id="cut short"),
        pytest.param(b"\xc0\xaf", id="overlong"),
        pytest.param(b"\xe0\x80\xaf", id="overlong in three"),
        pytest.param(b"\xed\xa0\x80", id="surrogate"),
        pytest.param(b"\xf4\x90\x80\x80", id="beyond the last"),
        pytest.param(b"\\ud800", id="escaped high surrogate"),
        pytest.param(b"\\udc00", id="escaped low surrogate"),
        pytest.param(b"\\ud800\\ud800", id="two high surrogates"),
    ],
)
def test_what_is_not_unicode_is_refused(text: bytes) -> None:
    refused(b'{"type":"say","room":"lobby","text":"' + text + b'"}')
    refused(b'{"type":"say","room":"lobby","text":"a","' + text + b'":"b"}')


def test_escapes_are_read() -> None:
    said = decode_command(rb'{"type":"say","room":"lobby","text":"\ud83d\ude00 \u00e9\n\/"}')
    assert said == Say("lobby", "😀 é\n/")


@pytest.mark.parametrize("depth", [1_000, 10_000, 30_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["lists", "objects"])
def test_depth_is_refused(depth: int, opening: bytes) -> None:
    """Wherever it stands, and whether or not it is more than this Python's recursion takes."""
    closing = b"]" if opening == b"[" else b"}"
    deep = opening * depth + b"1" + closing * depth
    for payload in (
        deep,
        b'{"type":"ping","n":' + deep + b"}",
        b'{"type":"ping","x":' + deep + b"}",
        b'{"x":' + deep + b',"type":"ping"}',
        b'{"type":"hello","version":' + deep + b"}",
        opening * depth,
    ):
        refused(payload)
    with pytest.raises(BadMessage):
        decode_event(b'{"n":' + deep + b',"type":"pong"}')


@pytest.mark.parametrize(
    "number", ["9" * 60_000, "-" + "9" * 60_000, "1e999999", "1" + "0" * 400, "NaN", "Infinity"]
)
def test_impossible_numbers_are_refused(number: str) -> None:
    refused(f'{{"type":"ping","n":{number}}}'.encode())
    refused(f'{{"type":"hello","version":{number},"name":"ada"}}'.encode())
    refused(f'{{"type":"ping","ref":{number}}}'.encode())


@pytest.mark.parametrize(
    "payload",
    [
        b"null",
        b"1",
        b'"ping"',
        b"[]",
        b'[{"type":"ping"}]',
        b"{}",
        b'{"type":"ping"',
        b'{"type":"ping"}{"type":"ping"}',
        b'{"type":"ping",}',
        b"{'type':'ping'}",
        b'{type:"ping"}',
        b'{"type":"ping"} // a comment',
        b'\xef\xbb\xbf{"type":"ping"}',
        b'{"type":"ping"}\x00',
        '{"type":"ping"}'.encode("utf-16"),
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
)
def test_what_is_no_object_of_json_is_refused(payload: bytes) -> None:
    refused(payload)
    with pytest.raises(BadMessage):
        decode_event(payload.replace(b"ping", b"pong"))


def test_white_space_round_an_object_is_json() -> None:
    assert decode_command(b' \r\n\t{ "type" : "ping" } \n') == Ping()


def test_the_type_may_stand_anywhere() -> None:
    assert decode_command(b'{"ref":"r1","n":1,"type":"ping"}') == Ping(1, "r1")


def test_of_a_field_given_twice_the_last_counts() -> None:
    """As with nearly every decoder of JSON; a second `type` may not say something else."""
    assert decode_command(b'{"type":"ping","n":1,"n":2}') == Ping(2)
    assert refused(b'{"type":"ping","type":"quit"}').field == "type"
    assert refused(b'{"type":"ping","n":1,"n":null}').field == "n"


@pytest.mark.parametrize("kind", ["shout", "Ping", "ping ", "", "said", "welcome"])
def test_an_unknown_command_is_refused(kind: str) -> None:
    error = refused(json.dumps({"type": kind, "ref": "r1"}).encode())
    assert (error.field, error.ref) == ("type", "r1")


@pytest.mark.parametrize("kind", ["shouted", "Pong", "", "hello", "ping"])
def test_an_unknown_event_is_none(kind: str) -> None:
    assert decode_event(json.dumps({"type": kind, "x": [1]}).encode()) is None


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"shouted"',
        b'{"type":"shouted"} x',
        b'{"type":"shouted",}',
        b'{"type":1}',
        b'{"type":null}',
        b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b',"type":"shouted"}',
    ],
)
def test_an_unknown_event_is_still_an_object_with_a_type(payload: bytes) -> None:
    with pytest.raises(BadMessage):
        decode_event(payload)


def test_an_entry_of_unknown_type_inside_a_page_is_refused() -> None:
    with pytest.raises(BadMessage) as caught:
        decode_event(b'{"type":"history","room":"lobby","more":false,"entries":[{"type":"shouted"}]}')
    assert caught.value.field == "entries"


@pytest.mark.parametrize(
    "number", ["-1", "9007199254740992", "1" + "0" * 400, "1" + "0" * 5_000, "1.5", "null"]
)
def test_a_number_out_of_range_is_refused_in_events_too(number: str) -> None:
    with pytest.raises(BadMessage):
        decode_event(b'{"type":"pong","n":%s}' % number.encode())


def test_every_number_of_an_event_has_a_range() -> None:
    """But for those of `limits`, which a client checks one by one."""

    def unbounded(found: object) -> Iterator[str]:
        match found:
            case msgspec.inspect.StructType(cls=cls, fields=fields) if cls is not ServerLimits:
                for field in fields:
                    if field.name == "at":
                        is_bounded = field.type == msgspec.inspect.IntType(ge=0, le=MAX_AT)
                        yield from () if is_bounded else (f"{cls.__name__}.at is beyond the calendar",)
                        continue
                    yield from (f"{cls.__name__}.{field.name}" + inner for inner in unbounded(field.type))
            case msgspec.inspect.ListType(item_type=item):
                yield from unbounded(item)
            case msgspec.inspect.UnionType(types=types):
                for each in types:
                    yield from unbounded(each)
            case msgspec.inspect.IntType(ge=0, le=most) if most == MAX_NUMBER:
                pass
            case msgspec.inspect.IntType():
                yield " has no range"
            case _:
                pass

    assert list(unbounded(msgspec.inspect.type_info(Event))) == []


@pytest.mark.parametrize("version", [0, 2, 99, MAX_NUMBER])
@pytest.mark.parametrize("more", [{"name": "ada"}, {}, {"name": None}, {"name": "ada", "flags": ["x"]}])
def test_another_version_is_told_which_is_ours(version: int, more: dict[str, object]) -> None:
    """Whatever else its hello holds: its fields are those of another version."""
    with pytest.raises(FrameError) as caught:
        decode_command(json.dumps({"type": "hello", "version": version, "ref": "r1", **more}).encode())
    assert (caught.value.code, caught.value.ref) == ("version", "r1")
    assert caught.value.detail == "this server speaks version 1"


@pytest.mark.parametrize("version", ["1", 1.0, 2.5, True, False, None, [2], -1, MAX_NUMBER + 1])
def test_what_is_no_number_of_ours_is_no_version(version: object) -> None:
    assert (
        refused(json.dumps({"type": "hello", "version": version, "name": "ada"}).encode()).field == "version"
    )


def test_a_version_is_only_that_of_a_hello() -> None:
    assert refused(b'{"type":"ping","version":2}').field == "version"


@pytest.mark.parametrize("ref", [1, None, "", "a" * 65, ["a"]])
def test_an_invalid_ref_is_not_sent_back(ref: object) -> None:
    error = refused(json.dumps({"type": "ping", "ref": ref}).encode())
    assert (error.field, error.ref) == ("ref", "")


def test_a_refusal_shows_the_peers_words_on_one_line() -> None:
    error = refused(rb'{"type":"ping","a\n\u001b[31m\u202e":1}')
    assert error.detail == r"Object contains unknown field `a\n\x1b[31m\u202e`"
    assert error.field == "a\n\x1b[31m\u202e"


def test_a_refusal_stays_small() -> None:
    error = refused(json.dumps({"type": "ping", "a" * 60_000: 1}).encode())
    assert len(error.field) == 64
    assert len(error.detail) == 200


def test_an_entry_is_read_back_from_a_journal() -> None:
    for entry in (Said("lobby", 1, 2, "ada", "hi", action=True), TopicChanged("lobby", 2, 3, "ada", "")):
        assert decode_entry(encode(entry)) == entry


def test_messages_look_on_the_wire_as_the_protocol_says() -> None:
    assert encode(Hello(version=1, name="ada")) == b'{"type":"hello","version":1,"name":"ada"}'
    assert encode(Join("lobby", recent=0)) == b'{"type":"join","room":"lobby","recent":0}'
    assert encode(Say("lobby", "hé")) == '{"type":"say","room":"lobby","text":"hé"}'.encode()
    assert encode(Pong()) == b'{"type":"pong"}'


@pytest.mark.parametrize("field", ["type", "version", "ref"])
def test_a_large_value_where_a_short_one_belongs_is_not_even_decoded(field: str) -> None:
    """Twenty thousand lists would take two milliseconds, and the memory of a thousand messages."""
    payload = b'{"type":"hello","version":2,"%s":[%s[]]}' % (field.encode(), b"[]," * 20_000)
    tracemalloc.start()
    try:
        with pytest.raises((BadMessage, FrameError)):
            decode_command(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(payload), "the lists would take twenty times as much"
