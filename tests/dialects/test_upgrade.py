"""The client's half of the upgrade, against what servers answer."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.utilities import generate_accept_token

from trio_chat.dialects.upgrade import HEAD_BYTES, Upgrade
from trio_chat.errors import FrameError


def key_of(upgrade: Upgrade) -> bytes:
    lines = upgrade.request.split(b"\r\n")
    (key,) = (line.split(b": ")[1] for line in lines if line.lower().startswith(b"sec-websocket-key"))
    return key


def accepted(upgrade: Upgrade, more: bytes = b"") -> bytes:
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + generate_accept_token(key_of(upgrade)) + b"\r\n" + more + b"\r\n"
    )


def test_a_request_says_where_and_wants_no_extension() -> None:
    request = Upgrade("[::1]:5555", "/ws").request
    assert request.startswith(b"GET /ws HTTP/1.1\r\n") and request.endswith(b"\r\n\r\n")
    assert b"\r\nHost: [::1]:5555\r\n" in request
    assert b"extensions" not in request.lower() and b"origin" not in request.lower()
    assert key_of(Upgrade("a", "/")) != key_of(Upgrade("a", "/"))


@given(st.lists(st.integers(0, 150), max_size=6).map(sorted))
def test_however_the_answer_is_cut_what_is_behind_it_is_given_back(cuts: list[int]) -> None:
    upgrade = Upgrade("localhost", "/ws")
    answer = accepted(upgrade) + b"\x81\x02{}"
    fed: list[bytes | None] = []
    behind = b""
    for start, stop in zip([0, *cuts], [*cuts, len(answer)], strict=True):
        if fed and fed[-1] is not None:
            behind += answer[start:stop]
        else:
            fed.append(upgrade.feed(answer[start:stop]))
    assert fed[:-1] == [None] * (len(fed) - 1)
    assert (fed[-1] or b"") + behind == b"\x81\x02{}"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "bad_frame"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "bad_frame"),
        (b"HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", "too_many_connections"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "bad_frame"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "bad_frame"),
        (b"\x00\x00\x00\x02{}\r\n\r\n", "bad_frame"),
        (b"x" * (HEAD_BYTES + 1), "bad_frame"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "bad_frame"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \xd3\r\n\r\n", "bad_frame"),
        (b"HTTP/1.1 403 \xd3\r\nContent-Length: 5\r\n\r\nhello", "bad_frame"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n", "bad_frame"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1_300 + b"\r\n", "bad_frame"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 300, "bad_frame"),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 101 S\r\n\r\n", "bad_frame"),
        (b"HTTP/9.9 299 \xff\r\n\r\n", "bad_frame"),
        (b"\r\n\r\n", "bad_frame"),
        (b"\r\n" * 5_000, "bad_frame"),
    ],
)
def test_another_answer_is_no_websocket(answer: bytes, code: str) -> None:
    with pytest.raises(FrameError) as caught:
        Upgrade("localhost", "/ws").feed(answer)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "more",
    [b"Sec-WebSocket-Extensions: permessage-deflate\r\n", b"Sec-WebSocket-Protocol: chat\r\n"],
)
def test_what_was_not_asked_for_is_not_agreed_to(more: bytes) -> None:
    upgrade = Upgrade("localhost", "/ws")
    with pytest.raises(FrameError):
        upgrade.feed(accepted(upgrade, more))


def test_the_answer_to_another_request_is_none() -> None:
    with pytest.raises(FrameError):
        Upgrade("localhost", "/ws").feed(accepted(Upgrade("localhost", "/ws")))


@pytest.mark.parametrize("value", [b"Upgrade\xd3", b"\xd3", b"\xc3\x93", b"\xff, Upgrade"])
@pytest.mark.parametrize("name", [b"Connection", b"Upgrade", b"Sec-WebSocket-Accept"])
def test_a_header_that_is_not_ascii_is_no_agreement(name: bytes, value: bytes) -> None:
    upgrade = Upgrade("localhost", "/ws")
    answer = accepted(upgrade)
    changed = re.sub(name + rb": [^\r]*", name + b": " + value, answer)
    assert changed != answer
    with pytest.raises(FrameError) as caught:
        upgrade.feed(changed)
    assert caught.value.code == "bad_frame"


@pytest.mark.parametrize("name", [b"Connection", b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Extensions"])
def test_one_header_too_many_that_is_not_ascii_is_no_agreement(name: bytes) -> None:
    upgrade = Upgrade("localhost", "/ws")
    with pytest.raises(FrameError, match="a header is not ASCII"):
        upgrade.feed(accepted(upgrade, name + b": \xd3\r\n"))


PIECES = (
    b"",
    b"\xd3",
    b"\r\n",
    b"\r\n\r\n",
    b"\x00",
    b":",
    b" ",
    b"9" * 50,
    b"HTTP/1.1 ",
    b"Upgrade",
    b"\xff, ",
)


@given(st.randoms(use_true_random=False))
def test_a_changed_answer_is_agreement_or_a_frame_error(random: Random) -> None:
    upgrade = Upgrade("localhost", "/ws")
    answer = bytearray(accepted(upgrade, b"X: y\r\n"))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(answer))
        answer[at : at + random.randint(0, 3)] = random.choice(PIECES)
    try:
        if upgrade.feed(bytes(answer)) is None:
            upgrade.feed(bytes(HEAD_BYTES))
            raise AssertionError("a head that does not end is no answer")
    except FrameError as error:
        assert error.code in ("bad_frame", "too_many_connections")


def test_an_answer_byte_by_byte_is_bounded() -> None:
    upgrade = Upgrade("localhost", "/ws")
    for _ in range(HEAD_BYTES):
        assert upgrade.feed(b"x") is None
    assert len(upgrade._head) == HEAD_BYTES
    with pytest.raises(FrameError, match="invalid HTTP response: longer than"):
        upgrade.feed(b"x")
