"""Links in memory, for tests: bounded both ways, so that back-pressure is real.

Trio's memory streams never block, so on them nobody is ever slow. A pipe behaves as a socket does on
Linux, down to the unpleasant parts: a send takes only what fits, the first send to a peer who has
closed is taken and lost, closing over unread input is a reset, and a reset forgets what nobody had
read yet. `test_pipes.py` holds it to that, beside a pair of real sockets.
"""

from collections.abc import Callable

import trio
from trio.lowlevel import ParkingLot

from trio_chat.errors import LinkBroken
from trio_chat.net.link import RECEIVE_BYTES

__all__ = ["PipeLink", "link_pair"]


class _Way:
    """The bytes under way in one direction, between one sender and one receiver."""

    def __init__(self, buffer_bytes: int) -> None:
        self.bytes = bytearray()
        self.buffer_bytes = buffer_bytes
        self.ended = False  # no more will be sent
        self.deaf = False  # nobody will ever read
        self.broken = False
        self.readable = ParkingLot()
        self.writable = ParkingLot()

    @property
    def space(self) -> int:
        return self.buffer_bytes - len(self.bytes)

    def wake(self) -> None:
        self.readable.unpark_all()
        self.writable.unpark_all()


class PipeLink:
    """One end of a pair; made by `link_pair`. A `trio_chat.net.link.Link`."""

    def __init__(self, incoming: _Way, outgoing: _Way, address: str) -> None:
        self.address = address
        self.send_bare: Callable[[bytes], int] = self.send_nowait
        self._in = incoming
        self._out = outgoing
        self._interruptions = 0
        self._closed = False

    @property
    def is_closed(self) -> bool:
        return self._closed

    async def receive_some(self) -> bytes:
        way = self._in
        await self._wait(way.readable, lambda: way.bytes or way.ended or way.broken)
        if way.broken:
            raise LinkBroken("connection lost: Connection reset by peer")
        data = bytes(way.bytes[:RECEIVE_BYTES])
        del way.bytes[: len(data)]
        way.writable.unpark_all()
        return data

    def send_nowait(self, data: bytes | memoryview) -> int:
        way = self._out
        if self._closed or way.ended or way.broken:
            raise LinkBroken("connection lost: Broken pipe")
        if way.deaf:
            self.reset()
            return len(data)
        took = min(len(data), way.space)
        if took > 0:
            way.bytes += memoryview(data)[:took]
            way.readable.unpark_all()
        return took

    async def wait_writable(self) -> None:
        way = self._out
        await self._wait(way.writable, lambda: way.space > 0 or way.ended or way.broken)

    def interrupt(self) -> None:
        self._interruptions += 1
        self._in.readable.unpark_all()
        self._out.writable.unpark_all()

    async def finish(self) -> None:
        self.end()
        while await self.receive_some():
            pass

    def end(self) -> None:
        """Say that no more will come; what the other end sends can still be read."""
        if self._closed or self._out.broken:
            raise LinkBroken("connection lost: Broken pipe")
        self._out.ended = True
        self._out.wake()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.interrupt()
        if self._in.bytes:
            self.reset()
        self._in.deaf = True
        self._out.ended = True
        self._out.wake()

    def reset(self) -> None:
        """Break the connection both ways, as a network can; what nobody had read is forgotten."""
        for way in (self._in, self._out):
            way.broken = True
            way.bytes.clear()
            way.wake()

    async def _wait(self, lot: ParkingLot, ready: Callable[[], object]) -> None:
        if self._closed:
            raise trio.ClosedResourceError("closed")
        interruptions = self._interruptions
        await trio.lowlevel.checkpoint()
        while self._interruptions == interruptions and not ready():
            await lot.park()
        if self._interruptions != interruptions:
            raise trio.ClosedResourceError("interrupted")


def link_pair(buffer_bytes: int = 65_536) -> tuple[PipeLink, PipeLink]:
    """Two ends of one connection that holds up to `buffer_bytes` each way."""
    here, there = _Way(buffer_bytes), _Way(buffer_bytes)
    return PipeLink(here, there, "left"), PipeLink(there, here, "right")
