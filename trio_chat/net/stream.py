"""A link on any `trio.abc.Stream`, such as TLS.

A stream's send waits, so `send_nowait` writes to a bounded buffer, and a task of the link sends from it. Each
send costs a task switch and a copy more than on a socket's link.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from trio_chat.errors import LinkBroken
from trio_chat.net.link import RECEIVE_BYTES, ReadPacing, discard_input

__all__ = ["StreamLink", "open_stream_link"]

_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


class StreamLink:
    """A link on a stream. Use `open_stream_link`, which runs its task.

    `buffer_bytes` bounds the bytes that are not sent yet: at the bound, `send_nowait` accepts fewer.
    """

    def __init__(self, stream: trio.abc.Stream, address: str = "", *, buffer_bytes: int = 65_536) -> None:
        self.address = address
        self.send_bare: Callable[[bytes], int] = self.send_nowait
        self._stream = stream
        self._buffer = bytearray()  # includes the bytes that the stream is sending now
        self._buffer_bytes = buffer_bytes
        self._change = trio.Event()
        self._waits: set[trio.CancelScope] = set()
        self._open = trio.CancelScope()  # cancelled to end the task, which then closes the stream
        self._finishing = False
        self._broken = False  # nothing more can be sent
        self._closed = False

    async def receive_some(self) -> bytes:
        with self._interruptible():
            return await self._receive()
        raise trio.ClosedResourceError("interrupted")

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self._broken:
            raise LinkBroken("connection lost")
        took = min(len(data), self._buffer_bytes - len(self._buffer))
        if took > 0:
            self._buffer += memoryview(data)[:took]
            self._changed()
        return took

    async def wait_writable(self) -> None:
        with self._interruptible():
            await trio.lowlevel.checkpoint()
            while len(self._buffer) >= self._buffer_bytes and not self._broken:
                await self._change.wait()
            return
        raise trio.ClosedResourceError("interrupted")

    def interrupt(self) -> None:
        for scope in self._waits:
            scope.cancel()

    async def finish(self, pace: ReadPacing | None = None) -> None:
        self._finishing = True
        self._changed()
        with self._interruptible():
            while self._buffer and not self._broken:
                await self._change.wait()
            if self._broken:
                raise LinkBroken("connection lost")
            await discard_input(self._receive, pace)
            return
        raise trio.ClosedResourceError("interrupted")

    def close(self) -> None:
        self._closed = self._broken = True
        self.interrupt()  # before `_changed`, which would let the waits return normally
        self._changed()
        self._open.cancel()

    async def run(self) -> None:
        """Send buffered bytes until the link is closed, then close the stream. This is the link's task."""
        try:
            with self._open:
                try:
                    await self._send_buffered()
                except _BROKEN:
                    # The peer's earlier input can still be read.
                    self._broken = True
                    self._changed()
                await trio.sleep_forever()
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _send_buffered(self) -> None:
        while self._buffer or not self._finishing:
            if self._buffer:
                chunk = bytes(self._buffer)
                await self._stream.send_all(chunk)
                del self._buffer[: len(chunk)]
                self._changed()
            else:
                await self._change.wait()
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()

    async def _receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(RECEIVE_BYTES))
        except _BROKEN as error:
            raise LinkBroken("connection lost") from error

    def _changed(self) -> None:
        self._change.set()
        self._change = trio.Event()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Run a block that `interrupt` may cancel; execution then continues after the block."""
        if self._closed:
            raise trio.ClosedResourceError("closed")
        with trio.CancelScope() as scope:
            self._waits.add(scope)
            try:
                yield
            finally:
                self._waits.discard(scope)


@asynccontextmanager
async def open_stream_link(
    stream: trio.abc.Stream, address: str = "", *, buffer_bytes: int = 65_536
) -> AsyncGenerator[StreamLink]:
    """Open a link on `stream` for the block; close the stream at its end without a graceful shutdown."""
    link = StreamLink(stream, address, buffer_bytes=buffer_bytes)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        try:
            yield link
        finally:
            link.close()
