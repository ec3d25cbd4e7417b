"""The door: who is calling, told by the first byte, and whether there is a place for them.

    0x00          the length of a frame: our own protocol
    G H P D O C T the first letter of a method: HTTP, and behind an upgrade WebSocket
    CR LF         an empty line: what follows decides, a method or none
    0x16          TLS, which this server does not speak: the connection is closed without a word
    any other     none of ours: it is read as a frame, which it is not, and told so

A trusted proxy may send a PROXY header before it (`peer_address.py`).

Everybody has `hello_s` seconds from the connection to a hello or a whole request, and who has become a
WebSocket as long again for the hello.
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
from trio_chat.server.http import TURNED_AWAY, begins_request, only_empty_lines, serve_http
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

TURNED_AWAY_AT_ONCE = 100  # who is told that the server is full; beyond that, connections just close
TURN_AWAY_S = 1.0
FIRST_BYTE_S = 0.25  # HTTP is known by then, and answered in its own words; who is silent speaks frames
COME_BACK_S = 5


class Accepted(NamedTuple):
    """One who comes to chat: in which dialect, since when, what was read already, and from which address."""

    commands: CommandReader
    packing: Packing
    since: float
    first: bytes
    address: str


class Acceptor:
    """Of one server; without a `routes` it speaks no HTTP."""

    def __init__(
        self,
        limits: Limits,
        routes: HttpRoutes | None,
        proxies: Proxies,
        scheduler: FairScheduler,
        refusals: Refusals,
    ) -> None:
        self._limits = limits
        self._site = routes
        self._turns = scheduler
        self._refusals = refusals
        self._silent: dict[Link, float] = {}  # what has not sent a byte, and since when; the oldest first
        self._speaking: dict[trio.CancelScope, None] = {}  # what speaks HTTP
        self._counts = ConnectionCounts(limits, proxies)
        self._turned_away = 0
        self._warned = False
        self._shut = False

    def is_shut(self) -> bool:
        """Whether the server is stopping."""
        return self._shut

    @property
    def connections(self) -> int:
        """How many there are; those who are turned away do not count."""
        return self._counts.total

    @property
    def callers(self) -> int:
        """How many stand at the door: who has not said a byte, and who speaks HTTP."""
        return len(self._silent) + len(self._speaking)

    def shut(self) -> None:
        """Nobody is waited for at the door any more."""
        self._shut = True
        for link in self._silent:
            link.interrupt()
        for scope in self._speaking:
            scope.cancel()

    def overdue(self, now: float) -> list[Link]:
        """Return the connections that have had their time for a first byte; to `interrupt` one ends its wait.

        A cancel scope for each connection would cost it a tenth of all that a hello costs.
        """
        before = now - self._limits.hello_s
        return list(takewhile(lambda link: self._silent[link] < before, self._silent))

    def full(self, address: str) -> str:
        """Why there is no place for one more; empty when there is."""
        return self._counts.why_full(address)

    def counting(self, address: str) -> CountedConnection:
        """Count a connection until its `close`."""
        return CountedConnection(self._counts, address)

    async def ask(self, link: Link, counted: CountedConnection) -> Accepted | None:
        """Wait for the first words, and serve HTTP until it becomes a WebSocket.

        None when it does not: the link is closed then, and so it is when this is cancelled.
        """
        since = trio.current_time()
        caller: Accepted | None = None
        try:
            try:
                first = await self._receive_first(link, since, counted)
                if first is not None:
                    caller = await self._answer(link, first, since, counted)
            except (LinkBroken, trio.ClosedResourceError):
                pass
            except FrameError as error:
                self._warn_once(link.address, error)
            except Exception:  # it ends nobody else's connection
                log.exception("a bug ended a connection at the door")
        finally:
            if caller is None:
                link.close()
        return caller

    async def _receive_first(self, link: Link, since: float, counted: CountedConnection) -> bytes | None:
        """Wait for the first bytes of a dialect.

        `b""` from a peer that has sent none in its time, or until the server stops; None from a peer whose
        input has ended. Raises `LinkBroken` and `FrameError`.
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
        """Wait for the bytes by which a dialect is known, behind `first`; `b""` when the input ends before.

        Cancelling loses what was received.
        """
        while not first or (self._site is not None and only_empty_lines(first)):
            data = await link.receive_some()
            if not data:
                return b""
            first += data
        return first

    async def _answer(
        self, link: Link, first: bytes, since: float, counted: CountedConnection
    ) -> Accepted | None:
        limits = self._limits
        if first and first[0] == TLS:
            self._refusals.add(TLS_SPOKEN, counted.address)
            return None
        routes = self._site if begins_request(first) else None
        if routes is None:
            counted.count()
        if counted.full:
            counted.close()
            await self.turn_away(link, counted.full, first, counted.address)
            return None
        if routes is None:
            frames = FrameCommands(hello_bytes=limits.hello_bytes, frame_bytes=limits.frame_bytes)
            return Accepted(frames, FRAMES, since, first, counted.address)
        speaking = trio.CancelScope()
        self._speaking[speaking] = None
        try:
            with speaking:
                rest = await serve_http(
                    link,
                    first,
                    routes,
                    since=since,
                    limits=limits,
                    counted=counted,
                    scheduler=self._turns,
                    refusals=self._refusals,
                )
        finally:
            del self._speaking[speaking]
        if speaking.cancelled_caught or rest is None:
            return None
        commands = WebSocketCommands(hello_bytes=limits.hello_bytes, frame_bytes=limits.frame_bytes)
        return Accepted(commands, WEBSOCKET, trio.current_time(), rest, counted.address)

    def _warn_once(self, proxy: str, error: FrameError) -> None:
        """Log what is wrong with a PROXY header, once; further ones are counted as refusals."""
        if self._warned:
            self._refusals.add(PROXY_HEADER, proxy)
        else:
            self._warned = True
            log.warning("%s, from the proxy at %s; such connections are closed", error, proxy)

    async def turn_away(self, link: Link, full: str, first: bytes = b"", address: str = "") -> None:
        """Say why there is no place, in words that the caller understands, and close, in a second or so.

        `first` is what was received already, `address` the peer's where it is not the link's.
        """
        self._refusals.add(_kind_of(full), address or link.address)
        try:
            if self._turned_away >= TURNED_AWAY_AT_ONCE:
                return
            self._turned_away += 1
            try:
                link.send_nowait(await self._sorry(link, full, first))
                await close_gracefully(link, seconds=TURN_AWAY_S, pace=self._turns.pace)
            except (LinkBroken, trio.ClosedResourceError, FrameError):
                pass
            except Exception:
                log.exception("a bug ended the turning away of a connection")
            finally:
                self._turned_away -= 1
        finally:
            link.close()

    async def _sorry(self, link: Link, full: str, first: bytes) -> bytes:
        if self._site is not None and not first:
            with trio.move_on_after(FIRST_BYTE_S):
                if link.address in self._counts.proxies:
                    _, first = await receive_proxy_header(link)
                first = await self._receive_dialect(link, first)
        if self._site is not None and begins_request(first):
            return TURNED_AWAY
        if full:
            bye = disconnect_for("too_many_connections", full, after_s=COME_BACK_S).bye
        else:
            bye = disconnect_for("draining", "the server is stopping").bye
        assert bye is not None, "a code has words"
        return FRAMES.pack((bye,))


def _kind_of(full: str) -> RefusalKind:
    if not full:
        return STOPPING
    return FULL if full == SERVER_FULL else ADDRESS_FULL
