"""Rooms without a server, and receivers whose sockets take as many bytes as a test allows.

A `LimitedLink` is a link that takes a limited number of bytes. A `Receiver` has an outbound queue on such a
link, and decodes what the link took. Its `check_room` checks that no entry is missing. An `OutboundHarness`
has the store, the open rooms, and the nursery of the writers, which run the real code.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio

from tests.server.clocks import no_work
from trio_chat.dialects.frames import FRAMES, FrameEvents
from trio_chat.errors import LinkBroken
from trio_chat.hub.names import prepare_room
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.store import Draft, Store
from trio_chat.net.link import ReadPacing
from trio_chat.server.fair_share import FairScheduler
from trio_chat.server.fanout import SENDS_AT_ONCE, publish, send_notice
from trio_chat.server.outbound import OutboundQueue
from trio_chat.server.stream import Batch, RecentCache, RoomStream
from trio_chat.server.streams import RoomStreams
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Event, Gap, Members, Presence, Said, TopicChanged

__all__ = ["UNLIMITED", "LimitedLink", "OutboundHarness", "Receiver", "outbound_harness"]

UNLIMITED = 1 << 40


class LimitedLink:
    """A `Link` whose socket takes `capacity` more bytes, and no more until it is allowed more."""

    address = ""

    def __init__(self, capacity: int = UNLIMITED) -> None:
        self.capacity = capacity
        self.send_bare: Callable[[bytes], int] = self._send
        self.taken = bytearray()
        self.sends = 0
        self.broken = False
        self._change = trio.Event()
        self._interruptions = 0

    def allow(self, by: int = UNLIMITED) -> None:
        self.capacity += by
        self._wake()

    def reset(self) -> None:
        """Break the connection."""
        self.broken = True
        self._wake()

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self.broken:
            raise LinkBroken("connection lost: Connection reset by peer")
        self.sends += 1
        took = min(len(data), self.capacity)
        self.capacity -= took
        self.taken += data[:took]
        return took

    def _send(self, data: bytes) -> int:
        """Send, with the exceptions of a socket's own `send`."""
        if self.broken:
            raise ConnectionResetError("Connection reset by peer")
        if not self.capacity:
            raise BlockingIOError
        return self.send_nowait(data)

    async def wait_writable(self) -> None:
        interruptions = self._interruptions
        await trio.lowlevel.checkpoint()
        while not self.capacity and not self.broken:
            await self._change.wait()
            if self._interruptions > interruptions:
                raise trio.ClosedResourceError("interrupted")

    def interrupt(self) -> None:
        self._interruptions += 1
        self._wake()

    async def receive_some(self) -> bytes:
        raise NotImplementedError("a LimitedLink has no input")

    async def finish(self, pace: ReadPacing | None = None) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.reset()

    def _wake(self) -> None:
        self._change.set()
        self._change = trio.Event()


class Receiver:
    """An outbound queue on a `LimitedLink`, and its handler."""

    def __init__(self, harness: "OutboundHarness", capacity: int = UNLIMITED) -> None:
        self.harness = harness
        self.link = LimitedLink(capacity)
        self.outbound = OutboundQueue(self.link, FRAMES, self)
        self.losses = 0
        self.writer_starts = 0

    # --- the handler --------------------------------------------------------------------------------

    def start_writer(self) -> None:
        self.writer_starts += 1
        self.harness.writers.start_soon(self._write)

    async def _write(self) -> None:
        try:
            await self.outbound.catch_up(self.harness.streams, self.harness.scheduler)
        except LinkBroken:
            self.connection_lost()

    def work_clock(self) -> float:
        return self.harness.scheduler.clock()

    def connection_lost(self) -> None:
        self.losses += 1
        for stream in list(self.outbound.streams):
            self.leave(stream.key)

    def members_page(self, stream: RoomStream) -> bytes:
        return encode(self.harness.members_page(stream.key))

    # --- for tests ----------------------------------------------------------------------------------

    def join(self, room: str, *, recent: int = 0) -> int:
        """Join a room with its newest entries; return the number after which they begin."""
        stream = self.harness.rooms[room]
        stream.users += 1
        cursor = max(stream.head - recent, 0)
        self.outbound.subscribe(stream, cursor)
        self.outbound.flush()
        return cursor

    def leave(self, room: str) -> None:
        stream = self.harness.rooms[room]
        self.outbound.unsubscribe(stream)
        self.harness.streams.release(stream)

    @property
    def events(self) -> list[Event]:
        """All complete events that the link took."""
        return FrameEvents().feed(bytes(self.link.taken))

    def entries(self, room: str = "lobby") -> list[Said | TopicChanged | Gap]:
        shown = self.harness.rooms[room].shown
        return [e for e in self.events if isinstance(e, Said | TopicChanged | Gap) and e.room == shown]

    def texts(self, room: str = "lobby") -> list[str]:
        """Return the received texts of a room in order; a gap is shown as its two numbers."""
        return [
            f"{each.after}..{each.next}" if isinstance(each, Gap) else each.text
            for each in self.entries(room)
        ]

    def answers(self) -> list[int]:
        """Return the numbers of the private replies that were received."""
        return [each.count for each in self.events if isinstance(each, Members) and each.ref == "private"]

    def check_room(self, room: str, start: int, through: int) -> None:
        """Check that every entry after `start` was received once and in order, or a gap in its place."""
        self.check(self.entries(room), start, through)

    @staticmethod
    def check(entries: list[Said | TopicChanged | Gap], start: int, through: int) -> None:
        expected = start + 1
        for each in entries:
            if isinstance(each, Gap):
                assert each.after == expected - 1 and each.next > expected and not each.kept
                expected = each.next
            else:
                assert each.seq == expected
                expected += 1
        assert expected == through + 1


def private(number: int) -> bytes:
    """Return a private reply with a number."""
    return encode(Members("private", [], number, more=False, ref="private"))


class OutboundHarness:
    """A store, its open rooms, and the writers of receivers that are behind."""

    def __init__(
        self,
        writers: trio.Nursery,
        store: Store | None = None,
        *,
        tail_bytes: int = 1 << 20,
        clock: Callable[[], float] = no_work,
    ) -> None:
        self.store = store or MemoryStore()
        self.streams = RoomStreams(
            self.store, RecentCache(tail_bytes=tail_bytes, tails_bytes=10 * tail_bytes)
        )
        self.writers = writers
        self.scheduler = FairScheduler(clock)
        self.sends_at_once = SENDS_AT_ONCE
        self.rooms: dict[str, RoomStream] = {}
        self.presence_changes: dict[str, int] = {}  # how often each room's presence has changed

    async def open(self, *rooms: str) -> None:
        for room in rooms:
            self.rooms[room] = await self.streams.use(prepare_room(room.title()))

    async def commit(self, *texts: str, room: str = "lobby") -> tuple[RoomStream, int, list[bytes]]:
        """Commit a batch; return the arguments of `publish`."""
        stream = self.rooms[room]
        drafts = [Draft(room, stream.shown, "ada", text) for text in texts]
        outcomes = await self.store.commit(drafts, 0)
        payloads = [outcome.payload for outcome in outcomes if outcome.payload is not None]
        return stream, outcomes[0].seq, payloads

    async def say(self, *texts: str, room: str = "lobby") -> None:
        """Commit and publish a batch."""
        await self.publish(*await self.commit(*texts, room=room))

    async def publish(self, stream: RoomStream, first: int, payloads: list[bytes]) -> None:
        await publish(stream, first, payloads, sends_at_once=self.sends_at_once)

    async def notify(self, room: str = "lobby") -> None:
        """Send a presence notice whose count is the number of changes so far."""
        self.presence_changes[room] = self.presence_changes.get(room, 0) + 1
        stream = self.rooms[room]
        notice = Batch(0, [encode(Presence(stream.shown, self.presence_changes[room]))])
        await send_notice(stream, notice, sends_at_once=self.sends_at_once)

    def members_page(self, room: str) -> Members:
        return Members(self.rooms[room].shown, [], self.presence_changes.get(room, 0), more=False)


@asynccontextmanager
async def outbound_harness(
    store: Store | None = None,
    *rooms: str,
    tail_bytes: int = 1 << 20,
    clock: Callable[[], float] = no_work,
) -> AsyncGenerator[OutboundHarness]:
    """Open the rooms, and run the scheduler. Writers that still run at the end are cancelled."""
    async with trio.open_nursery() as writers:
        harness = OutboundHarness(writers, store, tail_bytes=tail_bytes, clock=clock)
        writers.start_soon(harness.scheduler.run)
        await harness.open(*(rooms or ("lobby", "attic")))
        yield harness
        writers.cancel_scope.cancel()
