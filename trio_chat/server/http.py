"""Serve one HTTP/1.1 connection, request by request, until it is closed or becomes a WebSocket.

h11 parses the requests, and `http_routes.py` makes the responses. A request must be complete within `hello_s`
seconds; the next request has the same time to begin and be complete. The server reads ahead by one read at
most. A client that pipelines a thousand requests gets its responses one by one, in turn with all other
connections (`fair_share.py`).

h11 gets complete heads only, after their size and number of lines were checked: a line costs h11 20 µs, and
one read can hold ten thousand lines. Empty lines before a request are ignored (RFC 9112, 2.2), up to
EMPTY_BYTES bytes. A first line without an HTTP version is refused at once, since its client may send no more.
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

__all__ = ["HEAD_BYTES", "SERVICE_UNAVAILABLE", "begins_request", "only_empty_lines", "serve_http"]

HEAD_BYTES = 8_192  # of a request: its line and its headers
HEAD_LINES = 100  # browsers send about twenty

EMPTY_BYTES = 16  # of empty lines before a request: at most eight lines

_HEAD_END = re.compile(rb"\n\r?\n")
_EMPTY_LINES = re.compile(rb"(?:\r?\n)*")
_PART_OF_EMPTY_LINES = re.compile(rb"(?:\r?\n)*\r?")
_BEGINNING = re.compile(rb"(?:\r?\n)*[GHPDOCT]")  # the first letters of methods
_FIRST_LINE_END = re.compile(rb"HTTP/[0-9.]+\r?\n\Z")

RETRY_AFTER_S = "5"
SERVICE_UNAVAILABLE = b"HTTP/1.1 503 \r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"""The response to any request while the server accepts no further connections."""


def begins_request(data: bytes) -> bool:
    """Return whether `data` begins like an HTTP request, perhaps after empty lines."""
    return _BEGINNING.match(data, 0, EMPTY_BYTES + 1) is not None


def only_empty_lines(data: bytes) -> bool:
    """Return whether `data` is only empty lines, within EMPTY_BYTES, so that a request may follow."""
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
    """Serve requests until the peer sends no more; return None, and leave the link to the caller to close.

    If the connection becomes a WebSocket, return the bytes received after the upgrade request. It is counted
    by address from then on. `first` is the bytes read before this call, `since` the time of the connection.
    Raises `LinkBroken`. Cancelling may leave a response half sent.
    """
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
    unread = bytearray(first)
    deadline = since + limits.hello_s
    while True:
        response: HttpResponse | None = None
        method = head = b""
        refused = 0  # a status, not the error: that would keep this frame and the read bytes in a cycle
        with trio.move_on_at(deadline) as receiving:
            try:
                head = await _head(unread, link)
            except h11.RemoteProtocolError as error:
                refused = error.error_status_hint
        # After the deadline's scope, so that a complete request that waits here still gets its response.
        # After the wait for the peer, since that wait is no work.
        await scheduler.wait(newcomer=True)
        began = scheduler.clock()
        if receiving.cancelled_caught:
            if unread:
                response = routes.refusal(408, f"request incomplete after {limits.hello_s} seconds")
        elif refused:
            response = routes.refusal(refused, "invalid request")
        else:
            response, method = _respond(parser, head, routes, counted)
        if response is None:
            return None
        refusals.add(ADDRESS_FULL if counted.full else request_refused(response.status), counted.address)
        packed = _pack(parser, response, method)
        scheduler.charge(scheduler.clock() - began)
        with trio.move_on_after(limits.stalled_s) as sending:
            await _send_all(link, packed)
        if sending.cancelled_caught:
            return None
        if response.status == 101:
            return bytes(unread)
        if parser.our_state is not h11.DONE or parser.their_state is not h11.DONE:
            await close_gracefully(link, seconds=limits.goodbye_s, pace=scheduler.pace)
            return None
        parser.start_next_cycle()
        deadline = trio.current_time() + limits.hello_s
        await trio.lowlevel.checkpoint()


def _respond(
    parser: h11.Connection, head: bytes, routes: HttpRoutes, counted: CountedConnection
) -> tuple[HttpResponse | None, bytes]:
    """Return the response to a head and its method. The response is None when the peer's input has ended."""
    try:
        request = _request(parser, head)
        if request is None:
            return None, b""
        response = routes.respond(request)
        if not _has_no_body(parser):  # the body is not read
            upgrades = response.status == 101
            response = (
                routes.refusal(400, "invalid request: a WebSocket upgrade has no body")
                if upgrades
                else response._replace(last=True)
            )
        if response.status == 101 and (full := counted.count_forwarded(_forwarded_for(request))):
            response = routes.refusal(503, full, ("Retry-After", RETRY_AFTER_S))
        return response, request.method
    except h11.RemoteProtocolError as error:
        return routes.refusal(error.error_status_hint, "invalid request"), b""


async def _head(unread: bytearray, link: Link) -> bytes:
    """Wait for the next head and remove it from `unread`. Return the rest when the peer's input ends.

    Raises `h11.RemoteProtocolError` as soon as the head is known to be too large or invalid.
    """
    ignored = searched = 0
    is_checked = False
    while True:
        if not is_checked:
            ignored += _drop_empty_lines(unread)
            if ignored > EMPTY_BYTES:
                raise h11.RemoteProtocolError("empty lines")
            is_checked = _check_first_line(unread)
        found = _HEAD_END.search(unread, searched)
        if found is not None or len(unread) > HEAD_BYTES:
            break
        searched = max(0, len(unread) - 2)
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
    """Remove the empty lines at the beginning; return their number of bytes."""
    found = _EMPTY_LINES.match(unread)
    assert found is not None, "the pattern also matches no line at all"
    size = found.end()
    del found  # a match locks the buffer against a change of size
    del unread[:size]
    return size


def _check_first_line(unread: bytearray) -> bool:
    """Return whether the first line is complete. Raises `h11.RemoteProtocolError` if it has no version."""
    end = unread.find(b"\n", 0, HEAD_BYTES)
    if end < 0:
        return False
    if _FIRST_LINE_END.search(unread[max(0, end - 30) : end + 1]) is None:
        raise h11.RemoteProtocolError("no HTTP version")
    return True


def _request(parser: h11.Connection, head: bytes) -> h11.Request | None:
    """Parse a head; return None when the peer has sent nothing more."""
    parser.receive_data(head)
    event = parser.next_event()
    if event is h11.NEED_DATA:  # the input has ended inside a head
        parser.receive_data(b"")
        event = parser.next_event()
    if isinstance(event, h11.Request):
        return event
    assert isinstance(event, h11.ConnectionClosed), f"unexpected {event} between two requests"
    return None


def _forwarded_for(request: h11.Request) -> str | None:
    """Return the `X-Forwarded-For` of a request, all its lines in their order; None without one."""
    lines = [value for name, value in request.headers if name == b"x-forwarded-for"]
    return b",".join(lines).decode("latin-1") if lines else None


def _has_no_body(parser: h11.Connection) -> bool:
    """Return whether the request ends with its headers, as every valid request to this server does."""
    return isinstance(parser.next_event(), h11.EndOfMessage)


def _pack(parser: h11.Connection, response: HttpResponse, method: bytes) -> bytes:
    headers = list(response.headers)
    reason = HTTPStatus(response.status).phrase
    if response.status == 101:
        return parser.send(h11.InformationalResponse(status_code=101, headers=headers, reason=reason)) or b""
    if response.status != 304:
        headers.append(("Content-Length", str(len(response.body))))
    if response.last:
        headers.append(("Connection", "close"))
    parts = [parser.send(h11.Response(status_code=response.status, headers=headers, reason=reason))]
    if response.body and method != b"HEAD":
        parts.append(parser.send(h11.Data(response.body)))
    parts.append(parser.send(h11.EndOfMessage()))
    return b"".join(part or b"" for part in parts)


async def _send_all(link: Link, data: bytes) -> None:
    sent = link.send_nowait(data)
    while sent < len(data):
        await link.wait_writable()
        sent += link.send_nowait(memoryview(data)[sent:])
