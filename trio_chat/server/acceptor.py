"""Accept connections: detect the protocol by the first byte, and enforce the limits of connections.

    0x00          the length of a frame: the chat protocol
    G H P D O C T the first letter of a method: HTTP, and after an upgrade WebSocket
    CR LF         an empty line: the bytes after it decide whether this is HTTP
    0x16          TLS, which this server does not speak: the connection is closed without a reply
    any other     an unknown protocol: it is read as a frame, fails, and gets the error of an invalid frame

A trusted proxy may send a PROXY header before the first byte (`peer_address.py`).

A peer has `hello_s` seconds after the connection is accepted to send a hello or a complete request. A peer
that upgrades to WebSocket has `hello_s` seconds more for the hello.
"""

from __future__ import annotations

import logging
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

import trio

from trio_chat.dialects.frames import FRAMES, FrameCommands
from trio_chat.dialects.websocket import WEBSOCKET, WebSocketCommands
from trio_chat.errors import FrameError, LinkBroken
from trio_chat.net.link import close_gracefully
from trio_chat.server.disconnect import disconnect_for
from trio_chat.server.http import SERVICE_UNAVAILABLE, begins_request, only_empty_lines, serve_http
from trio_chat.server.peer_address import (
    SERVER_FULL,
    ConnectionCounts,
    CountedConnection,
    receive_proxy_header,
)
from trio_chat.server.refusals import ADDRESS_FULL, FULL, PROXY_HEADER, STOPPING, TLS_SPOKEN, RefusalKind

if TYPE_CHECKING:
    from trio_chat.dialects import CommandReader, Packing
    from trio_chat.net.link import Link
    from trio_chat.server.config import Limits
    from trio_chat.server.fair_share import FairScheduler
    from trio_chat.server.http_routes import HttpRoutes
    from trio_chat.server.proxies import Proxies
    from trio_chat.server.refusals import Refusals

__all__ = ["Accepted", "Acceptor"]

log = logging.getLogger("trio_chat.server")

TLS = 0x16

REJECTED_AT_ONCE = 100  # rejected connections that are sent the reason at once; further ones just close
REJECT_S = 1.0
FIRST_BYTE_S = 0.25  # a rejected HTTP client sends within this time; a silent peer is sent a frame
RECONNECT_AFTER_S = 5


class Accepted(NamedTuple):
    """An accepted connection: its dialect, since when it is open, the bytes read so far, and its address."""

    commands: CommandReader
    packing: Packing
    since: float
    first: bytes
    address: str


class Acceptor:
    """Detect the protocol of each connection of one server. Without `routes` HTTP is off."""

    def __init__(
        self,
        limits: Limits,
        routes: HttpRoutes | None,
        proxies: Proxies,
        scheduler: FairScheduler,
        refusals: Refusals,
    ) -> None:
        self._limits = limits
        self._routes = routes
        self._scheduler = scheduler
        self._refusals = refusals
        self._silent: dict[Link, float] = {}  # connections without a first byte, since when; oldest first
        self._http_scopes: dict[trio.CancelScope, None] = {}  # connections that speak HTTP
        self._counts = ConnectionCounts(limits, proxies)
        self._rejecting = 0
        self._warned = False
        self._shut = False

    def is_shut(self) -> bool:
        """Return whether the server is stopping."""
        return self._shut

    @property
    def connections(self) -> int:
        """Return the number of open connections; rejected ones do not count."""
        return self._counts.total

    @property
    def callers(self) -> int:
        """Return how many connections are without a session: silent ones, and those that speak HTTP."""
        return len(self._silent) + len(self._http_scopes)

    def shut(self) -> None:
        """End all waits for first bytes and requests; the server is stopping."""
        self._shut = True
        for link in self._silent:
            link.interrupt()
        for scope in self._http_scopes:
            scope.cancel()

    def overdue(self, now: float) -> list[Link]:
        """Return the connections whose deadline for the first byte has passed; the caller interrupts them.

        A cancel scope per connection would cost a tenth of a whole hello.
        """
        before = now - self._limits.hello_s
        return list(takewhile(lambda link: self._silent[link] < before, self._silent))

    def full(self, address: str) -> str:
        """Return why a further connection is rejected; empty when it is accepted."""
        return self._counts.why_full(address)

    def counting(self, address: str) -> CountedConnection:
        """Count a connection until its `close`."""
        return CountedConnection(self._counts, address)

    async def ask(self, link: Link, counted: CountedConnection) -> Accepted | None:
        """Wait for the first bytes; serve HTTP until the connection becomes a WebSocket.

        Return None for a connection that does not become a session. The link is closed then, and also when
        this call is cancelled.
        """
        since = trio.current_time()
        accepted: Accepted | None = None
        try:
            try:
                first = await self._receive_first(link, since, counted)
                if first is not None:
                    accepted = await self._dispatch(link, first, since, counted)
            except (LinkBroken, trio.ClosedResourceError):
                pass
            except FrameError as error:
                self._warn_once(link.address, error)
            except Exception:  # a bug ends this connection only
                log.exception("a bug ended a connection before its hello")
        finally:
            if accepted is None:
                link.close()
        return accepted

    async def _receive_first(self, link: Link, since: float, counted: CountedConnection) -> bytes | None:
        """Wait for the first bytes of a dialect.

        Return `b""` when the deadline passes or the server stops before a byte is received, and None when
        the peer's input ends. Raises `LinkBroken` and `FrameError`.
        """
        self._silent[link] = since
        try:
            first = await counted.receive_proxy_header(link)
            if not first and (counted.full or self._shut):
                return first
            return await self._receive_dialect(link, first) or None
        except trio.ClosedResourceError:  # interrupted
            return b""
        finally:
            del self._silent[link]

    async def _receive_dialect(self, link: Link, first: bytes) -> bytes:
        """Wait for the bytes after `first` that decide the dialect. Return `b""` when the input ends first.

        Cancelling loses the received bytes.
        """
        while not first or (self._routes is not None and only_empty_lines(first)):
            data = await link.receive_some()
            if not data:
                return b""
            first += data
        return first

    async def _dispatch(
        self, link: Link, first: bytes, since: float, counted: CountedConnection
    ) -> Accepted | None:
        limits = self._limits
        if first and first[0] == TLS:
            self._refusals.add(TLS_SPOKEN, counted.address)
            return None
        routes = self._routes if begins_request(first) else None
        if routes is None:
            counted.count()
        if counted.full:
            counted.close()
            await self.reject(link, counted.full, first, counted.address)
            return None
        if routes is None:
            frames = FrameCommands(hello_bytes=limits.hello_bytes, frame_bytes=limits.frame_bytes)
            return Accepted(frames, FRAMES, since, first, counted.address)
        speaking = trio.CancelScope()
        self._http_scopes[speaking] = None
        try:
            with speaking:
                rest = await serve_http(
                    link,
                    first,
                    routes,
                    since=since,
                    limits=limits,
                    counted=counted,
                    scheduler=self._scheduler,
                    refusals=self._refusals,
                )
        finally:
            del self._http_scopes[speaking]
        if speaking.cancelled_caught or rest is None:
            return None
        commands = WebSocketCommands(hello_bytes=limits.hello_bytes, frame_bytes=limits.frame_bytes)
        return Accepted(commands, WEBSOCKET, trio.current_time(), rest, counted.address)

    def _warn_once(self, proxy: str, error: FrameError) -> None:
        """Log the first invalid PROXY header; count further ones as refusals."""
        if self._warned:
            self._refusals.add(PROXY_HEADER, proxy)
        else:
            self._warned = True
            log.warning("%s, from the proxy at %s; such connections are closed", error, proxy)

    async def reject(self, link: Link, full: str, first: bytes = b"", address: str = "") -> None:
        """Send the reason in the peer's protocol, then close the link. Takes about a second at most.

        `first` is the bytes received so far. `address` is the peer's, unless it is the link's.
        """
        self._refusals.add(_kind_of(full), address or link.address)
        try:
            if self._rejecting >= REJECTED_AT_ONCE:
                return
            self._rejecting += 1
            try:
                link.send_nowait(await self._rejection(link, full, first))
                await close_gracefully(link, seconds=REJECT_S, pace=self._scheduler.pace)
            except (LinkBroken, trio.ClosedResourceError, FrameError):
                pass
            except Exception:
                log.exception("a bug ended the rejection of a connection")
            finally:
                self._rejecting -= 1
        finally:
            link.close()

    async def _rejection(self, link: Link, full: str, first: bytes) -> bytes:
        if self._routes is not None and not first:
            with trio.move_on_after(FIRST_BYTE_S):
                if link.address in self._counts.proxies:
                    _, first = await receive_proxy_header(link)
                first = await self._receive_dialect(link, first)
        if self._routes is not None and begins_request(first):
            return SERVICE_UNAVAILABLE
        if full:
            bye = disconnect_for("too_many_connections", full, after_s=RECONNECT_AFTER_S).bye
        else:
            bye = disconnect_for("draining", "the server is stopping").bye
        assert bye is not None, "both codes have a bye"
        return FRAMES.pack((bye,))


def _kind_of(full: str) -> RefusalKind:
    if not full:
        return STOPPING
    return FULL if full == SERVER_FULL else ADDRESS_FULL
