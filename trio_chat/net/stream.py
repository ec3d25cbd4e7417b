"""The general form of a link: on any `trio.abc.Stream`, such as TLS.

A stream's only send is one that waits, so the non-blocking send goes into a bounded buffer which a
task of the link's own empties. Slower than a socket's link by a task switch a send and a copy.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from trio_chat.errors import LinkBroken
from trio_chat.net.link import RECEIVE_BYTES

__all__ = ["StreamLink", "open_stream_link"]

_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


class StreamLink:
    """A link on a stream; made by `open_stream_link`, which owns its task.

    `buffer_bytes` bounds what is taken and not yet sent: at the bound, `send_nowait` takes less.
    """

    def __init__(self, stream: trio.abc.Stream, address: str = "", *, buffer_bytes: int = 65_536) -> None:
        self.address = address
        self._stream = stream
        self._buffer = bytearray()  # what the stream is just sending still counts
        self._buffer_bytes = buffer_bytes
        self._change = trio.Event()
        self._waits: set[trio.CancelScope] = set()
        self._finishing = False
        self._broken = False

    async def receive_some(self) -> bytes:
        with self._interruptible():
            try:
                return bytes(await self._stream.receive_some(RECEIVE_BYTES))
            except _BROKEN as error:
                raise LinkBroken("connection lost") from error
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

    async def finish(self) -> None:
        self._finishing = True
        self._changed()
        with self._interruptible():
            while self._buffer and not self._broken:
                await self._change.wait()
        while await self.receive_some():
            pass

    def close(self) -> None:
        self._broken = True
        self._changed()
        self.interrupt()

    def _changed(self) -> None:
        self._change.set()
        self._change = trio.Event()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """A wait that `interrupt` may end: the block is left quietly at its first line not run."""
        with trio.CancelScope() as scope:
            self._waits.add(scope)
            try:
                yield
            finally:
                self._waits.discard(scope)

    async def _send_what_comes(self) -> None:
        try:
            while not self._broken:
                if self._buffer:
                    chunk = bytes(self._buffer)
                    await self._stream.send_all(chunk)
                    del self._buffer[: len(chunk)]
                    self._changed()
                elif self._finishing:
                    if isinstance(self._stream, trio.abc.HalfCloseableStream):
                        await self._stream.send_eof()
                    return
                else:
                    await self._change.wait()
        except _BROKEN:
            self.close()


@asynccontextmanager
async def open_stream_link(
    stream: trio.abc.Stream, address: str = "", *, buffer_bytes: int = 65_536
) -> AsyncGenerator[StreamLink]:
    """A link on `stream` for as long as the block lasts; at its end the stream is closed by force."""
    link = StreamLink(stream, address, buffer_bytes=buffer_bytes)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link._send_what_comes)
            try:
                yield link
            finally:
                link.close()
                nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)
