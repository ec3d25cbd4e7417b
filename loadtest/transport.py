"""A connection that a user can also half-close (FIN) or reset (RST)."""

import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from trio_chat.client import Link, SocketLink, dial_tcp

__all__ = ["DialTransport", "SocketTransport", "Transport", "dial_transport"]


class Transport(Link, Protocol):
    """A link with two more ways to end it."""

    def end(self) -> None:
        """Half-close the connection (FIN); reading remains possible. A closed connection is not an error."""
        ...

    def reset(self) -> None:
        """Reset the connection (RST), as a process does that ends with unread input."""
        ...


DialTransport = Callable[[str, int], Awaitable[Transport]]


class SocketTransport(SocketLink):
    """A transport on a socket."""

    __slots__ = ()

    def end(self) -> None:
        with suppress(OSError):  # the connection broke just now; the reader gets the error
            self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    @classmethod
    def of(cls, link: SocketLink) -> "SocketTransport":
        """Return a transport that takes over the connection of a link; the link must not be used any more."""
        return cls(link._sock, link.address)


async def dial_transport(host: str, port: int) -> SocketTransport:
    """Connect as `dial_tcp` does, with the same errors."""
    link = await dial_tcp(host, port)
    assert isinstance(link, SocketLink)
    return SocketTransport.of(link)
