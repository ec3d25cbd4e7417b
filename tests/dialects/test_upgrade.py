"""The client's half of the upgrade, against what servers answer."""

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
