"""Links: connections whose send never waits.

A chat server needs a send that never waits, which `trio.abc.Stream` does not offer: a message for a thousand
members is a thousand sends, and none may wait for a slow member. `SocketLink` uses a plain non-blocking
socket without Trio's stream: a send costs 4 µs, and `SocketStream.send_all` 13 µs (Python 3.11). `stream.py`
has a link for any Trio stream.
"""

import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from trio_chat.errors import LinkBroken

__all__ = [
    "DISCARD_BYTES",
    "RECEIVE_BYTES",
    "Link",
    "ReadPacing",
    "SocketLink",
    "close_gracefully",
    "discard_input",
]

RECEIVE_BYTES = 65_536
# The most input to discard while a connection closes: the size of both ends' buffers and more. A peer that
# sends more is not reading, and to discard all its input would cost as much as to serve it.
DISCARD_BYTES = 256 << 10

ReadPacing = Callable[[], Awaitable[None]]
"""A function that waits until the next read is allowed, for a peer that may send without end."""


class Link(Protocol):
    """One connection. Only one task may receive. Any task may send, since sending never waits."""

    address: str
    """The peer's host as text; empty if it has none."""

    async def receive_some(self) -> bytes:
        """Wait for bytes and return up to 64 KiB; `b""` at the end of the peer's input.

        Raises `LinkBroken` when the connection is lost, and `trio.ClosedResourceError` when
        `interrupt` or `close` ends the wait. If cancelled, no bytes are lost.
        """
        ...

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Send as many bytes as possible without waiting. Return their number, 0 if the send would block.

        Raises `LinkBroken` when the connection is lost.
        """
        ...

    send_bare: Callable[[bytes], int]
    """A faster `send_nowait` for the fan-out.

    It may raise `BlockingIOError` in place of returning 0, and any OSError (`LinkBroken` is one) when the
    connection is lost. For a socket it is the socket's own `send`, which saves 15 % of a delivery.
    """

    async def wait_writable(self) -> None:
        """Wait until more can be sent. Raises `LinkBroken`, `trio.ClosedResourceError`."""
        ...

    def interrupt(self) -> None:
        """End all current waits with `trio.ClosedResourceError`; the connection stays open."""
        ...

    async def finish(self, pace: ReadPacing | None = None) -> None:
        """Send the buffered bytes and the end of output, then discard the peer's input (`discard_input`).

        Waits for the end of the input, at most for `DISCARD_BYTES` with a `pace`. The link must still be
        closed afterwards. Raises `LinkBroken`, `trio.ClosedResourceError`.
        """
        ...

    def close(self) -> None:
        """Close at once; idempotent. Unread input makes the kernel send a reset to the peer."""
        ...


class SocketLink:
    """A link on a connected socket, which it owns and makes non-blocking."""

    __slots__ = ("_sock", "address", "send_bare")

    def __init__(self, sock: socket.socket, address: str) -> None:
        sock.setblocking(False)
        self._sock = sock
        self.address = address
        self.send_bare: Callable[[bytes], int] = sock.send

    @property
    def send_buffer_bytes(self) -> int:
        """Return the size of the kernel's send buffer in bytes."""
        return self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    async def receive_some(self) -> bytes:
        while True:
            self._check_open()
            await trio.lowlevel.wait_readable(self._sock)
            try:
                return self._sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise LinkBroken(f"connection lost: {error.strerror}") from error

    def send_nowait(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkBroken(f"connection lost: {error.strerror}") from error

    async def wait_writable(self) -> None:
        self._check_open()
        await trio.lowlevel.wait_writable(self._sock)

    def _check_open(self) -> None:
        # For the file descriptor -1 Trio raises ValueError; callers expect the same error as from a wait.
        if self._sock.fileno() == -1:
            raise trio.ClosedResourceError("closed")

    def interrupt(self) -> None:
        if self._sock.fileno() != -1:
            trio.lowlevel.notify_closing(self._sock)

    async def finish(self, pace: ReadPacing | None = None) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise LinkBroken(f"connection lost: {error.strerror}") from error
        await discard_input(self.receive_some, pace)

    def close(self) -> None:
        self.interrupt()
        self._sock.close()


async def discard_input(receive_some: Callable[[], Awaitable[bytes]], pace: ReadPacing | None) -> None:
    """Read and discard a peer's input until its end.

    With a `pace`, call it between two reads and stop after `DISCARD_BYTES`. Raises the errors of
    `receive_some`.
    """
    left = DISCARD_BYTES
    while (data := await receive_some()) and left > 0:
        if pace is not None:
            left -= len(data)
            await pace()


async def close_gracefully(link: Link, *, seconds: float, pace: ReadPacing | None = None) -> None:
    """Close so that the peer can read all that was sent; wait at most `seconds` for it.

    Closing with unread input sends a reset, and a reset makes the peer's kernel drop bytes that the peer has
    not read. The peer's input is therefore read to its end first. The link is closed when this function
    returns or is cancelled.
    """
    try:
        with trio.move_on_after(seconds):
            await link.finish(pace)
    except (LinkBroken, trio.ClosedResourceError):
        pass
    finally:
        link.close()
