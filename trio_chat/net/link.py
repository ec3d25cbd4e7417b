"""Links: bytes come and go.

What a chat server needs of a connection and `trio.abc.Stream` does not offer is the send that never
waits: a message for a thousand members is a thousand sends, and none of them may wait for a slow one.
`SocketLink` is that on a plain non-blocking socket, without Trio's stream in between: a bare send
costs 4 µs where `SocketStream.send_all` costs 13 (Python 3.11). `stream.py` has the general form, for
any Trio stream.
"""

import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from trio_chat.errors import LinkBroken

__all__ = [
    "FORGET_BYTES",
    "RECEIVE_BYTES",
    "Link",
    "ReadPacing",
    "SocketLink",
    "close_politely",
    "forget_input",
]

RECEIVE_BYTES = 65_536
# Of the peer's input while a connection is closed: what both ends' buffers hold, and some more. A peer that
# goes on sending after the goodbye does not want to hear it, and to read on would cost as much as to serve
# it.
FORGET_BYTES = 256 << 10

ReadPacing = Callable[[], Awaitable[None]]
"""Waits until the next read may be made, from a peer that may go on sending for ever."""


class Link(Protocol):
    """One connection. One task receives; any task may send, since sending never waits."""

    address: str
    """The peer's host, as text; empty where there is none."""

    async def receive_some(self) -> bytes:
        """Wait for bytes and take up to 64 KiB; `b""` at the end of the peer's input.

        Raises `LinkBroken` when the connection is gone, and `trio.ClosedResourceError` when
        `interrupt` or `close` ends the wait. Cancelling takes no bytes.
        """
        ...

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Give the connection what it will take at once: how many bytes, 0 when it would block.

        Raises `LinkBroken` when the connection is gone.
        """
        ...

    send_bare: Callable[[bytes], int]
    """`send_nowait` without its comfort, for the fan-out: may raise `BlockingIOError` instead of taking
    nothing, and any OSError (`LinkBroken` is one) when the connection is gone. On a socket it is the
    socket's own `send`, with no Python in between: worth 15 % of a delivery."""

    async def wait_writable(self) -> None:
        """Wait until the connection may take more. Raises `LinkBroken`, `trio.ClosedResourceError`."""
        ...

    def interrupt(self) -> None:
        """End the waits that are under way with `trio.ClosedResourceError`; the connection stays."""
        ...

    async def finish(self, pace: ReadPacing | None = None) -> None:
        """Send what was taken and say that no more will come, then read and forget until the peer says so
        too, or has sent too much (`forget_input`). Raises `LinkBroken`, `trio.ClosedResourceError`; still to
        be closed after it."""
        ...

    def close(self) -> None:
        """Close at once; idempotent. What the peer had sent and nobody read turns into a reset."""
        ...


class SocketLink:
    """A link on a connected non-blocking socket, which it owns from here on."""

    __slots__ = ("_sock", "address", "send_bare")

    def __init__(self, sock: socket.socket, address: str) -> None:
        sock.setblocking(False)
        self._sock = sock
        self.address = address
        self.send_bare: Callable[[bytes], int] = sock.send

    @property
    def send_buffer_bytes(self) -> int:
        """How much the kernel holds of what was sent and not received yet."""
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
        # Trio says ValueError of a descriptor that is -1; who waits too late is told as who waited in time.
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
        await forget_input(self.receive_some, pace)

    def close(self) -> None:
        self.interrupt()
        self._sock.close()


async def forget_input(receive_some: Callable[[], Awaitable[bytes]], pace: ReadPacing | None) -> None:
    """Read until the end of a peer's input; with a `pace`, call it between two reads and read no more than
    `FORGET_BYTES`. Raises what reading raises.
    """
    left = FORGET_BYTES
    while (data := await receive_some()) and left > 0:
        if pace is not None:
            left -= len(data)
            await pace()


async def close_politely(link: Link, *, seconds: float, pace: ReadPacing | None = None) -> None:
    """Close so that the peer can read all that was sent, waiting at most `seconds` for it.

    Closing over unread input sends a reset, and a reset makes the peer forget what it had not read
    yet: so the peer's input is read to its end first. The link is closed when this returns or is
    cancelled.
    """
    try:
        with trio.move_on_after(seconds):
            await link.finish(pace)
    except (LinkBroken, trio.ClosedResourceError):
        pass
    finally:
        link.close()
