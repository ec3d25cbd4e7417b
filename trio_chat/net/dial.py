"""Dialling: a link to a server."""

import socket
from collections.abc import Awaitable, Callable

import trio

from trio_chat.errors import CannotConnect
from trio_chat.net.link import Link, SocketLink

__all__ = ["Dial", "dial_tcp"]

Dial = Callable[[str, int], Awaitable[Link]]
"""Waits for a connection to a host and port. Raises `CannotConnect`."""


async def dial_tcp(host: str, port: int) -> Link:
    """Connect over TCP to the first address of `host` that answers (RFC 8305, as Trio does it).

    Cancelling leaves no connection. Raises `CannotConnect`.
    """
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CannotConnect(f"no server at {host}:{port}: {reason}") from error
    # The link wants the plain socket; a duplicate of the descriptor frees it from Trio's wrapper.
    with stream.socket as wrapped:
        sock = socket.socket(fileno=wrapped.detach())
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return SocketLink(sock, host)
