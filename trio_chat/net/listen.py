"""Accept connections as links.

A listener accepts all waiting connections at once, up to a bound, so that a connection storm needs few
wake-ups. If the process or the machine has no file descriptor left for another connection, it pauses for a
moment and tries again, while existing connections are served.
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

__all__ = ["BaseListener", "Listener", "SocketListener", "open_listeners"]

log = logging.getLogger("trio_chat.net")

ACCEPT_AT_ONCE = 16  # each takes about 0.1 ms until its task waits for input
# The kernel's buffer for a slow reader; Linux doubles it for its own bookkeeping. By default it grows to 4 MB
# for each connection: 1.5 GB for five hundred stalled readers. Messages beyond it are stored once for all.
SEND_BUFFER_BYTES = 128 << 10
# The kernel's buffer for input that the server has not read; by default it grows to 6 MB. With this bound a
# peer that sends too fast must wait, and the server does not read messages long after they were sent.
RECEIVE_BUFFER_BYTES = 64 << 10
PAUSE_S = 0.1
WARN_S = 60.0  # between two warnings about missing resources
# Temporary lack of resources; the same list as in trio.serve_listeners.
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
# The connection ended before it was accepted; the next connection may succeed.
_GONE = {errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH}
# The machine does not have the address, such as `::1` with IPv6 off; the other addresses can be used.
_ADDRESS_UNAVAILABLE = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


class Listener(Protocol):
    """A source of connections."""

    address: str
    """The URL of the listener, such as `tcp://127.0.0.1:5555`."""

    async def accept(self) -> list[Link]:
        """Wait for connections and return them, at least one. If cancelled, none is lost.

        Raises `trio.ClosedResourceError` when the listener is closed meanwhile.
        """
        ...

    def close(self) -> None: ...


class BaseListener(ABC):
    """The common part of all listeners: accept all waiting connections, and retry without resources."""

    def __init__(self) -> None:
        self._pausing = False  # a warning is logged once for each shortage …
        self._warn_at = float("-inf")  # … and not before this time

    async def accept(self) -> list[Link]:
        while True:
            await self._wait_for_connection()
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
        """Accept the waiting connections. Return them, and the error text if a resource is exhausted."""
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
    async def _wait_for_connection(self) -> None:
        """Wait until a connection can be accepted. Raises `trio.ClosedResourceError`."""

    @abstractmethod
    def _accept_one(self) -> Link:
        """Accept a connection without waiting. Raises OSError as `socket.accept` does."""


class SocketListener(BaseListener):
    """A listener on a bound, listening, TCP socket, which it owns and makes non-blocking."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        sock.setblocking(False)
        self._sock = sock
        host, port, *rest = sock.getsockname()
        if any(rest[1:]):  # a link-local address is complete only with its zone
            host = f"{host}%{socket.if_indextoname(rest[1])}"
        self.port: int = port
        self.address = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    async def _wait_for_connection(self) -> None:
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
    # fails on some systems if the peer has disconnected already; the link reports that
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return SocketLink(sock, host)


async def open_listeners(host: str, port: int) -> list[SocketListener]:
    """Listen on every address of `host` that this machine has. Port 0 selects a free port, the same for all.

    An empty `host` and `::` mean all addresses of this machine, IPv4 and IPv6. Waits for the name lookup.
    Raises `CannotStart`. After an error or a cancellation no listener is open.
    """
    try:
        found = await trio.socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise CannotStart(f"cannot listen on {host}: {error.strerror}") from error
    except UnicodeError as error:  # from the encoding of host names
        raise CannotStart(f"cannot listen on {host}: invalid host name") from error
    # `::` alone accepts IPv4 too, whatever the machine's default. Together with 0.0.0.0 that would fail.
    ipv6_only = any(family == socket.AF_INET for family, *_ in found)
    listeners: list[SocketListener] = []
    lacking: OSError | None = None
    for family, kind, proto, _, (address, _, *rest) in dict.fromkeys(found):  # without duplicates
        shared = listeners[0].port if listeners else port
        try:
            listeners.append(_listen(family, kind, proto, (address, shared, *rest), ipv6_only=ipv6_only))
        except OSError as error:
            if error.errno in _ADDRESS_UNAVAILABLE:
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
        # Accepted sockets inherit these options.
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
