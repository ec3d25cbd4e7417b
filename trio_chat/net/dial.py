"""Connect to a server."""

import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from trio_chat.errors import CannotConnect
from trio_chat.net.link import Link, SocketLink

__all__ = ["Dial", "dial_tcp"]

Dial = Callable[[str, int], Awaitable[Link]]
"""A function that waits for a connection to a host and port. Raises `CannotConnect`."""


async def dial_tcp(host: str, port: int) -> Link:
    """Connect over TCP to the first address of `host` that answers (RFC 8305, as Trio does it).

    If cancelled, it leaves no connection open. Raises `CannotConnect`.
    """
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        raise CannotConnect(f"cannot connect to {_host_port(host, port)}: {_reason(error)}") from error
    except UnicodeError as error:  # from the encoding of host names
        raise CannotConnect(f"cannot connect to {_host_port(host, port)}: invalid host name") from error
    # The link needs the plain socket, so take the file descriptor out of Trio's wrapper.
    with stream.socket as wrapped:
        sock = socket.socket(fileno=wrapped.detach())
    # fails on some systems if the peer has disconnected already; the link reports that
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return SocketLink(sock, host)


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: OSError) -> str:
    """Return the error of the first address, since Trio reports only that all attempts failed."""
    first: BaseException | None = error.__cause__
    if isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, OSError) and first.errno:
        return os.strerror(first.errno)
    return error.strerror or str(error)
