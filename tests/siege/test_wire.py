"""The bytes of the attackers are what they claim to be, and the odd names are as long as asked for."""

from __future__ import annotations

import unicodedata

import pytest
from wsproto.frame_protocol import FrameProtocol

from tests.siege.texts import ODD_NAMES, descending_marks, odd_name, odd_names, ordinary_text
from tests.siege.wire import command, frame, payload_of, proxy_v1, proxy_v2, repeated, websocket_frame


def test_a_command_is_a_frame_with_json() -> None:
    assert command("ping", n=1) == b'\x00\x00\x00\x15{"type":"ping","n":1}'
    assert frame(b"?") == b"\x00\x00\x00\x01?"
    assert payload_of("say", text="é") == '{"type":"say","text":"é"}'.encode()


def test_repeated_units_stay_whole() -> None:
    assert repeated(b"abc", 7) == b"abcabcabc"
    assert repeated(b"abc", 1) == b"abc"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_websocket_frame_is_read_back(size: int) -> None:
    payload = b"x" * size
    reader = FrameProtocol(client=False, extensions=[])
    reader.receive_bytes(websocket_frame(payload))
    (received,) = reader.received_frames()
    assert received.payload == payload.decode() and received.message_finished
    reader.receive_bytes(websocket_frame(b"a", final=False))
    (part,) = reader.received_frames()
    assert not part.message_finished


def test_proxy_headers_name_the_client() -> None:
    assert proxy_v1("192.0.2.1", 5555) == b"PROXY TCP4 192.0.2.1 127.0.0.1 40000 5555\r\n"
    assert proxy_v1("2001:db8::1", 5555) == b"PROXY TCP6 2001:db8::1 ::1 40000 5555\r\n"
    v4, v6 = proxy_v2("192.0.2.1", 5555), proxy_v2("2001:db8::1", 5555)
    assert v4[:12] == v6[:12] == b"\r\n\r\n\x00\r\nQUIT\n"
    assert (v4[12:16], len(v4)) == (b"\x21\x11\x00\x0c", 28)
    assert (v6[12:16], len(v6)) == (b"\x21\x21\x00\x24", 52)
    assert v4[16:20] == bytes([192, 0, 2, 1])


@pytest.mark.parametrize("characters", [1, 32, 129, 256])
def test_names_have_the_length_asked_for(characters: int) -> None:
    names = odd_names(characters)
    assert len(names) == len(ODD_NAMES) + 1
    assert {len(name) for name in names} == {characters}
    assert odd_name(("b", "ac"), 4) == "baca"


def test_marks_descend() -> None:
    marks = descending_marks(2_048)
    classes = [unicodedata.combining(mark) for mark in marks]
    assert len(marks) == 2_048 and len(marks.encode()) == 4_096
    assert classes == sorted(classes, reverse=True) and len(set(classes)) > 5
    assert all(classes)


def test_ordinary_texts_differ_and_are_as_large_as_asked_for() -> None:
    first, second = ordinary_text(400, 1), ordinary_text(400, 2)
    assert len(first.encode()) == 400 and first != second
