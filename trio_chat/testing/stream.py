"""Pipe ends as Trio streams, for any Trio program: bounded, unlike Trio's memory streams."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from trio_chat.errors import LinkBroken
from trio_chat.net.link import RECEIVE_BYTES
from trio_chat.testing.pipe import BUFFER_BYTES, PipeLink, link_pair

__all__ = ["MemoryStream", "stream_pair"]


class MemoryStream(trio.abc.HalfCloseableStream):
    """A stream on one end of a pipe, which it owns. It keeps the contract of `trio.SocketStream`.

    Cancelling `send_all` leaves an unknown part of the data sent; cancelling `receive_some` takes nothing;
    a cancelled `aclose` has closed. All raise `trio.BrokenResourceError` when the connection is gone,
    `trio.ClosedResourceError` once this end was closed, and `trio.BusyResourceError` for a second task.
    """

    def __init__(self, link: PipeLink) -> None:
        self.link = link
        self._sending = False
        self._said_eof = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Wait until the pipe has taken all the data, which is earlier than its arrival."""
        with self._alone(), memoryview(data) as rest:
            if self._said_eof:
                raise trio.ClosedResourceError("no more can be sent after send_eof")
            await trio.lowlevel.checkpoint()
            sent = 0
            while sent < len(rest):
                took = self.link.send_nowait(rest[sent:])
                sent += took
                if not took:
                    await self.link.wait_writable()

    async def wait_send_all_might_not_block(self) -> None:
        with self._alone():
            await self.link.wait_writable()

    async def send_eof(self) -> None:
        with self._alone():
            await trio.lowlevel.checkpoint()
            self.link.end()
            self._said_eof = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes and take up to `max_bytes`, or 64 KiB; `b""` at the end of the peer's input."""
        if max_bytes is None:
            max_bytes = RECEIVE_BYTES
        if not isinstance(max_bytes, int):
            raise TypeError(f"invalid max_bytes: got {max_bytes!r}, expected an int")
        if max_bytes < 1:
            raise ValueError(f"invalid max_bytes: got {max_bytes}, expected at least 1")
        try:
            return await self.link.receive_some(max_bytes)
        except LinkBroken as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def aclose(self) -> None:
        """Close at once: sent bytes still arrive, unless there is unread input, which causes a reset."""
        self.link.close()
        await trio.lowlevel.checkpoint()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Allow one sending task at a time, and raise Trio's errors."""
        if self._sending:
            raise trio.BusyResourceError("another task is sending already")
        if self.link.is_closed:
            raise trio.ClosedResourceError("closed")
        self._sending = True
        try:
            yield
        except LinkBroken as error:
            if self.link.is_closed:
                raise trio.ClosedResourceError("closed") from None
            raise trio.BrokenResourceError(str(error)) from error
        finally:
            self._sending = False


def stream_pair(buffer_bytes: int = BUFFER_BYTES) -> tuple[MemoryStream, MemoryStream]:
    """Return the two ends of one connection that holds up to `buffer_bytes` each way."""
    left, right = link_pair(buffer_bytes)
    return MemoryStream(left), MemoryStream(right)
