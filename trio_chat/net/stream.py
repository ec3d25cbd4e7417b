"""The general form of a link: on any `trio.abc.Stream`, such as TLS.

A stream's only send is one that waits, so the non-blocking send goes into a bounded buffer which a
task of the link's own empties. Slower than a socket's link by a task switch a send and a copy.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from trio_chat.errors import LinkBroken
from trio_chat.net.link import RECEIVE_BYTES, ReadPacing, forget_input

__all__ = ["StreamLink", "open_stream_link"]

_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


class StreamLink:
    """A link on a stream; made by `open_stream_link`, which owns its task.

    `buffer_bytes` bounds what is taken and not yet sent: at the bound, `send_nowait` takes less.
    """

    def __init__(self, stream: trio.abc.Stream, address: str = "", *, buffer_bytes: int = 65_536) -> None:
        self.address = address
        self.send_bare: Callable[[bytes], int] = self.send_nowait
        self._stream = stream
        self._buffer = bytearray()  # what the stream is just sending still counts
        self._buffer_bytes = buffer_bytes
        self._change = trio.Event()
        self._waits: set[trio.CancelScope] = set()
        self._open = trio.CancelScope()  # of the task, which closes the stream at its end
        self._finishing = False
        self._broken = False  # nothing more will be sent
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
            await forget_input(self._receive, pace)
            return
        raise trio.ClosedResourceError("interrupted")

    def close(self) -> None:
        self._closed = self._broken = True
        self.interrupt()  # before the change, which would end the waits as if they had come true
        self._changed()
        self._open.cancel()

    async def run(self) -> None:
        """The link's own task: send what comes until the link is closed, then close the stream."""
        try:
            with self._open:
                try:
                    await self._send_what_comes()
                except _BROKEN:
                    # What the peer had sent before may still be read.
                    self._broken = True
                    self._changed()
                await trio.sleep_forever()
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _send_what_comes(self) -> None:
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
        """A wait that `interrupt` may end: the block is left quietly at its first line not run."""
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
    """A link on `stream` for as long as the block lasts; at its end the stream is closed by force."""
    link = StreamLink(stream, address, buffer_bytes=buffer_bytes)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        try:
            yield link
        finally:
            link.close()
