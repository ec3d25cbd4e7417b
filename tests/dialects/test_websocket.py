"""The dialect of WebSocket: a server's half and a client's half, held against each other and another."""

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from tests.wire.drawn import commands, events
from trio_chat.dialects import CommandReader, Control, EventReader, Packing
from trio_chat.dialects.websocket import CLOSE_CODES, WEBSOCKET, WebSocketCommands, WebSocketEvents
from trio_chat.errors import BadMessage, FrameError
from trio_chat.wire.codec import encode
from trio_chat.wire.framing import FRAME_BYTES_MAX, HELLO_BYTES_MAX
from trio_chat.wire.messages import Command, Event, Hello, Ping, Pong, Said

PING = b'{"type":"ping"}'
MASK = b"\x07\x00\xff\x5a"


def masks() -> Callable[[], bytes]:
    random = Random(0)
    return lambda: random.randbytes(4)


def welcomed() -> WebSocketCommands:
    reader = WebSocketCommands()
    reader.welcomed()
    return reader


def frame(payload: bytes = b"", *, first: int = 0x81, mask: bytes | None = MASK) -> bytes:
    """A frame as a client makes it, or one that differs in just what a test is about."""
    size = len(payload)
    masked = 0 if mask is None else 0x80
    if size < 126:
        header = bytes((first, masked | size))
    elif size < 65_536:
        header = bytes((first, masked | 126)) + size.to_bytes(2)
    else:
        header = bytes((first, masked | 127)) + size.to_bytes(8)
    if mask is None:
        return header + payload
    return header + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def taken(reader: WebSocketCommands, data: bytes) -> list[Command | BadMessage | Control]:
    return [each for each in reader.feed(data) if each is not None]


def ping_of(size: int) -> bytes:
    return frame(PING.ljust(size))


def test_the_halves_are_what_server_and_client_ask_for() -> None:
    reader: CommandReader = WebSocketCommands()
    packing: Packing = WEBSOCKET
    client: EventReader = WebSocketEvents(masks())
    assert not reader.inside_frame and not client.inside_frame
    assert packing.pack([]) == b""


@given(st.lists(commands, max_size=5))
def test_commands_reach_the_server(sent: list[Command]) -> None:
    client = WebSocketEvents(masks())
    assert taken(welcomed(), b"".join(client.frame(encode(command)) for command in sent)) == sent


@given(st.lists(commands, min_size=1, max_size=5))
def test_several_commands_may_share_a_message(sent: list[Command]) -> None:
    assert taken(welcomed(), frame(b"\n".join(map(encode, sent)))) == sent


@given(st.lists(events, max_size=5))
def test_events_reach_the_client(sent: list[Event]) -> None:
    assert WebSocketEvents(masks()).feed(WEBSOCKET.pack([encode(event) for event in sent])) == sent


@pytest.mark.parametrize("size", [1, 125, 126, 127, 65_535, 65_536])
def test_lengths_of_every_kind_are_what_another_implementation_reads(size: int) -> None:
    other = Connection(ConnectionType.CLIENT)
    other.receive_data(WEBSOCKET.pack([b"x" * size]))
    texts = [event.data for event in other.events() if isinstance(event, TextMessage)]
    assert "".join(texts) == "x" * size
    server = Connection(ConnectionType.SERVER)
    server.receive_data(WebSocketEvents(masks()).frame(b"y" * size))
    texts = [event.data for event in server.events() if isinstance(event, TextMessage)]
    assert "".join(texts) == "y" * size


def test_a_batch_is_one_message_up_to_the_maximum_size_of_a_message() -> None:
    said = [encode(Said("lobby", seq, 2, "ada", "x" * 4_000)) for seq in range(40)]
    assert WEBSOCKET.pack(said[:3])[4:] == b"\n".join(said[:3])
    packed = WEBSOCKET.pack(said)
    other = Connection(ConnectionType.CLIENT)
    other.receive_data(packed)
    messages: list[str] = [""]
    for event in other.events():
        assert isinstance(event, TextMessage)
        messages[-1] += event.data
        if event.message_finished:
            messages.append("")
    assert messages.pop() == "" and len(messages) == 3
    assert max(map(len, messages)) <= FRAME_BYTES_MAX
    assert "\n".join(messages).encode() == b"\n".join(said)
    half = FRAME_BYTES_MAX // 2
    assert WEBSOCKET.pack([b"a" * half, b"b" * (half - 1)])[1] & 127 == 127  # exactly the bound: one
    assert WEBSOCKET.pack([b"a" * half, b"b" * half])[1] & 127 == 126  # one more: two


def test_what_the_dialect_says_for_itself_stands_in_its_place() -> None:
    packed = WEBSOCKET.pack([b"{}", b"{}", Control(b"\x8a\x00"), b"{}", Control(b"\x88\x00")])
    assert packed == b"\x81\x05{}\n{}" + b"\x8a\x00" + b"\x81\x02{}" + b"\x88\x00"


def test_a_send_in_part_is_rounded_up_to_whole_frames() -> None:
    frames = [
        WEBSOCKET.pack([b"{}"]),
        b"\x8a\x00",
        WEBSOCKET.pack([b"x" * 300]),
        WEBSOCKET.pack([b"x" * 65_536]),
    ]
    packed = b"".join(frames)
    ends = [sum(map(len, frames[: n + 1])) for n in range(4)]
    for sent in (1, 3, 4, 5, 6, 7, 8, 309, 310, 311, 400, 65_855, len(packed)):
        assert WEBSOCKET.frame_boundary(packed, sent) == next(end for end in ends if end >= sent)
    assert WEBSOCKET.frame_boundary(packed, 0) == 0


# --- what comes in ----------------------------------------------------------------------------------------

STREAM = b"".join(
    [
        frame(encode(Hello(version=1, name="ada"))),
        frame(b"are you there", first=0x89),
        frame(b'{"type":"pi', first=0x01),
        frame(b"and now?", first=0x89),
        frame(b"", first=0x00),
        frame(b'ng","n":7}\n{"type":"ping"}', first=0x80),
        frame('{"type":"ping","ref":"\N{SNOWMAN}"}'.encode()),
        frame(b"unasked", first=0x8A),
        frame(b"\x03\xe8gone", first=0x88),
        frame(PING),
    ]
)
HEARD = [
    Hello(version=1, name="ada"),
    Control(b"\x8a\x0dare you there"),
    Control(b"\x8a\x08and now?"),
    Ping(7),
    Ping(),
    Ping(ref="\N{SNOWMAN}"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12).map(sorted))
def test_any_split_of_the_bytes_gives_the_same(cuts: list[int]) -> None:
    reader = welcomed()
    heard = []
    for start, stop in zip([0, *cuts], [*cuts, len(STREAM)], strict=True):
        heard += taken(reader, STREAM[start:stop])
    assert heard == HEARD
    assert reader.ended
    assert reader.close_frame("") == b"\x88\x02\x03\xe8"


@given(st.binary(max_size=200))
def test_noise_gives_commands_or_the_one_error(noise: bytes) -> None:
    reader = WebSocketCommands()
    try:
        list(reader.feed(noise))
    except FrameError as error:
        assert error.code in ("bad_frame", "frame_too_large", "version")
        assert reader.close_frame(error.code) is not None


SNOWMAN = "\N{SNOWMAN}".encode()


@pytest.mark.parametrize(
    ("broken", "close_code"),
    [
        (frame(PING, mask=None), 1002),
        (frame(PING, first=0xC1), 1002),
        (frame(PING, first=0xA1), 1002),
        (frame(PING, first=0x91), 1002),
        (frame(PING, first=0x83), 1002),
        (frame(PING, first=0x8B), 1002),
        (frame(PING, first=0x80), 1002),
        (frame(PING, first=0x01) + frame(PING, first=0x01), 1002),
        (frame(b"p", first=0x09), 1002),
        (frame(b"p" * 126, first=0x89), 1002),
        (b"\x81\xfe\x00\x05" + MASK + b"hello", 1002),
        (b"\x81\xff\x80" + bytes(7) + MASK, 1002),
        (frame(PING, first=0x82), 1003),
        (frame(b'{"type":"\xff"}'), 1007),
        (frame(b"\xed\xa0\x80"), 1007),
        (frame(SNOWMAN[:2], first=0x01) + frame(b"", first=0x80), 1007),
        (frame(SNOWMAN[:2], first=0x01) + frame(b"x" + SNOWMAN[2:], first=0x80), 1007),
        (frame(b"\x03", first=0x88), 1002),
        (frame(b"\x03\xe7", first=0x88), 1002),
        (frame(b"\x03\xec", first=0x88), 1002),
        (frame(b"\x03\xed", first=0x88), 1002),
        (frame(b"\x03\xee", first=0x88), 1002),
        (frame(b"\x03\xf7", first=0x88), 1002),
        (frame(b"\x0b\xb7", first=0x88), 1002),
        (frame(b"\x13\x88", first=0x88), 1002),
        (frame(b"\x03\xe8\xff", first=0x88), 1007),
        (ping_of(HELLO_BYTES_MAX + 1), 1009),
        (b"\x81\xff" + (1 << 62).to_bytes(8) + MASK, 1009),
        (frame(b" " * HELLO_BYTES_MAX, first=0x01) + frame(b" ", first=0x00), 1009),
        (frame(b" " * HELLO_BYTES_MAX, first=0x01) + b"\x80\x81", 1009),
    ],
)
def test_a_broken_frame_ends_it_with_the_code_that_says_how(broken: bytes, close_code: int) -> None:
    reader = WebSocketCommands()
    coming = reader.feed(frame(PING) + broken + (MASK if broken.endswith(b"\x80\x81") else b"") + frame(PING))
    assert next(coming) == Ping()
    with pytest.raises(FrameError) as caught:
        while next(coming) is None:
            pass
    assert caught.value.code == ("frame_too_large" if close_code == 1009 else "bad_frame")
    close_frame = reader.close_frame(caught.value.code)
    assert close_frame is not None and int.from_bytes(close_frame[2:4]) == close_code
    assert close_frame[4:].decode() == caught.value.code


def test_a_stranger_gets_less_to_fill_than_who_is_welcome() -> None:
    reader = WebSocketCommands()
    assert taken(reader, ping_of(HELLO_BYTES_MAX)) == [Ping()]
    hello = frame(encode(Hello(version=1, name="ada")))
    coming = reader.feed(hello + ping_of(HELLO_BYTES_MAX + 1))
    assert next(coming) == Hello(version=1, name="ada")
    reader.welcomed()
    assert next(coming) == Ping()
    assert taken(reader, ping_of(FRAME_BYTES_MAX)) == [Ping()]
    with pytest.raises(FrameError, match="65537 bytes, the limit is 65536"):
        list(reader.feed(ping_of(FRAME_BYTES_MAX + 1)))


def test_too_large_is_said_of_the_header_and_nothing_is_kept() -> None:
    reader = welcomed()
    with pytest.raises(FrameError, match="message too large"):
        list(reader.feed(b"\x81\xff" + (1 << 40).to_bytes(8) + MASK))


def test_a_message_in_a_thousand_parts_is_no_larger_than_in_one() -> None:
    reader = welcomed()
    tracemalloc.start()
    try:
        for n in range(20_000):
            assert list(reader.feed(frame(b"  ", first=0x00 if n else 0x01))) == [None]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 80_000
    assert taken(reader, frame(PING, first=0x80)) == [Ping()]


def test_everything_that_is_read_counts_as_work() -> None:
    """The consumer of these can stop in between, however small a peer's frames are."""
    data = frame(b"", first=0x01) + frame(b"", first=0x00) * 5 + frame(b"", first=0x8A) * 5
    assert list(welcomed().feed(data)) == [None] * 11


def test_what_is_no_command_stands_in_its_place() -> None:
    first, wrong, last = welcomed().feed(frame(PING + b'\n{"ref":"r1"}\n' + PING))
    assert first == last == Ping()
    assert isinstance(wrong, BadMessage) and (wrong.field, wrong.ref) == ("type", "r1")


@given(st.lists(st.text(" \t\r\n", max_size=4), min_size=3, max_size=3))
def test_white_space_around_a_command_is_not_a_message(spaces: list[str]) -> None:
    before, between, behind = (space.encode() for space in spaces)
    hello = encode(Hello(version=1, name="ada"))
    message = frame(before + hello + between + b"\n" + PING + behind)
    assert taken(welcomed(), message) == [Hello(version=1, name="ada"), Ping()]


@given(st.text(" \t\r\n", max_size=20))
def test_a_message_of_white_space_alone_holds_no_command(spaces: str) -> None:
    """Each line of it counts as work: a session looks at its clock between two of them."""
    lines = spaces.count("\n") + 1
    assert list(welcomed().feed(frame(spaces.encode()))) == [None] * lines


@pytest.mark.parametrize("space", ["\ufeff", "\v", "\f", "\u00a0", "\u2028", "\0"])
def test_other_white_space_than_that_of_json_is_a_bad_message(space: str) -> None:
    for line in (space.encode() + PING, PING + space.encode(), space.encode()):
        (wrong,) = welcomed().feed(frame(line))
        assert isinstance(wrong, BadMessage), line


def test_an_object_over_several_lines_is_no_command() -> None:
    heard = taken(welcomed(), frame(b'{\n "type": "ping"\n}'))
    assert len(heard) == 3 and all(isinstance(each, BadMessage) for each in heard)


def test_a_client_passes_over_white_space_between_events() -> None:
    said = encode(Pong(1))
    reader = WebSocketEvents(masks())
    message = b"\r\n" + said + b" \r\n\n\t" + said + b"\n"
    assert reader.feed(frame(message, mask=None)) == [Pong(1), Pong(1)]
    assert reader.feed(frame(b"", mask=None) + frame(b"\n", mask=None)) == []


def test_a_half_knows_whether_something_has_begun() -> None:
    reader = welcomed()
    for begun, rest in [
        (b"\x81", frame(PING)[1:]),
        (frame(PING)[:9], frame(PING)[9:]),
        (frame(PING[:3], first=0x01), frame(PING[3:], first=0x80)),
        (frame(b"p", first=0x89)[:3], frame(b"p", first=0x89)[3:]),
    ]:
        assert taken(reader, begun) == []
        assert reader.inside_frame
        assert len(taken(reader, rest)) == 1
        assert not reader.inside_frame


# --- the end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "answer"),
    [(b"", b""), (b"\x03\xe9bye", b"\x03\xe9"), (b"\x0f\xa0", b"\x0f\xa0"), (b"\x03\xf6", b"\x03\xf6")],
)
def test_a_close_is_answered_with_its_code(payload: bytes, answer: bytes) -> None:
    reader = welcomed()
    assert taken(reader, frame(PING) + frame(payload, first=0x88) + frame(PING)) == [Ping()]
    assert reader.ended
    assert taken(reader, frame(PING)) == []
    assert reader.close_frame("") == bytes((0x88, len(answer))) + answer


def test_each_goodbye_has_a_code_that_says_whether_to_come_back() -> None:
    stay_away = "frame_too_large bad_frame version unauthorized replaced kicked banned quit".split()
    for code, number in CLOSE_CODES.items():
        assert (number in (1001, 1011, 1013)) == (code not in stay_away)
        assert (
            welcomed().close_frame(code) == bytes((0x88, 2 + len(code))) + number.to_bytes(2) + code.encode()
        )
    assert welcomed().close_frame("") is None


def test_a_client_answers_pings_and_the_close() -> None:
    client = WebSocketEvents(lambda: bytes(4), rest=WEBSOCKET.pack([encode(Pong(1))]))
    assert client.feed(b"\x89\x01a\x89\x01b" + WEBSOCKET.pack([encode(Pong(2))])) == [Pong(1), Pong(2)]
    assert client.replies() == b"\x8a\x81" + bytes(4) + b"b"
    assert client.replies() == b""
    assert client.feed(b"\x88\x02\x03\xe9") == []
    assert client.replies() == b"\x88\x80" + bytes(4)
    assert client.feed(WEBSOCKET.pack([encode(Pong(3))])) == []


def test_a_client_passes_over_events_of_another_time() -> None:
    payloads = [encode(Pong(1)), b'{"type":"shouted","room":"lobby"}', encode(Pong(2))]
    assert WebSocketEvents(masks()).feed(WEBSOCKET.pack(payloads)) == [Pong(1), Pong(2)]


def test_a_client_listens_no_further_to_a_server_of_garbage() -> None:
    with pytest.raises(BadMessage):
        WebSocketEvents(masks()).feed(WEBSOCKET.pack([b"garbage"]))
    with pytest.raises(FrameError):
        WebSocketEvents(masks()).feed(frame(PING))


def test_each_frame_of_a_client_has_a_mask_of_its_own() -> None:
    client = WebSocketEvents(masks())
    assert client.frame(PING)[2:6] != client.frame(PING)[2:6]


def test_whatever_comes_behind_a_close_is_not_answered() -> None:
    client = WebSocketEvents(lambda: bytes(4))
    ended = [client.ended]
    client.feed(b"\x88\x02\x03\xe9")
    ended.append(client.ended)
    assert ended == [False, True]
    client.replies()
    for behind in (b"\x89\x01a", b"\x88\x02\x03\xe9", b"\xff" * 100, WEBSOCKET.pack([encode(Pong(3))])):
        assert client.feed(behind) == []
        assert client.replies() == b""
    assert not client._messages._decoder.buffer.buffer, "nothing of it is kept"


def test_a_flood_of_pings_has_one_answer() -> None:
    client = WebSocketEvents(lambda: bytes(4))
    for _ in range(3):
        assert client.feed(b"\x89\x7d" + b"x" * 125 + b"\x89\x7d" + b"y" * 125) == []
    assert client.replies() == b"\x8a\xfd" + bytes(4) + b"y" * 125


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x89\x7e\x00\x7e" + b"x" * 126, "bad_frame"),  # a ping of 126 bytes
        (b"\x88\x7f" + (2**62).to_bytes(8), "bad_frame"),  # a close of four million terabytes
        (b"\x09\x00", "bad_frame"),  # half a ping
        (b"\x81\x82" + MASK + b"{}", "bad_frame"),  # masked
        (b"\xc1\x02{}", "bad_frame"),  # compressed
        (b"\x83\x00", "bad_frame"),  # of no kind
        (b"\x82\x02{}", "bad_frame"),  # binary
        (b"\x80\x02{}", "bad_frame"),  # the end of nothing
        (b"\x01\x01{\x01\x01}", "bad_frame"),  # two beginnings
        (b"\x81\x7f" + (2**62).to_bytes(8), "frame_too_large"),
        (b"\x81\x7f" + (2**64 - 1).to_bytes(8), "bad_frame"),
        (b"\x01\x7e\xff\xff" + b"x" * 65_535 + b"\x00\x02xx", "frame_too_large"),
        (b"\x88\x01x", "bad_frame"),
        (b"\x88\x02\x00\x00", "bad_frame"),
        (b"\x88\x04\x03\xe9\xff\xff", "bad_frame"),
        (b"\x81\x01\xff", "bad_frame"),
    ],
)
def test_a_server_against_the_rules_is_a_frame_error(data: bytes, code: str) -> None:
    with pytest.raises(FrameError) as caught:
        WebSocketEvents(masks()).feed(data)
    assert caught.value.code == code


def test_fragments_without_an_end_hold_no_more_than_a_message() -> None:
    client = WebSocketEvents(masks())
    client.feed(b"\x01\x00")
    for _ in range(100):
        assert client.feed(b"\x00\x00" * 1_000) == []
    assert not client._messages._parts
    with pytest.raises(FrameError) as caught:
        for _ in range(FRAME_BYTES_MAX):
            client.feed(b"\x00\x01x" * 1_000)
            assert len(client._messages._parts or b"") <= FRAME_BYTES_MAX
    assert caught.value.code == "frame_too_large"


@given(st.binary(max_size=300))
def test_any_bytes_from_a_server_are_events_or_an_error_of_ours(data: bytes) -> None:
    client = WebSocketEvents(masks())
    with suppress(FrameError, BadMessage):
        client.feed(data)
    assert len(client.replies()) < 300
