"""A committer at work in a house of its own: what the stories of `commit.py` begin with.

Authors write down what they hear, and the house what is shown, all into one list in the order of its
happening. Whatever is shown or acked is looked up in the journal in the same step: that it is held there is
the first promise of all.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from trio_chat.errors import Refused
from trio_chat.hub.names import prepare_room
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.store import Draft, Store
from trio_chat.server.commit import Committer
from trio_chat.server.stream import RecentCache, RoomStream
from trio_chat.server.streams import RoomStreams
from trio_chat.wire.codec import decode_entry
from trio_chat.wire.messages import UNSET, Ack

__all__ = ["ACKED", "FAILED", "SETTLED", "SHOWN", "Happened", "House", "Teller", "housed"]

ACKED, FAILED, SETTLED, SHOWN = "acked", "failed", "settled", "shown"


@dataclass(frozen=True)
class Happened:
    """`who` is an author's name, or the key of a room in which something was shown; `what` is the ref of
    what was answered, or the text shown; `why` the code of a refusal."""

    kind: str
    who: str
    what: str = ""
    seq: int = 0
    why: str = ""


class Teller:
    """An author who writes down what it hears."""

    def __init__(self, house: "House", name: str, token: str = "") -> None:
        self.house = house
        self.name = name
        self.token = token or name

    def says(
        self, text: str, room: str = "lobby", *, ref: str = "", action: bool = False, retitles: bool = False
    ) -> None:
        stream = self.house.rooms[room]
        self.house.committer.submit(stream, self.draft(stream, text, ref, action, retitles), self)

    def draft(
        self, stream: RoomStream, text: str, ref: str = "", action: bool = False, retitles: bool = False
    ) -> Draft:
        return Draft(
            stream.key, stream.shown, self.name, text, ref, ref and self.token + ref, action, retitles
        )

    def acked(self, acks: list[Ack]) -> None:
        for ack in acks:
            assert ack.seq is not UNSET
            self.house.check_held(ack.room.lower(), ack.seq)
            self.house.happened.append(Happened(ACKED, self.name, ack.ref, ack.seq))

    def failed(self, ref: str, why: Refused) -> None:
        self.house.happened.append(Happened(FAILED, self.name, ref, why=why.code))

    def settled(self, count: int) -> None:
        self.house.happened += [Happened(SETTLED, self.name)] * count


class House:
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
        self.feeds = RoomStreams(self.store, RecentCache(tail_bytes=1 << 20, tails_bytes=1 << 20))
        self.rooms: dict[str, RoomStream] = {}
        self.happened: list[Happened] = []
        self.now_ms = 0
        self.committer = Committer(
            self.store,
            self.publish,
            self.feeds.release,
            clock_ms=lambda: self.now_ms,
            queue_entries=queue_entries,
            queue_bytes=queue_bytes,
        )

    async def open(self, *rooms: str) -> None:
        for room in rooms:
            self.rooms[room] = await self.feeds.use(prepare_room(room.title()))

    def close(self) -> None:
        """Leave all rooms; those that something still waits for stay open for it."""
        for stream in self.rooms.values():
            self.feeds.release(stream)
        self.rooms.clear()

    async def publish(self, stream: RoomStream, first: int, payloads: list[bytes]) -> None:
        for seq, payload in enumerate(payloads, first):
            assert decode_entry(payload).seq == seq
            self.check_held(stream.key, seq, payload)
            self.happened.append(Happened(SHOWN, stream.key, decode_entry(payload).text, seq))
        stream.append(first, payloads)
        await trio.lowlevel.checkpoint()

    def check_held(self, room: str, seq: int, payload: bytes | None = None) -> None:
        """The journal holds an entry, or held it and keeps no more than newer ones."""
        kept = self.journal._rooms[room]
        assert seq <= kept.head
        if payload is not None and seq >= kept.first:
            assert kept.entries[seq - kept.first] == payload

    def teller(self, name: str, token: str = "") -> Teller:
        return Teller(self, name, token)

    def heard(self, name: str) -> list[Happened]:
        return [each for each in self.happened if each.who == name and each.kind != SETTLED]

    def answers(self, name: str) -> list[int | str]:
        """The numbers, and the codes of refusals, that an author was answered, in order."""
        return [each.seq or each.why for each in self.heard(name)]

    def shown(self, room: str = "lobby") -> list[str]:
        return [each.what for each in self.happened if (each.kind, each.who) == (SHOWN, room)]


@asynccontextmanager
async def housed(store: Store | None = None, *rooms: str, **bounds: int) -> AsyncGenerator[House]:
    """A house whose committer runs; at the end of the block nothing is pending and no room in use."""
    journal = store
    while journal is not None and not isinstance(journal, MemoryStore):
        journal = getattr(journal, "inner", None)
    house = House(journal or MemoryStore(), store, **bounds)
    await house.open(*(rooms or ("lobby", "attic")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.committer.run)
        yield house
        nursery.cancel_scope.cancel()
    house.close()
