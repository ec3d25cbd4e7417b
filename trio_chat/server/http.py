"""One connection that speaks HTTP/1.1: a request after the other, until it is closed or becomes a WebSocket.

h11 parses; what is answered is `http_routes.py`'s. A request has `hello_s` seconds to become whole, and the
next one as long to begin and become whole. What is read ahead is one read: a thousand requests at once
are answered one by one, in turn with all others (`fair_share.py`).

h11 is given whole heads only, whose size and number of lines were judged before: a line costs it 20 µs, and
one read can hold ten thousand. Empty lines before a request are ignored (RFC 9112, 2.2), up to EMPTY_BYTES of
them; a first line that ends without a version of HTTP is refused at once, as nothing more may come.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11
import trio

from trio_chat.net.link import close_gracefully
from trio_chat.server.refusals import ADDRESS_FULL, request_refused

if TYPE_CHECKING:
    from trio_chat.net.link import Link
    from trio_chat.server.config import Limits
    from trio_chat.server.fair_share import FairScheduler
    from trio_chat.server.http_routes import HttpResponse, HttpRoutes
    from trio_chat.server.peer_address import CountedConnection
    from trio_chat.server.refusals import Refusals

__all__ = ["HEAD_BYTES", "TURNED_AWAY", "begins_request", "only_empty_lines", "serve_http"]

HEAD_BYTES = 8_192  # of a request: its line and its headers
HEAD_LINES = 100  # browsers send some twenty

EMPTY_BYTES = 16  # of empty lines before a request: eight of them

_HEAD_END = re.compile(rb"\n\r?\n")
_EMPTY_LINES = re.compile(rb"(?:\r?\n)*")
_PART_OF_EMPTY_LINES = re.compile(rb"(?:\r?\n)*\r?")
_BEGINNING = re.compile(rb"(?:\r?\n)*[GHPDOCT]")  # the first letters of methods
_FIRST_LINE_END = re.compile(rb"HTTP/[0-9.]+\r?\n\Z")

RETRY_AFTER_S = "5"
TURNED_AWAY = b"HTTP/1.1 503 \r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"""Said to those for whom there is no place, whatever it is that they ask."""


def begins_request(data: bytes) -> bool:
    """Return whether `data` begins as a request over HTTP, perhaps behind empty lines."""
    return _BEGINNING.match(data, 0, EMPTY_BYTES + 1) is not None


def only_empty_lines(data: bytes) -> bool:
    """Return whether `data` is some empty lines, not too many, behind which a request may begin."""
    return 0 < len(data) <= EMPTY_BYTES and _PART_OF_EMPTY_LINES.fullmatch(data) is not None


async def serve_http(
    link: Link,
    first: bytes,
    routes: HttpRoutes,
    *,
    since: float,
    limits: Limits,
    counted: CountedConnection,
    scheduler: FairScheduler,
    refusals: Refusals,
) -> bytes | None:
    """Serve until the peer asks no more; the link is closed then, and None returned. Where the connection
    becomes a WebSocket, what has come of that already is returned; it is counted by address from then on.

    `first` was read before, `since` is when the peer came. Raises `LinkBroken`; cancelling may leave half an
    answer sent.
    """
    conversation = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
    unread = bytearray(first)
    deadline = since + limits.hello_s
    while True:
        answer: HttpResponse | None = None
        method = head = b""
        refused = 0  # not the error, which would hold this frame and all that was read, in a cycle
        with trio.move_on_at(deadline) as asking:
            try:
                head = await _head(unread, link)
            except h11.RemoteProtocolError as error:
                refused = error.error_status_hint
        # Behind the deadline: a whole request that waits here is answered. And behind the wait for the peer:
        # it is no work.
        await scheduler.wait(newcomer=True)
        began = scheduler.clock()
        if asking.cancelled_caught:
            if unread:
                answer = routes.refusal(408, f"no whole request within {limits.hello_s} seconds")
        elif refused:
            answer = routes.refusal(refused, "that is no request")
        else:
            answer, method = _answer(conversation, head, routes, counted)
        if answer is None:
            return None
        refusals.add(ADDRESS_FULL if counted.full else request_refused(answer.status), counted.address)
        packed = _packed(conversation, answer, method)
        scheduler.charge(scheduler.clock() - began)
        with trio.move_on_after(limits.stalled_s) as sending:
            await _send_all(link, packed)
        if sending.cancelled_caught:
            return None
        if answer.status == 101:
            return bytes(unread)
        if conversation.our_state is not h11.DONE or conversation.their_state is not h11.DONE:
            await close_gracefully(link, seconds=limits.goodbye_s, pace=scheduler.pace)
            return None
        conversation.start_next_cycle()
        deadline = trio.current_time() + limits.hello_s
        await trio.lowlevel.checkpoint()


def _answer(
    conversation: h11.Connection, head: bytes, routes: HttpRoutes, counted: CountedConnection
) -> tuple[HttpResponse | None, bytes]:
    """Return the answer to a head, None when the peer has sent nothing more, and the method it asks by."""
    try:
        request = _request(conversation, head)
        if request is None:
            return None, b""
        answer = routes.answer(request)
        if not _is_whole(conversation):  # the body is not read
            upgrades = answer.status == 101
            answer = routes.refusal(400, "no body") if upgrades else answer._replace(last=True)
        if answer.status == 101 and (full := counted.count_forwarded(_forwarded_for(request))):
            answer = routes.refusal(503, full, ("Retry-After", RETRY_AFTER_S))
        return answer, request.method
    except h11.RemoteProtocolError as error:
        return routes.refusal(error.error_status_hint, "that is no request"), b""


async def _head(unread: bytearray, link: Link) -> bytes:
    """Wait for the next head and take it out of `unread`; what there is when the peer's input ends.

    Raises `h11.RemoteProtocolError` for a head that is too large or no request, as soon as that is known.
    """
    ignored = looked = 0
    is_checked = False
    while True:
        if not is_checked:
            ignored += _drop_empty_lines(unread)
            if ignored > EMPTY_BYTES:
                raise h11.RemoteProtocolError("empty lines")
            is_checked = _check_first_line(unread)
        found = _HEAD_END.search(unread, looked)
        if found is not None or len(unread) > HEAD_BYTES:
            break
        looked = max(0, len(unread) - 2)
        data = await link.receive_some()
        if not data:
            break
        unread += data
    size = found.end() if found is not None else len(unread)
    if size > HEAD_BYTES or unread.count(b"\n", 0, size) > HEAD_LINES:
        raise h11.RemoteProtocolError("too large", error_status_hint=431)
    head = bytes(unread[:size])
    del unread[:size]
    return head


def _drop_empty_lines(unread: bytearray) -> int:
    """Remove the empty lines at the beginning; return how many bytes they were."""
    found = _EMPTY_LINES.match(unread)
    assert found is not None, "no empty line at all matches, too"
    size = found.end()
    del found  # a match holds on to the buffer, which cannot be changed meanwhile
    del unread[:size]
    return size


def _check_first_line(unread: bytearray) -> bool:
    """Return whether the first line is there. Raises `h11.RemoteProtocolError` for one without a version."""
    end = unread.find(b"\n", 0, HEAD_BYTES)
    if end < 0:
        return False
    if _FIRST_LINE_END.search(unread[max(0, end - 30) : end + 1]) is None:
        raise h11.RemoteProtocolError("no version of HTTP")
    return True


def _request(conversation: h11.Connection, head: bytes) -> h11.Request | None:
    """Parse a head; None when the peer has sent nothing more."""
    conversation.receive_data(head)
    event = conversation.next_event()
    if event is h11.NEED_DATA:  # the input has ended inside a head
        conversation.receive_data(b"")
        event = conversation.next_event()
    if isinstance(event, h11.Request):
        return event
    assert isinstance(event, h11.ConnectionClosed), f"between two requests there is no {event}"
    return None


def _forwarded_for(request: h11.Request) -> str | None:
    """Return the `X-Forwarded-For` of a request, all its lines in their order; None without one."""
    lines = [value for name, value in request.headers if name == b"x-forwarded-for"]
    return b",".join(lines).decode("latin-1") if lines else None


def _is_whole(conversation: h11.Connection) -> bool:
    """Whether the request ends with its headers, as all do that ask for something here."""
    return isinstance(conversation.next_event(), h11.EndOfMessage)


def _packed(conversation: h11.Connection, answer: HttpResponse, method: bytes) -> bytes:
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
