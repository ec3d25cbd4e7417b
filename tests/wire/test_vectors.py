"""docs/vectors.json, run against our own code: what other languages' clients are told is what we do."""

import json
from pathlib import Path
from typing import Any

import pytest

from trio_chat.dialects.websocket import WebSocketCommands
from trio_chat.errors import BadMessage, FrameError, Refused
from trio_chat.hub.names import check_text, prepare_name, prepare_room
from trio_chat.wire.codec import decode_command, decode_event, encode
from trio_chat.wire.framing import FrameReader, pack
from trio_chat.wire.messages import Command, Event

PATH = Path(__file__).parents[2] / "docs" / "vectors.json"
VECTORS: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
RUN: set[str] = {"joins", "mentions", "links"}
"""The lists that are run; these by tests/server/test_join_vectors.py and tests/browser/pure/text.js."""

Vector = dict[str, Any]


def each(name: str) -> pytest.MarkDecorator:
    """A test for each vector of a list."""
    RUN.add(name)
    return pytest.mark.parametrize(
        "vector", [pytest.param(vector, id=f"{name}-{vector['about']}") for vector in VECTORS[name]]
    )


def shown(message: object) -> object:
    return json.loads(encode(message))


def payload_of(vector: Vector) -> bytes:
    return bytes.fromhex(vector["hex"]) if "hex" in vector else vector["payload"].encode()


def either(payload: bytes) -> Command | Event | None:
    try:
        return decode_command(payload)
    except BadMessage:
        return decode_event(payload)


@each("frames")
def test_frames(vector: Vector) -> None:
    frames = bytes.fromhex(vector["hex"])
    payloads = list(FrameReader().feed(frames))
    assert [json.loads(payload) for payload in payloads] == vector["payloads"]
    assert pack([encode(either(payload)) for payload in payloads]) == frames


@each("streams")
def test_streams(vector: Vector) -> None:
    stream, reader = bytes.fromhex(vector["hex"]), FrameReader()
    payloads: list[bytes] = []
    assert sum(vector["pieces"]) == len(stream)
    for size in vector["pieces"]:
        payloads += reader.feed(stream[:size])
        stream = stream[size:]
    assert [json.loads(payload) for payload in payloads] == vector["payloads"]
    assert not reader.inside_frame


@each("refused_streams")
def test_refused_streams(vector: Vector) -> None:
    coming = FrameReader(vector["limit"]).feed(bytes.fromhex(vector["hex"]))
    for expected in vector["payloads"]:
        assert json.loads(next(coming)) == expected
    with pytest.raises(FrameError) as caught:
        next(coming)
    assert caught.value.code == vector["code"]


@each("commands")
def test_commands(vector: Vector) -> None:
    """What is left out and what is said to be the default are the same to us, and to us only."""
    command = decode_command(payload_of(vector))
    assert command == decode_command(json.dumps(vector["message"]).encode())
    assert shown(command).items() <= vector["message"].items()  # type: ignore[attr-defined]  # an object


@each("refused_commands")
def test_refused_commands(vector: Vector) -> None:
    with pytest.raises((BadMessage, FrameError)) as caught:
        decode_command(payload_of(vector))
    error = caught.value
    assert error.code == vector["code"]
    assert getattr(error, "field", "") == vector.get("field", "")
    assert getattr(error, "ref", "") == vector.get("ref", "")
    assert isinstance(error, FrameError) == (error.code == "version")


@each("websocket_messages")
def test_websocket_messages(vector: Vector) -> None:
    message = vector["payload"].encode()
    reader = WebSocketCommands()
    masked = bytes((0x81, 0x80 | len(message))) + bytes(4) + message  # a mask of zeros hides nothing
    heard = [each for each in reader.feed(masked) if each is not None]
    assert [None if isinstance(each, BadMessage) else shown(each) for each in heard] == vector["messages"]


@each("events")
def test_events(vector: Vector) -> None:
    event = decode_event(payload_of(vector))
    assert (event and shown(event)) == vector["message"]


@each("refused_events")
def test_refused_events(vector: Vector) -> None:
    with pytest.raises(BadMessage):
        decode_event(payload_of(vector))


@each("names")
def test_names(vector: Vector) -> None:
    assert prepare_name(vector["raw"]) == (vector["shown"], vector["key"])


@each("rooms")
def test_rooms(vector: Vector) -> None:
    assert prepare_room(vector["raw"]) == (vector["shown"], vector["key"])


@each("refused_names")
def test_refused_names(vector: Vector) -> None:
    with pytest.raises(Refused) as caught:
        prepare_name(vector["raw"])
    assert caught.value.code == vector["code"]


@each("refused_rooms")
def test_refused_rooms(vector: Vector) -> None:
    with pytest.raises(Refused) as caught:
        prepare_room(vector["raw"])
    assert caught.value.code == vector["code"]


@each("texts")
def test_texts(vector: Vector) -> None:
    code = None
    try:
        check_text(vector["text"] * vector["times"], bytes_max=4_096, lines_max=100)
    except Refused as refused:
        code = refused.code
    assert code == vector["code"]


def test_no_list_is_left_out() -> None:
    assert set(VECTORS) - {"about"} == RUN
    for name in RUN:
        about = [vector["about"] for vector in VECTORS[name]]
        assert len(set(about)) == len(about), f"two vectors of {name} are about the same"


def test_every_message_can_be_read_by_people() -> None:
    """Nothing invisible stands in the file: what cannot be seen is escaped."""
    assert all(line.isprintable() for line in PATH.read_text(encoding="utf-8").splitlines())
