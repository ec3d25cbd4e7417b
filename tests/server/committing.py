"""A running committer with its store and rooms, for the tests of `commit.py`.

Authors record their acks and refusals, and the harness records published entries, all in one list in order.
For each ack and each published entry, the harness checks in the same step that the journal holds the entry.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from tests.server.clocks import no_work
from trio_chat.errors import Refused
from trio_chat.hub.names import prepare_room
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.store import Draft, Store
from trio_chat.server.commit import Committer
from trio_chat.server.stream import RecentCache, RoomStream
from trio_chat.server.streams import RoomStreams
from trio_chat.wire.codec import decode_entry
from trio_chat.wire.messages import UNSET, Ack

__all__ = [
    "ACKED",
    "FAILED",
    "PUBLISHED",
    "SETTLED",
    "CommitterHarness",
    "Record",
    "RecordingAuthor",
    "running_committer",
]

ACKED, FAILED, SETTLED, PUBLISHED = "acked", "failed", "settled", "published"


@dataclass(frozen=True)
class Record:
    """An ack, a refusal, or a published entry.

    `who` is the name of the author, or the key of the room. `what` is the ref, or the published text. `why`
    is the code of a refusal.
    """

    kind: str
    who: str
    what: str = ""
    seq: int = 0
    why: str = ""


class RecordingAuthor:
    """An author that records its acks and refusals."""

    def __init__(self, harness: "CommitterHarness", name: str, token: str = "") -> None:
        self.harness = harness
        self.name = name
        self.token = token or name

    def submit(
        self, text: str, room: str = "lobby", *, ref: str = "", action: bool = False, is_topic: bool = False
    ) -> None:
        stream = self.harness.rooms[room]
        self.harness.committer.submit(stream, self.draft(stream, text, ref, action, is_topic), self)

    def draft(
        self, stream: RoomStream, text: str, ref: str = "", action: bool = False, is_topic: bool = False
    ) -> Draft:
        return Draft(
            stream.key, stream.shown, self.name, text, ref, ref and self.token + ref, action, is_topic
        )

    def acked(self, acks: list[Ack]) -> None:
        for ack in acks:
            assert ack.seq is not UNSET
            self.harness.check_held(ack.room.lower(), ack.seq)
            self.harness.records.append(Record(ACKED, self.name, ack.ref, ack.seq))

    def failed(self, ref: str, why: Refused) -> None:
        self.harness.records.append(Record(FAILED, self.name, ref, why=why.code))

    def settled(self, count: int) -> None:
        self.harness.records += [Record(SETTLED, self.name)] * count


class CommitterHarness:
    """A store, its open rooms, and the committer between them."""

    def __init__(
        self,
        journal: MemoryStore,
        store: Store | None = None,
        *,
        queue_entries: int = 10_000,
        queue_bytes: int = 8 << 20,
    ) -> None:
        self.journal = journal
        self.store = store or journal
        self.streams = RoomStreams(self.store, RecentCache(tail_bytes=1 << 20, tails_bytes=1 << 20))
        self.rooms: dict[str, RoomStream] = {}
        self.records: list[Record] = []
        self.now_ms = 0
        self.committer = Committer(
            self.store,
            self.publish,
            self.streams.release,
            clock_ms=lambda: self.now_ms,
            work_clock=no_work,
            queue_entries=queue_entries,
            queue_bytes=queue_bytes,
        )

    async def open(self, *rooms: str) -> None:
        for room in rooms:
            self.rooms[room] = await self.streams.use(prepare_room(room.title()))

    def close(self) -> None:
        """Leave all rooms. Rooms with pending drafts or reads stay open until these end."""
        for stream in self.rooms.values():
            self.streams.release(stream)
        self.rooms.clear()

    async def publish(self, stream: RoomStream, first: int, payloads: list[bytes]) -> None:
        for seq, payload in enumerate(payloads, first):
            assert decode_entry(payload).seq == seq
            self.check_held(stream.key, seq, payload)
            self.records.append(Record(PUBLISHED, stream.key, decode_entry(payload).text, seq))
        stream.append(first, payloads)
        await trio.lowlevel.checkpoint()

    def check_held(self, room: str, seq: int, payload: bytes | None = None) -> None:
        """Check that the journal holds an entry, or has removed it by retention."""
        kept = self.journal._rooms[room]
        assert seq <= kept.head
        if payload is not None and seq >= kept.first:
            assert kept.entries[seq - kept.first] == payload

    def author(self, name: str, token: str = "") -> RecordingAuthor:
        return RecordingAuthor(self, name, token)

    def records_of(self, name: str) -> list[Record]:
        return [each for each in self.records if each.who == name and each.kind != SETTLED]

    def outcomes(self, name: str) -> list[int | str]:
        """Return the numbers of the acks and the codes of the refusals of an author, in order."""
        return [each.seq or each.why for each in self.records_of(name)]

    def published(self, room: str = "lobby") -> list[str]:
        return [each.what for each in self.records if (each.kind, each.who) == (PUBLISHED, room)]


@asynccontextmanager
async def running_committer(
    store: Store | None = None, *rooms: str, **bounds: int
) -> AsyncGenerator[CommitterHarness]:
    """Run a committer with these rooms open. At the end, cancel it and leave the rooms."""
    journal = store
    while journal is not None and not isinstance(journal, MemoryStore):
        journal = getattr(journal, "inner", None)
    harness = CommitterHarness(journal or MemoryStore(), store, **bounds)
    await harness.open(*(rooms or ("lobby", "attic")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(harness.committer.run)
        yield harness
        nursery.cancel_scope.cancel()
    harness.close()
