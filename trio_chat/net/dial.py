"""Dialling: a link to a server."""

import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

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
        raise CannotConnect(f"no server at {_place(host, port)}: {_reason(error)}") from error
    except UnicodeError as error:  # from the encoding of host names
        raise CannotConnect(f"no server at {_place(host, port)}: not a host name") from error
    # The link wants the plain socket; a duplicate of the descriptor frees it from Trio's wrapper.
    with stream.socket as wrapped:
        sock = socket.socket(fileno=wrapped.detach())
    with suppress(OSError):  # some systems refuse it when the peer has gone again; the link will say so
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return SocketLink(sock, host)


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: OSError) -> str:
    """What went wrong at the first address: of several attempts Trio says only that all have failed."""
    first: BaseException | None = error.__cause__
    if isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, OSError) and first.errno:
        return os.strerror(first.errno)
    return error.strerror or str(error)
