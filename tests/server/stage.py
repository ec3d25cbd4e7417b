"""Rooms that speak, and readers whose sockets take as much as a test lets them: for what stands between.

A `Straw` is a link that takes only the bytes it was given room for. A `Reader` sits at the other end of one:
what came out of its straw is there as events, and `check_room` holds it to the contract. A `Stage` has the
store, the open rooms, and the nursery of the writers; who is behind is caught up by the real code.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio

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

__all__ = ["WIDE", "Reader", "Stage", "Straw", "on_stage"]

WIDE = 1 << 40


class Straw:
    """A `Link` whose socket takes `room` more bytes, and no more until it is `widened`."""

    address = ""

    def __init__(self, room: int = WIDE) -> None:
        self.room = room
        self.send_bare: Callable[[bytes], int] = self._send
        self.taken = bytearray()
        self.sends = 0
        self.broken = False
        self._change = trio.Event()
        self._interruptions = 0

    def widen(self, by: int = WIDE) -> None:
        self.room += by
        self._wake()

    def reset(self) -> None:
        """The peer is gone."""
        self.broken = True
        self._wake()

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self.broken:
            raise LinkBroken("connection lost: Connection reset by peer")
        self.sends += 1
        took = min(len(data), self.room)
        self.room -= took
        self.taken += data[:took]
        return took

    def _send(self, data: bytes) -> int:
        """As a socket's own send has it."""
        if self.broken:
            raise ConnectionResetError("Connection reset by peer")
        if not self.room:
            raise BlockingIOError
        return self.send_nowait(data)

    async def wait_writable(self) -> None:
        interruptions = self._interruptions
        await trio.lowlevel.checkpoint()
        while not self.room and not self.broken:
            await self._change.wait()
            if self._interruptions > interruptions:
                raise trio.ClosedResourceError("interrupted")

    def interrupt(self) -> None:
        self._interruptions += 1
        self._wake()

    async def receive_some(self) -> bytes:
        raise NotImplementedError("nobody says anything through a straw")

    async def finish(self, pace: ReadPacing | None = None) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.reset()

    def _wake(self) -> None:
        self._change.set()
        self._change = trio.Event()


class Reader:
    """Somebody with a straw: the owner of what it is owed, as a session is."""

    def __init__(self, stage: "Stage", room: int = WIDE) -> None:
        self.stage = stage
        self.link = Straw(room)
        self.owed = OutboundQueue(self.link, FRAMES, self)
        self.gone = 0
        self.fallen = 0

    # --- as its owner -------------------------------------------------------------------------------

    def start_writer(self) -> None:
        self.fallen += 1
        self.stage.writers.start_soon(self._write)

    async def _write(self) -> None:
        try:
            await self.owed.catch_up(self.stage.feeds, self.stage.turns)
        except LinkBroken:
            self.connection_lost()

    def work_clock(self) -> float:
        return self.stage.turns.clock()

    def connection_lost(self) -> None:
        self.gone += 1
        for stream in list(self.owed.streams):
            self.leave(stream.key)

    def members_page(self, stream: RoomStream) -> bytes:
        return encode(self.stage.members_page(stream.key))

    # --- what a test does with it -------------------------------------------------------------------

    def join(self, room: str, *, recent: int = 0) -> int:
        """Enter a room with its newest entries; the number behind which it begins."""
        stream = self.stage.rooms[room]
        stream.users += 1
        cursor = max(stream.head - recent, 0)
        self.owed.subscribe(stream, cursor)
        self.owed.flush()
        return cursor

    def leave(self, room: str) -> None:
        stream = self.stage.rooms[room]
        self.owed.unsubscribe(stream)
        self.stage.feeds.release(stream)

    @property
    def events(self) -> list[Event]:
        """All whole events that have come out of the straw."""
        return FrameEvents().feed(bytes(self.link.taken))

    def entries(self, room: str = "lobby") -> list[Said | TopicChanged | Gap]:
        shown = self.stage.rooms[room].shown
        return [e for e in self.events if isinstance(e, Said | TopicChanged | Gap) and e.room == shown]

    def texts(self, room: str = "lobby") -> list[str]:
        """What was said in a room, as it came; a gap as its two numbers."""
        return [
            f"{each.after}..{each.next}" if isinstance(each, Gap) else each.text
            for each in self.entries(room)
        ]

    def answers(self) -> list[int]:
        """The numbers of the private answers that have come."""
        return [each.count for each in self.events if isinstance(each, Members) and each.ref == "private"]

    def check_room(self, room: str, start: int, through: int) -> None:
        """Every entry behind `start` has come, exactly once and in order, or an honest gap."""
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
    """An answer that is told from all others."""
    return encode(Members("private", [], number, more=False, ref="private"))


class Stage:
    """A store, its open rooms, and the writers of those who are behind."""

    def __init__(
        self,
        writers: trio.Nursery,
        store: Store | None = None,
        *,
        tail_bytes: int = 1 << 20,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self.store = store or MemoryStore()
        self.feeds = RoomStreams(self.store, RecentCache(tail_bytes=tail_bytes, tails_bytes=10 * tail_bytes))
        self.writers = writers
        self.turns = FairScheduler(clock)
        self.sends_at_once = SENDS_AT_ONCE
        self.rooms: dict[str, RoomStream] = {}
        self.news: dict[str, int] = {}  # how often each room's presence has changed

    async def open(self, *rooms: str) -> None:
        for room in rooms:
            self.rooms[room] = await self.feeds.use(prepare_room(room.title()))

    async def commits(self, *texts: str, room: str = "lobby") -> tuple[RoomStream, int, list[bytes]]:
        """A batch is in the journal; what is to be published."""
        stream = self.rooms[room]
        drafts = [Draft(room, stream.shown, "ada", text) for text in texts]
        outcomes = await self.store.commit(drafts, 0)
        payloads = [outcome.payload for outcome in outcomes if outcome.payload is not None]
        return stream, outcomes[0].seq, payloads

    async def says(self, *texts: str, room: str = "lobby") -> None:
        """A batch is committed, and shown."""
        await self.publish(*await self.commits(*texts, room=room))

    async def publish(self, stream: RoomStream, first: int, payloads: list[bytes]) -> None:
        await publish(stream, first, payloads, sends_at_once=self.sends_at_once)

    async def tells(self, room: str = "lobby") -> None:
        """Somebody has come or gone: a notice that says how often that was."""
        self.news[room] = self.news.get(room, 0) + 1
        stream = self.rooms[room]
        notice = Batch(0, [encode(Presence(stream.shown, self.news[room]))])
        await send_notice(stream, notice, sends_at_once=self.sends_at_once)

    def members_page(self, room: str) -> Members:
        return Members(self.rooms[room].shown, [], self.news.get(room, 0), more=False)


@asynccontextmanager
async def on_stage(
    store: Store | None = None,
    *rooms: str,
    tail_bytes: int = 1 << 20,
    clock: Callable[[], float] = trio.current_time,
) -> AsyncGenerator[Stage]:
    """A stage with its rooms open; whoever is still being caught up at the end is left where it is."""
    async with trio.open_nursery() as writers:
        stage = Stage(writers, store, tail_bytes=tail_bytes, clock=clock)
        writers.start_soon(stage.turns.run)
        await stage.open(*(rooms or ("lobby", "attic")))
        yield stage
        writers.cancel_scope.cancel()
