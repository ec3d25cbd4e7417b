"""The journal in memory: gone with the process, bounded by count and bytes.

A room keeps its newest entries. When all rooms together are over the bound, the quietest rooms' oldest
entries go first. A room without entries, or with none left, is forgotten when nobody uses it; the next
one of that name has another epoch.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections import OrderedDict, deque
from itertools import islice
from typing import TYPE_CHECKING

import trio

from trio_chat.journal.store import Draft, Outcome, Page, RoomRecord
from trio_chat.wire.codec import decode_entry, encode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MemoryStore"]

# What Python takes to hold them, about (measured on 3.11): an entry beside its payload, its ref, and a room.
# A chat's texts are short: without these the bounds would be off by a factor of three.
ENTRY_BYTES = 150
REF_BYTES = 300
ROOM_BYTES = 1_200

_RefKey = tuple[bytes, str]


class _Kept:
    """One room: its newest entries up to `head`, each with the ref it came under."""

    __slots__ = ("at", "bytes", "entries", "epoch", "head", "refs", "shown", "topic", "users")

    def __init__(self, shown: str, epoch: str) -> None:
        self.shown = shown
        self.epoch = epoch
        self.topic = ""
        self.head = 0
        self.entries: deque[tuple[bytes, _RefKey | None]] = deque()
        self.refs: dict[_RefKey, int] = {}
        self.bytes = 0
        self.at = 0
        self.users = 0

    @property
    def first(self) -> int:
        return self.head - len(self.entries) + 1

    def keep(self, payload: bytes, ref: _RefKey | None) -> int:
        """Add the next entry; how many bytes that takes."""
        self.head += 1
        self.entries.append((payload, ref))
        size = len(payload) + ENTRY_BYTES
        if ref is not None:
            self.refs[ref] = self.head
            size += REF_BYTES
        self.bytes += size
        return size

    def drop_oldest(self) -> int:
        """Forget the oldest entry; how many bytes that frees."""
        payload, ref = self.entries.popleft()
        size = len(payload) + ENTRY_BYTES
        if ref is not None:
            del self.refs[ref]
            size += REF_BYTES
        self.bytes -= size
        return size


class MemoryStore:
    """A `Store`. Bytes are those of memory, about; `random_bytes` makes the epochs."""

    kept = "memory"

    def __init__(
        self,
        *,
        room_entries_max: int = 10_000,
        room_bytes_max: int = 8 << 20,
        bytes_max: int = 256 << 20,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
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
        # All that can be cancelled comes first: what follows happens whole.
        await trio.lowlevel.checkpoint()
        outcomes: list[Outcome] = []
        for draft in drafts:
            kept = self._rooms[draft.room]
            ref = (draft.token, draft.ref) if draft.ref else None
            known = kept.refs.get(ref) if ref is not None else None
            if known is None:
                outcomes.append(self._append(kept, draft, ref, now_ms))
            else:
                same = draft.same_as(decode_entry(kept.entries[known - kept.first][0]))
                outcomes.append(Outcome(known if same else 0, None))
        for room in dict.fromkeys(draft.room for draft in drafts):
            self._rooms.move_to_end(room)  # the least quiet now
        self._shrink()
        return outcomes

    async def read(self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int) -> Page:
        await trio.lowlevel.checkpoint()
        kept = self._rooms[room]
        first = max(after + 1, kept.first)
        start = first - kept.first
        stop = min(start + entries_max, through - kept.first + 1)
        payloads: list[bytes] = []
        for payload, _ in islice(kept.entries, start, max(start, stop)):
            bytes_max -= len(payload)
            if payloads and bytes_max < 0:
                break
            payloads.append(payload)
        return Page(first, payloads)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    def _append(self, kept: _Kept, draft: Draft, ref: _RefKey | None, now_ms: int) -> Outcome:
        seq = kept.head + 1
        kept.at = max(kept.at, now_ms)
        payload = encode(draft.entry(seq, kept.at))
        self._bytes += kept.keep(payload, ref)
        if draft.retitles:
            kept.topic = draft.text
        while len(kept.entries) > self._room_entries_max or kept.bytes > self._room_bytes_max:
            self._bytes -= kept.drop_oldest()
        return Outcome(seq, payload)

    def _shrink(self) -> None:
        """Keep within the bound for all rooms, as far as their entries go."""
        for _ in range(len(self._rooms)):
            if self._bytes <= self._bytes_max:
                return
            room, kept = next(iter(self._rooms.items()))
            while self._bytes > self._bytes_max and kept.entries:
                self._bytes -= kept.drop_oldest()
            if kept.entries:
                return
            if kept.users:
                self._rooms.move_to_end(room)  # nothing to be had there, until something is said
            else:
                self._forget(room)

    def _forget(self, room: str) -> None:
        del self._rooms[room]
        self._bytes -= ROOM_BYTES
