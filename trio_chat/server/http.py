"""One connection that speaks HTTP/1.1: a request after the other, until it is closed or becomes a WebSocket.

h11 parses; what is answered is `site.py`'s. A request has `hello_s` seconds to become whole, and the next
one as long to begin and become whole. What is read ahead is one read: who asks a thousand things at once is
answered one by one, and others are served in between.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import h11
import trio

from trio_chat.net.link import close_politely

if TYPE_CHECKING:
    from trio_chat.net.link import Link
    from trio_chat.server.config import Limits
    from trio_chat.server.peer_address import CountedConnection
    from trio_chat.server.site import Answer, Site

__all__ = ["HEAD_BYTES", "TURNED_AWAY", "serve_http"]

HEAD_BYTES = 8_192  # of a request: its line and its headers

RETRY_AFTER_S = "5"
TURNED_AWAY = b"HTTP/1.1 503 \r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"""Said to those for whom there is no place, whatever it is that they ask."""


async def serve_http(
    link: Link, first: bytes, site: Site, *, since: float, limits: Limits, counted: CountedConnection
) -> bytes | None:
    """Serve until the peer asks no more; the link is closed then, and None returned. Where the connection
    becomes a WebSocket, what has come of that already is returned; it is counted by address from then on.

    `first` was read before, `since` is when the peer came. Raises `LinkBroken`; cancelling may leave half an
    answer sent.
    """
    conversation = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
    conversation.receive_data(first)
    deadline = since + limits.hello_s
    while True:
        answer: Answer | None = None
        method = b""
        with trio.move_on_at(deadline) as asking:
            try:
                request = await _request(conversation, link)
                if request is not None:
                    method = request.method
                    answer = site.answer(request)
                    if not _is_whole(conversation):  # nobody is going to read that body
                        upgrades = answer.status == 101
                        answer = site.refusal(400, "no body") if upgrades else answer._replace(last=True)
                    if answer.status == 101 and (full := counted.count_forwarded(_forwarded_for(request))):
                        answer = site.refusal(503, full, ("Retry-After", RETRY_AFTER_S))
            except h11.RemoteProtocolError as error:
                answer = site.refusal(error.error_status_hint, "that is no request")
        if asking.cancelled_caught and conversation.trailing_data[0]:
            answer = site.refusal(408, f"no whole request within {limits.hello_s} seconds")
        if answer is None:
            return None
        with trio.move_on_after(limits.stalled_s) as sending:
            await _send_all(link, _packed(conversation, answer, method))
        if sending.cancelled_caught:
            return None
        if answer.status == 101:
            return conversation.trailing_data[0]
        if conversation.our_state is not h11.DONE or conversation.their_state is not h11.DONE:
            await close_politely(link, seconds=limits.goodbye_s)
            return None
        conversation.start_next_cycle()
        deadline = trio.current_time() + limits.hello_s
        await trio.lowlevel.checkpoint()


async def _request(conversation: h11.Connection, link: Link) -> h11.Request | None:
    """The next one, without its body; None when the peer has none any more."""
    while (event := conversation.next_event()) is h11.NEED_DATA:
        conversation.receive_data(await link.receive_some())
    if isinstance(event, h11.Request):
        if _size(event) > HEAD_BYTES:  # h11 minds only what is not whole yet, and one read may hold more
            raise h11.RemoteProtocolError("too large", error_status_hint=431)
        return event
    assert isinstance(event, h11.ConnectionClosed), f"between two requests there is no {event}"
    return None


def _size(request: h11.Request) -> int:
    return len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)


def _forwarded_for(request: h11.Request) -> str | None:
    """Return the `X-Forwarded-For` of a request, all its lines in their order; None without one."""
    lines = [value for name, value in request.headers if name == b"x-forwarded-for"]
    return b",".join(lines).decode("latin-1") if lines else None


def _is_whole(conversation: h11.Connection) -> bool:
    """Whether the request ends with its headers, as all do that ask for something here."""
    return isinstance(conversation.next_event(), h11.EndOfMessage)


def _packed(conversation: h11.Connection, answer: Answer, method: bytes) -> bytes:
    headers = list(answer.headers)
    reason = HTTPStatus(answer.status).phrase
    if answer.status == 101:
        return (
            conversation.send(h11.InformationalResponse(status_code=101, headers=headers, reason=reason))
            or b""
        )
    if answer.status != 304:
        headers.append(("Content-Length", str(len(answer.body))))
    if answer.last:
        headers.append(("Connection", "close"))
    parts = [conversation.send(h11.Response(status_code=answer.status, headers=headers, reason=reason))]
    if answer.body and method != b"HEAD":
        parts.append(conversation.send(h11.Data(answer.body)))
    parts.append(conversation.send(h11.EndOfMessage()))
    return b"".join(part or b"" for part in parts)


async def _send_all(link: Link, data: bytes) -> None:
    sent = link.send_nowait(data)
    while sent < len(data):
        await link.wait_writable()
        sent += link.send_nowait(memoryview(data)[sent:])
