"""The dialect of frames: a server's half and a client's half, held against each other."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.drawn import commands, events
from trio_chat.dialects import CommandReader, Packing
from trio_chat.dialects.frames import FRAMES, FrameCommands, FrameEvents
from trio_chat.errors import BadMessage, FrameError
from trio_chat.wire.codec import encode
from trio_chat.wire.framing import FRAME_BYTES_MAX, HELLO_BYTES_MAX, pack
from trio_chat.wire.messages import Command, Event, Hello, Ping, Pong, Said


def welcomed() -> FrameCommands:
    reader = FrameCommands()
    reader.welcomed()
    return reader


def ping_of(size: int) -> bytes:
    """A frame whose payload is a ping and has exactly so many bytes: white space is JSON too."""
    return pack([b'{"type":"ping"}'.ljust(size)])


def test_the_halves_are_what_a_server_asks_for() -> None:
    reader: CommandReader = FrameCommands()
    packing: Packing = FRAMES
    assert not reader.inside_frame
    assert packing.pack([]) == b""


@given(st.lists(commands, max_size=5))
def test_commands_reach_the_server(sent: list[Command]) -> None:
    assert list(welcomed().feed(b"".join(map(FrameEvents.pack, sent)))) == sent


@given(st.lists(events, max_size=5))
def test_events_reach_the_client(sent: list[Event]) -> None:
    assert FrameEvents().feed(FRAMES.pack([encode(event) for event in sent])) == sent


def test_what_is_no_command_stands_in_its_place() -> None:
    first, wrong, last = welcomed().feed(
        pack([b'{"type":"ping","n":1}', b'{"ref":"r1"}', b'{"type":"ping"}'])
    )
    assert (first, last) == (Ping(1), Ping())
    assert isinstance(wrong, BadMessage)
    assert (wrong.field, wrong.ref) == ("type", "r1")


def test_a_stranger_gets_less_to_fill_than_who_is_welcome() -> None:
    reader = FrameCommands()
    assert list(reader.feed(ping_of(HELLO_BYTES_MAX))) == [Ping()]
    reader.welcomed()
    assert list(reader.feed(ping_of(FRAME_BYTES_MAX))) == [Ping()]
    with pytest.raises(FrameError, match="65537 bytes, the limit is 65536"):
        list(reader.feed(ping_of(FRAME_BYTES_MAX + 1)))
    with pytest.raises(FrameError, match="8193 bytes, the limit is 8192"):
        list(FrameCommands().feed(ping_of(HELLO_BYTES_MAX + 1)))


def test_a_welcome_counts_for_what_follows_in_the_same_piece() -> None:
    reader = FrameCommands()
    coming = reader.feed(pack([encode(Hello(version=1, name="ada"))]) + ping_of(HELLO_BYTES_MAX + 1))
    assert next(coming) == Hello(version=1, name="ada")
    reader.welcomed()
    assert next(coming) == Ping()


def test_the_limits_are_given() -> None:
    reader = FrameCommands(hello_bytes=20, frame_bytes=30)
    assert list(reader.feed(ping_of(20))) == [Ping()]
    reader.welcomed()
    assert list(reader.feed(ping_of(30))) == [Ping()]
    with pytest.raises(FrameError):
        list(reader.feed(ping_of(31)))
    with pytest.raises(FrameError, match="limit is 30"):
        list(FrameCommands(hello_bytes=40, frame_bytes=30).feed(ping_of(31)))


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"\xff\xff\xff\xff", "frame_too_large"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "frame_too_large"),
        (b"\x16\x03\x01\x02\x00\x01", "frame_too_large"),
        (b"GET / HTTP/1.1\r\n\r\n", "frame_too_large"),
        (b"\x00\x00\x00\x00", "bad_frame"),
        (pack([b'{"type":"hello","version":2}']), "version"),
    ],
)
def test_what_cannot_go_on_is_raised_after_what_came_before(stream: bytes, code: str) -> None:
    coming = FrameCommands().feed(ping_of(15) + stream + ping_of(15))
    assert next(coming) == Ping()
    with pytest.raises(FrameError) as caught:
        next(coming)
    assert caught.value.code == code


def halves() -> Iterator[FrameCommands | FrameEvents]:
    yield FrameCommands()
    yield FrameEvents()


@pytest.mark.parametrize("half", list(halves()), ids=["server", "client"])
def test_a_half_knows_whether_a_frame_has_begun(half: FrameCommands | FrameEvents) -> None:
    frame = pack([json.dumps({"type": "typing", "room": "lobby", "by": "ada"}).encode()])
    assert list(half.feed(frame[:7])) == []
    assert half.inside_frame
    list(half.feed(frame[7:]))
    assert not half.inside_frame


def test_a_client_passes_over_events_of_another_time() -> None:
    said = Said("lobby", 1, 2, "ada", "hi")
    payloads = [encode(said), b'{"type":"shouted","room":"lobby"}', encode(Pong(1))]
    assert FrameEvents().feed(pack(payloads)) == [said, Pong(1)]


@pytest.mark.parametrize("payload", [b"garbage", b'{"type":"said"}', b'{"type":"pong","n":"1"}'])
def test_a_client_listens_no_further_to_a_server_of_garbage(payload: bytes) -> None:
    with pytest.raises(BadMessage):
        FrameEvents().feed(pack([payload]))
    with pytest.raises(FrameError):
        FrameEvents().feed(b"\x00\x00\x00\x00")


def test_a_send_in_part_is_rounded_up_to_whole_frames() -> None:
    packed = FRAMES.pack([b"{}", b"{}"])
    assert [FRAMES.frame_boundary(packed, sent) for sent in range(len(packed) + 1)] == [0] + [6] * 6 + [
        12
    ] * 6
