"""The journal in memory: gone with the process, bounded by count and bytes.

A room keeps its newest entries. When all rooms together are over the bound, the quietest rooms' oldest
entries go first. A room without entries, or with none left, is forgotten when nobody uses it; the next
one of that name has another epoch.

What is kept here is looked through when it is searched: there is no index.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections import OrderedDict, deque
from functools import partial
from itertools import groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING

import trio

from trio_chat.journal.search import Bounds, Slice, Stretch, Wanted, in_slices, look, read_texts
from trio_chat.journal.store import Draft, Keep, Matches, Outcome, Page, Place, RoomRecord
from trio_chat.wire.codec import decode_entry, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["MemoryStore"]

# What Python takes to hold them, about (measured on 3.11): an entry beside its payload, its ref, and a room.
# A chat's texts are short: without these the bounds would be off by a factor of two.
ENTRY_BYTES = 100
REF_BYTES = 200
ROOM_BYTES = 1_200

SLICE = Bounds(1_000, 256 << 10)  # of a search: a millisecond or two, in which nobody else is served
STRETCH_ENTRIES = 100
FOREVER = Keep()
TIDY_EVERY_MS = 60_000
ROOMS_AT_ONCE = 1_000  # looked at in one step for what is too old
FORGET_AT_ONCE = 1_000  # … and entries forgotten in one

_room_of = attrgetter("room")


class _Kept:
    """One room: its newest entries up to `head`, and beside each the key it came under."""

    __slots__ = ("at", "bytes", "entries", "epoch", "head", "keys", "seqs", "shown", "topic", "users")

    def __init__(self, shown: str, epoch: str) -> None:
        self.shown = shown
        self.epoch = epoch
        self.topic = ""
        self.head = 0
        self.entries: deque[bytes] = deque()
        self.keys: deque[str] = deque()
        self.seqs: dict[str, int] = {}  # by key
        self.bytes = 0
        self.at = 0
        self.users = 0

    @property
    def first(self) -> int:
        return self.head - len(self.entries) + 1

    def extend(self, drafts: Iterable[Draft], now_ms: int) -> list[Outcome]:
        """Number and keep drafts; one whose key is known is not kept again."""
        entries, keys, seqs = self.entries, self.keys, self.seqs
        at = max(self.at, now_ms)
        size = 0
        outcomes: list[Outcome] = []
        for draft in drafts:
            key = draft.key
            if key and (known := seqs.get(key)):
                same = draft.same_as(decode_entry(entries[known - self.first]))
                outcomes.append(Outcome(known if same else 0, None))
                continue
            self.head = seq = self.head + 1
            payload = encode(draft.entry(seq, at))
            entries.append(payload)
            keys.append(key)
            size += len(payload) + ENTRY_BYTES
            if key:
                seqs[key] = seq
                size += REF_BYTES
            if draft.retitles:
                self.topic = draft.text
            outcomes.append(Outcome(seq, payload))
        if size:
            self.at = at
            self.bytes += size
        return outcomes

    def read(self, first: int, last: int) -> list[bytes]:
        """The payloads from one number to another, which are kept."""
        return list(islice(self.entries, first - self.first, last + 1 - self.first))

    def said_at(self, seq: int) -> int:
        """When a kept entry was said."""
        (entry,) = read_texts([self.entries[seq - self.first]])
        return entry.at

    def newest(self, room: str, through: int, below: Place | None) -> int:
        """The newest number up to `through` that stands behind a place; there may be none."""
        through = min(through, self.head)
        if below is None or below.room == room:
            return through if below is None else min(through, below.seq - 1)
        latest = below.latest(room)
        low, high = self.first - 1, through
        while low < high:
            middle = (low + high + 1) // 2
            if self.said_at(middle) > latest:
                high = middle - 1
            else:
                low = middle
        return low

    def stretches(self, room: str, through: int) -> Iterator[Stretch]:
        """What is kept up to a number, the newest first."""
        while through >= self.first:
            first = max(through + 1 - STRETCH_ENTRIES, self.first)
            newest = Place(self.said_at(through), room, through)
            yield Stretch(newest, first, partial(self.read, first, through))
            through = first - 1

    def forget(self, entries_max: int, bytes_max: int) -> int:
        """Forget the oldest entries, down to both bounds; how many bytes that frees."""
        entries, keys, seqs = self.entries, self.keys, self.seqs
        before = left = self.bytes
        while entries and (len(entries) > entries_max or left > bytes_max):
            left -= len(entries.popleft()) + ENTRY_BYTES
            if key := keys.popleft():
                del seqs[key]
                left -= REF_BYTES
        self.bytes = left
        return before - left


class MemoryStore:
    """A `Store`. Bytes are those of memory, about; `random_bytes` makes the epochs."""

    kept = "memory"
    backlog = 0

    def __init__(
        self,
        *,
        room_entries_max: int = 10_000,
        room_bytes_max: int = 8 << 20,
        bytes_max: int = 256 << 20,
        keep: Keep = FOREVER,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if keep.entries:
            room_entries_max = min(room_entries_max, keep.entries)
        self.tidies = bool(keep.age_ms)
        self._age_ms = keep.age_ms
        self._aging: list[str] = []  # rooms that are still to be looked at for what is too old
        self._next_ms = 0
        self._room_entries_max = room_entries_max
        self._room_bytes_max = room_bytes_max
        self._bytes_max = bytes_max
        self._random_bytes = random_bytes
        self._rooms: OrderedDict[str, _Kept] = OrderedDict()  # the quietest first
        self._bytes = 0

    async def open(self, room: str, shown: str) -> RoomRecord:
        await trio.lowlevel.checkpoint()
        kept = self._rooms.get(room)
        if kept is None:
            epoch = urlsafe_b64encode(self._random_bytes(9)).decode()
            kept = self._rooms[room] = _Kept(shown, epoch)
            self._bytes += ROOM_BYTES
        kept.users += 1
        return RoomRecord(kept.shown, kept.epoch, kept.first, kept.head, kept.topic)

    def close(self, room: str) -> None:
        kept = self._rooms[room]
        kept.users -= 1
        if not kept.users and not kept.entries:
            self._forget(room)

    def first(self, room: str) -> int:
        return self._rooms[room].first

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for room, run in groupby(drafts, _room_of):
            kept = self._rooms[room]
            before = kept.bytes
            outcomes += kept.extend(run, now_ms)
            self._bytes += kept.bytes - before
        for room in dict.fromkeys(map(_room_of, drafts)):
            self._rooms.move_to_end(room)  # the least quiet now
            self._bytes -= self._rooms[room].forget(self._room_entries_max, self._room_bytes_max)
        self._shrink()
        return outcomes

    async def read(self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int) -> Page:
        await trio.lowlevel.checkpoint()
        kept = self._rooms[room]
        first = max(after + 1, kept.first)
        start = first - kept.first
        stop = min(start + entries_max, through - kept.first + 1)
        payloads: list[bytes] = []
        for payload in islice(kept.entries, start, max(start, stop)):
            bytes_max -= len(payload)
            if payloads and bytes_max < 0:
                break
            payloads.append(payload)
        return Page(first, payloads)

    async def search(self, rooms: dict[str, int], text: str, below: Place | None, limit: int) -> Matches:
        wanted = Wanted(text)

        async def look_on(below: Place | None, hits_max: int) -> Slice:
            await trio.lowlevel.checkpoint()
            stretches = [
                kept.stretches(room, kept.newest(room, through, below))
                for room, through in rooms.items()
                if (kept := self._rooms.get(room)) is not None
            ]
            return look(stretches, wanted, below, hits_max, SLICE)

        return await in_slices(look_on, below, limit)

    async def tidy(self, now_ms: int) -> bool:
        await trio.lowlevel.checkpoint()
        if not self._aging:
            if not self._age_ms or now_ms < self._next_ms:
                return False
            self._next_ms = now_ms + TIDY_EVERY_MS
            self._aging = list(self._rooms)
        left = FORGET_AT_ONCE
        for _ in range(min(ROOMS_AT_ONCE, len(self._aging))):
            kept = self._rooms.get(self._aging[-1])
            while kept is not None and kept.entries and kept.said_at(kept.first) < now_ms - self._age_ms:
                self._bytes -= kept.forget(len(kept.entries) - 1, kept.bytes)
                left -= 1
                if not left:
                    return True
            room = self._aging.pop()
            if kept is not None and not kept.entries and not kept.users:
                self._forget(room)
        return bool(self._aging)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    def _shrink(self) -> None:
        """Keep within the bound for all rooms, as far as their entries go."""
        for _ in range(len(self._rooms)):
            if self._bytes <= self._bytes_max:
                return
            room, kept = next(iter(self._rooms.items()))
            self._bytes -= kept.forget(len(kept.entries), kept.bytes - (self._bytes - self._bytes_max))
            if kept.entries:
                return
            if kept.users:
                self._rooms.move_to_end(room)  # nothing to be had there, until something is said
            else:
                self._forget(room)

    def _forget(self, room: str) -> None:
        del self._rooms[room]
        self._bytes -= ROOM_BYTES
