"""Links in memory: bounded both ways, so that back-pressure is real.

Trio's memory streams never block, so they have no slow readers. A pipe behaves as a socket does, including
the unpleasant parts: a send takes only the bytes that fit, the first send to a closed peer is taken and lost,
a close with unread input is a reset, and a reset discards unread bytes (Linux still returns them to reads;
other systems do not, and a program must work with both). `tests/testing/test_pipe.py` runs the same tests on
pipes and on real sockets.

A send puts its bytes directly into the read buffer of the other end: no task, no timer. Only a direction with
a fault has a `FaultPipeline` (`fault_pipeline.py`) in between.
"""

from collections.abc import Callable
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from trio_chat.errors import LinkBroken
from trio_chat.net.link import RECEIVE_BYTES, ReadPacing, discard_input

if TYPE_CHECKING:
    from trio_chat.testing.fault_pipeline import FaultPipeline

__all__ = ["BUFFER_BYTES", "EndMark", "Note", "PipeDirection", "PipeLink", "Waiter", "link_pair"]

BUFFER_BYTES = 65_536

Note = Callable[..., None]
"""Called for each event, for a trace: a kind, a connection's name, and more text and numbers."""


class EndMark(Enum):
    """A mark that travels in order with the bytes."""

    FIN = "no more will come"
    RST = "forget this connection"
    CUT = "a reset that lets the bytes before it be read"


class Waiter:
    """Wait for a wake-up in at most one task. As on a socket, a second waiting task is an error."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: Task | None = None

    def wake(self) -> None:
        if (task := self._task) is not None:
            self._task = None
            reschedule(task)

    async def wait(self, until: float) -> None:
        """Wait to be woken, or until that time of Trio's clock."""
        if self._task is not None:
            raise trio.BusyResourceError("another task waits for this connection already")
        self._task = current_task()
        if until == inf:
            await wait_task_rescheduled(self._give_up)
        else:
            with trio.move_on_at(until):
                await wait_task_rescheduled(self._give_up)

    def _give_up(self, raise_cancel: RaiseCancelT) -> Abort:
        self._task = None
        return Abort.SUCCEEDED


class PipeDirection:
    """One direction of a connection: from the end that sends to the end that reads."""

    __slots__ = (
        "back",
        "broken",
        "buffer_bytes",
        "bytes",
        "course",
        "deaf",
        "ended",
        "eof",
        "name",
        "note",
        "reader",
        "source",
        "target",
        "writer",
    )

    back: "PipeDirection"  # the other direction

    def __init__(
        self, buffer_bytes: int, name: str = "", source: str = "", target: str = "", note: Note | None = None
    ) -> None:
        self.bytes = bytearray()  # arrived, and not read yet
        self.buffer_bytes = buffer_bytes
        self.course: FaultPipeline | None = None  # None: bytes arrive as they are sent
        self.ended = False  # the sender has sent a FIN …
        self.eof = False  # … and it has arrived
        self.deaf = False  # the reader has closed
        self.broken = False  # the reader has received a reset
        self.reader = Waiter()
        self.writer = Waiter()
        self.name = name
        self.source = source
        self.target = target
        self.note = note

    def room(self) -> int:
        """Return how many bytes a send may take."""
        if self.course is not None:
            return self.course.room()
        return self.buffer_bytes - len(self.bytes)

    def wake(self) -> None:
        """Wake both ends."""
        for way in (self, self.back):
            way.reader.wake()
            way.writer.wake()

    def carry(self, sign: EndMark, at: float | None = None) -> None:
        """Send an end mark after the bytes; `at` is its time, if not now."""
        if self.note is not None:
            self.note("fin" if sign is EndMark.FIN else "rst", self.name, self.source)
        if self.course is None:
            self.arrive_sign(sign)
        else:
            self.course.sign(sign, trio.current_time() if at is None else at)

    def arrive(self, data: bytes | memoryview, at: float | None = None) -> None:
        """Deliver bytes to the reading end."""
        if self.deaf or self.broken:
            self.back.carry(EndMark.RST, at)
        else:
            self.bytes += data
            self.reader.wake()

    def arrive_sign(self, sign: EndMark) -> None:
        """Deliver an end mark to the reading end."""
        if sign is EndMark.FIN:
            self.eof = True
        else:
            self.broken = True
            if not self.eof:  # after the end of input a reset changes nothing for the reader
                self.bytes.clear()
        self.reader.wake()
        self.back.writer.wake()


class PipeLink:
    """One end of a pair; made by `link_pair` and by `MemoryNetwork`. A `trio_chat.net.link.Link`."""

    def __init__(
        self,
        incoming: PipeDirection,
        outgoing: PipeDirection,
        address: str,
        closed: Callable[[], None] | None = None,
    ) -> None:
        self.address = address
        self.send_bare: Callable[[bytes], int] = self.send_nowait
        self._in = incoming
        self._out = outgoing
        self._interruptions = 0
        self._closed = False
        self._tell_closed = closed

    @property
    def name(self) -> str:
        """The name of its connection; empty without a network."""
        return self._in.name

    @property
    def is_closed(self) -> bool:
        """Whether this end was closed by its program."""
        return self._closed

    async def receive_some(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        way = self._in
        await self._wait(way.reader, self._readable)
        if way.broken and not way.eof:
            raise LinkBroken("connection lost: Connection reset by peer")
        most = max_bytes if way.course is None else way.course.read_bytes(max_bytes)
        if len(way.bytes) <= most:
            data = bytes(way.bytes)
            way.bytes.clear()
        else:
            data = bytes(way.bytes[:most])
            del way.bytes[:most]
        way.writer.wake()
        if way.note is not None and data:
            way.note("delivered", way.name, way.target, len(data))
        if way.course is not None:
            self._settle()  # a cut waits until the bytes before it are read
        return data

    def send_nowait(self, data: bytes | memoryview) -> int:
        way = self._out
        if way.course is not None or self._in.course is not None:
            self._settle()
        if self._closed or way.ended or self._in.broken:
            raise LinkBroken("connection lost: Broken pipe")
        if way.course is not None:
            return way.course.send(data, trio.current_time())
        size = len(data)
        lost = way.deaf or way.broken
        if not lost and size > (room := way.buffer_bytes - len(way.bytes)):
            data = memoryview(data)[:room]
            size = room
        if way.note is not None and size:
            way.note("sent", way.name, way.source, size)
        if lost:
            way.arrive(data)  # which is answered by a reset
        else:
            way.bytes += data
            way.reader.wake()
        return size

    async def wait_writable(self) -> None:
        await self._wait(self._out.writer, self._writable)

    def interrupt(self) -> None:
        self._interruptions += 1
        self._in.reader.wake()
        self._out.writer.wake()

    async def finish(self, pace: ReadPacing | None = None) -> None:
        self.end()
        await discard_input(self.receive_some, pace)

    def end(self) -> None:
        """Send a FIN; the bytes that the other end sends can still be read."""
        if self._closed or self._in.broken:
            raise LinkBroken("connection lost: Broken pipe")
        if not self._out.ended:
            self._out.ended = True
            self._out.carry(EndMark.FIN)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.interrupt()
        self._in.deaf = True
        if self._in.bytes:
            # The bytes stay, so that the other end has no room before it gets the reset.
            self._in.broken = True
            self._out.carry(EndMark.RST)
        elif not self._out.ended and not self._in.broken:
            self._out.ended = True
            self._out.carry(EndMark.FIN)
        if self._tell_closed is not None:
            self._tell_closed()

    def reset(self) -> None:
        """Reset both directions at once, as a middlebox can; unread bytes are discarded."""
        if self._out.note is not None:
            self._out.note("rst", self._out.name, self._out.source)
        for way in (self._in, self._out):
            if way.course is not None:
                way.course.forget()
            way.arrive_sign(EndMark.RST)

    async def _wait(self, turn: Waiter, ready: Callable[[], object]) -> None:
        if self._closed:
            raise trio.ClosedResourceError("closed")
        interruptions = self._interruptions
        self._settle()
        if ready():
            await trio.lowlevel.checkpoint()
        while self._interruptions == interruptions and not ready():
            await turn.wait(self._next_due())
            self._settle()
        if self._interruptions != interruptions:
            raise trio.ClosedResourceError("interrupted")

    def _readable(self) -> object:
        way = self._in
        return way.bytes or way.eof or way.broken

    def _writable(self) -> object:
        return self._out.room() > 0 or self._out.ended or self._in.broken

    def _settle(self) -> None:
        """Deliver the bytes and end marks that are due by now."""
        # In this order: bytes that arrive at a closed end cause a reset, which arrives on the other way.
        for way in (self._out, self._in):
            if way.course is not None:
                way.course.settle(trio.current_time())

    def _next_due(self) -> float:
        due = inf if self._in.course is None else self._in.course.next_due()
        if self._out.course is not None and (self._out.deaf or self._out.broken):
            due = min(due, self._out.course.next_due())
        return due


def link_pair(buffer_bytes: int = BUFFER_BYTES) -> tuple[PipeLink, PipeLink]:
    """Return the two ends of one connection that holds up to `buffer_bytes` each way."""
    here = PipeDirection(buffer_bytes, source="right", target="left")
    there = PipeDirection(buffer_bytes, source="left", target="right")
    here.back, there.back = there, here
    return PipeLink(here, there, "left"), PipeLink(there, here, "right")
