"""Listening: connections come in as links.

A listener takes all that wait at once, up to a bound, so that a storm of connections costs one wake-up
for many. When the process or the machine has no file descriptor left for another connection it pauses
for a moment and goes on: those who are connected are served meanwhile.
"""

import errno
import logging
import socket
from typing import Protocol

import trio

from trio_chat.errors import CannotStart
from trio_chat.net.link import Link, SocketLink

__all__ = ["Listener", "SocketListener", "open_listeners"]

log = logging.getLogger("trio_chat.net")

ACCEPT_AT_ONCE = 64
PAUSE_S = 0.1
# Not the connection's fault and not lasting; the same list as trio.serve_listeners.
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
# The connection that was to be accepted is gone again: the next one may be well.
_GONE = {errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH}


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


class SocketListener:
    """A listener on a bound, listening, non-blocking TCP socket, which it owns from here on."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        host, port = sock.getsockname()[:2]
        self.port: int = port
        self.address = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    async def accept(self) -> list[Link]:
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            links: list[Link] = []
            try:
                while len(links) < ACCEPT_AT_ONCE:
                    sock, address = self._sock.accept()
                    links.append(self._link(sock, address[0]))
            except BlockingIOError:
                pass
            except OSError as error:
                if error.errno in _EXHAUSTED and not links:
                    log.warning("cannot accept for now: %s", error.strerror)
                    await trio.sleep(PAUSE_S)
                elif error.errno not in _EXHAUSTED | _GONE:
                    for link in links:
                        link.close()
                    raise
            if links:
                return links

    def close(self) -> None:
        if self._sock.fileno() != -1:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    @staticmethod
    def _link(sock: socket.socket, host: str) -> SocketLink:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return SocketLink(sock, host)


async def open_listeners(host: str, port: int) -> list[SocketListener]:
    """Listen on every address of `host` (`""`: on all of this machine); `port` 0 takes any free one.

    Waits for the name to be resolved. Raises `CannotStart`; then, and when cancelled, nothing listens.
    """
    try:
        found = await trio.socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise CannotStart(f"cannot listen on {host}: {error.strerror}") from error
    listeners: list[SocketListener] = []
    try:
        for family, kind, proto, _, sockaddr in found:
            # All addresses of a host share the port, also when the first took any free one.
            shared = listeners[0].port if listeners else port
            listeners.append(_listen(family, kind, proto, (sockaddr[0], shared, *sockaddr[2:])))
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listeners


def _listen(family: int, kind: int, proto: int, sockaddr: tuple[object, ...]) -> SocketListener:
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(sockaddr)
        sock.listen(4096)
        return SocketListener(sock)
    except BaseException:
        sock.close()
        raise
