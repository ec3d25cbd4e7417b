"""Listening: connections come in as links.

A listener takes all that wait at once, up to a bound, so that a storm of connections costs one wake-up
for many. When the process or the machine has no file descriptor left for another connection it pauses
for a moment and goes on: those who are connected are served meanwhile.
"""

import errno
import logging
import socket
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Protocol

import trio

from trio_chat.errors import CannotStart
from trio_chat.net.link import Link, SocketLink

__all__ = ["Listener", "PatientListener", "SocketListener", "open_listeners"]

log = logging.getLogger("trio_chat.net")

ACCEPT_AT_ONCE = 16  # each costs some 0.1 ms until it waits for its first bytes
# What the kernel holds for one who does not read; Linux takes it twice, for its own book-keeping. Left to
# itself it takes up to 4 MB of each: 1.5 GB for five hundred who stall. What is owed beyond it is shared.
SEND_BUFFER_BYTES = 128 << 10
# What the kernel holds of what the server has not read yet, likewise: up to 6 MB of each by itself. A peer
# that sends more than the server reads then waits, and what it said long ago is not read at some later time.
RECEIVE_BUFFER_BYTES = 64 << 10
PAUSE_S = 0.1
WARN_S = 60.0  # two lines about what the machine lacks
# Not the connection's fault and not lasting; the same list as trio.serve_listeners.
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
# The connection that was to be accepted is gone again: the next one may be well.
_GONE = {errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH}
# The machine has no such address, as `::1` where IPv6 is off: no reason not to listen on the others.
_LACKING = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


class Listener(Protocol):
    """Where connections come in."""

    address: str
    """Such as `tcp://127.0.0.1:5555`."""

    async def accept(self) -> list[Link]:
        """Wait for connections and take them; at least one. Cancelling takes none.

        Raises `trio.ClosedResourceError` when the listener is closed meanwhile.
        """
        ...

    def close(self) -> None: ...


class PatientListener(ABC):
    """The part of a listener that is the same on whatever it listens: taking all who wait, and patience."""

    def __init__(self) -> None:
        self._pausing = False  # logged once for each time that the machine lacks something …
        self._warn_at = float("-inf")  # … but not before this

    async def accept(self) -> list[Link]:
        while True:
            await self._someone()
            links, lack = self._take()
            if links:
                self._pausing = False
                return links
            if lack:
                now = trio.current_time()
                if not self._pausing and now >= self._warn_at:
                    self._warn_at = now + WARN_S
                    log.warning("cannot accept for now: %s", lack)
                self._pausing = True
                await trio.sleep(PAUSE_S)

    def _take(self) -> tuple[list[Link], str]:
        """Those who wait, and what the machine lacks to take more, if it does."""
        links: list[Link] = []
        try:
            while len(links) < ACCEPT_AT_ONCE:
                links.append(self._accept_one())
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in _EXHAUSTED:
                return links, str(error.strerror)
            if error.errno not in _GONE:
                for link in links:
                    link.close()
                raise
        return links, ""

    @abstractmethod
    async def _someone(self) -> None:
        """Wait until somebody waits. Raises `trio.ClosedResourceError`."""

    @abstractmethod
    def _accept_one(self) -> Link:
        """Take one, without waiting. Raises OSErrors as `socket.accept` does."""


class SocketListener(PatientListener):
    """A listener on a bound, listening, non-blocking TCP socket, which it owns from here on."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        sock.setblocking(False)
        self._sock = sock
        host, port, *rest = sock.getsockname()
        if any(rest[1:]):  # a link-local address is one only with its zone
            host = f"{host}%{socket.if_indextoname(rest[1])}"
        self.port: int = port
        self.address = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    async def _someone(self) -> None:
        if self._sock.fileno() == -1:
            raise trio.ClosedResourceError("closed")
        await trio.lowlevel.wait_readable(self._sock)

    def _accept_one(self) -> Link:
        sock, address = self._sock.accept()
        return _link(sock, address[0])

    def close(self) -> None:
        if self._sock.fileno() != -1:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


def _link(sock: socket.socket, host: str) -> SocketLink:
    with suppress(OSError):  # some systems refuse it when the peer has gone again; the link will say so
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return SocketLink(sock, host)


async def open_listeners(host: str, port: int) -> list[SocketListener]:
    """Listen on every address of `host` that this machine has; `port` 0 takes any free one, the same for all.

    An empty `host` is all of this machine, and so is `::`, over IPv4 too. Waits for the name to be resolved.
    Raises `CannotStart`; then, and when cancelled, nothing listens.
    """
    try:
        found = await trio.socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise CannotStart(f"cannot listen on {host}: {error.strerror}") from error
    except UnicodeError as error:  # from the encoding of host names
        raise CannotStart(f"cannot listen on {host}: not a host name") from error
    # `::` alone takes IPv4 connections as well, whatever the machine's default is. Beside 0.0.0.0 it cannot.
    ipv6_only = any(family == socket.AF_INET for family, *_ in found)
    listeners: list[SocketListener] = []
    lacking: OSError | None = None
    for family, kind, proto, _, (address, _, *rest) in dict.fromkeys(found):  # one may be there twice
        shared = listeners[0].port if listeners else port
        try:
            listeners.append(_listen(family, kind, proto, (address, shared, *rest), ipv6_only=ipv6_only))
        except OSError as error:
            if error.errno in _LACKING:
                lacking = error
                continue
            for listener in listeners:
                listener.close()
            raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}") from error
    if not listeners:
        reason = lacking.strerror if lacking else "it has no address"
        raise CannotStart(f"cannot listen on {host}:{port}: {reason}") from lacking
    return listeners


def _listen(
    family: int, kind: int, proto: int, sockaddr: tuple[object, ...], *, ipv6_only: bool
) -> SocketListener:
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What is accepted inherits it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ipv6_only)
        sock.bind(sockaddr)
        sock.listen(4096)
        return SocketListener(sock)
    except BaseException:
        sock.close()
        raise
