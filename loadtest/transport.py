"""A connection that can also be ended rudely: what a user needs to go by FIN or by RST."""

import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from trio_chat.client import Link, SocketLink, dial_tcp

__all__ = ["DialLine", "SocketTransport", "Transport", "dial_line"]


class Transport(Link, Protocol):
    """A link, and two more ways to end it."""

    def end(self) -> None:
        """Say that no more will come (FIN), and go on reading. A connection that is gone is no error."""
        ...

    def reset(self) -> None:
        """Break the connection (RST), as the end of a process with unread input does."""
        ...


DialLine = Callable[[str, int], Awaitable[Transport]]


class SocketTransport(SocketLink):
    """A line on a socket."""

    __slots__ = ()

    def end(self) -> None:
        with suppress(OSError):  # it broke just now, which whoever reads is told
            self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    @classmethod
    def of(cls, link: SocketLink) -> "SocketTransport":
        """The same connection; the link is not to be used any more."""
        return cls(link._sock, link.address)


async def dial_line(host: str, port: int) -> SocketTransport:
    """As `dial_tcp`, whose errors it raises."""
    link = await dial_tcp(host, port)
    assert isinstance(link, SocketLink)
    return SocketTransport.of(link)
