"""The journal in memory: lost with the process, and limited by count and bytes.

A room keeps its newest entries. When all rooms together exceed the limit, the oldest entries of the quietest
rooms are evicted first. A room that has no entries and no users is deleted; the next room of that name has
another epoch. A room without entries does not count while it is in use: its users are limited elsewhere.

There is no search index: a search scans the entries. The folded form of a text that is not ASCII is computed
once, at commit. Searches take turns, one step each, and pause between the steps.
"""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict, deque
from functools import partial
from heapq import heappop, heappush
from itertools import groupby, islice
from operator import attrgetter
from sys import getsizeof
from typing import TYPE_CHECKING, TypeVar

import trio

from trio_chat.journal.fold import fold_pieces
from trio_chat.journal.search import (
    STEP_S,
    Query,
    SearchBounds,
    SearchPace,
    SearchSlice,
    Segment,
    SegmentLines,
    Steps,
    decode_texts,
    fold_in_steps,
    in_slices,
    scan,
)
from trio_chat.journal.store import (
    CommitResult,
    Draft,
    EntryPage,
    Matches,
    Position,
    RetentionRule,
    RoomRecord,
    RoomTimes,
    is_recent,
    never,
)
from trio_chat.wire.codec import decode_entry, encode
from trio_chat.wire.messages import Said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["MemoryStore"]

# What Python needs to hold them, about (measured on 3.11): an entry besides its payload, its ref, a room with
# entries, and a folded text besides its characters. A chat's texts are short: without these overheads the
# limits would be wrong by a factor of two.
ENTRY_BYTES = 100
REF_BYTES = 200
ROOM_BYTES = 2_000
FOLD_BYTES = 100

SLICE = SearchBounds(100_000, 32 << 20)  # of a search: a whole page, since it holds no transaction
SEGMENT_ENTRIES = 100
FOREVER = RetentionRule()
TIDY_EVERY_MS = 60_000
ROOMS_AT_ONCE = 1_000  # checked for old entries in one step
EVICTED_AT_ONCE = 1_000  # entries evicted in one step

T = TypeVar("T")

_room_of = attrgetter("room")


def _ref_bytes(key: str) -> int:
    """Return the size of a ref that is not ASCII: one wide character makes every character wide."""
    return REF_BYTES + getsizeof(key) - len(key)


class _RoomLog:
    """One room: its newest entries up to `head`, and for each entry the key of its ref."""

    __slots__ = (
        "at",
        "bytes",
        "entries",
        "epoch",
        "folds",
        "head",
        "keys",
        "seqs",
        "shown",
        "topic",
        "topic_bytes",
        "users",
    )

    def __init__(self, shown: str, epoch: str) -> None:
        self.shown = shown
        self.epoch = epoch
        self.topic = ""
        self.topic_bytes = 0
        self.head = 0
        self.entries: deque[bytes] = deque()
        self.keys: deque[str] = deque()
        self.seqs: dict[str, int] = {}  # by key
        self.folds: dict[int, str | None] = {}  # oldest first; see `SegmentLines`
        self.bytes = 0
        self.at = 0
        self.users = 0

    @property
    def first(self) -> int:
        return self.head - len(self.entries) + 1

    def extend(
        self, drafts: Iterable[Draft], now_ms: int, folds: dict[str, str | None]
    ) -> list[CommitResult]:
        """Number and keep drafts; a draft whose key is known is not kept again. `folds` has the folded forms
        of the texts that are not ASCII."""
        entries, keys, seqs = self.entries, self.keys, self.seqs
        at = max(self.at, now_ms)
        before = self.head
        size = 0
        results: list[CommitResult] = []
        for draft in drafts:
            key = draft.key
            if key and (known := seqs.get(key)):
                same = draft.same_as(decode_entry(entries[known - self.first]))
                results.append(CommitResult(known if same else 0, None))
                continue
            self.head = seq = self.head + 1
            text = draft.text
            if draft.is_topic:
                payload = encode(draft.entry(seq, at))
                size += self._retitle(text)
            else:  # not `Draft.entry`: the call would be a twentieth of a commit
                payload = encode(Said(draft.shown, seq, at, draft.by, text, draft.action))
            entries.append(payload)
            keys.append(key)
            size += len(payload)
            if key:
                seqs[key] = seq
                size += REF_BYTES if key.isascii() else _ref_bytes(key)
            if folds and text in folds:
                folded = self.folds[seq] = folds[text]
                size += _fold_bytes(folded)
            results.append(CommitResult(seq, payload))
        if self.head > before:
            self.at = at
            self.bytes += size + ENTRY_BYTES * (self.head - before)
        return results

    def _retitle(self, topic: str) -> int:
        """Set the topic; return by how many bytes the room grows."""
        before = self.topic_bytes
        self.topic = topic
        self.topic_bytes = getsizeof(topic)
        return self.topic_bytes - before

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the kept payloads from one number to another."""
        entries = self.entries
        start = max(first - self.first, 0)
        stop = min(last + 1 - self.first, len(entries))
        if start >= stop:
            return []
        if start <= len(entries) - stop:
            return list(islice(entries, start, stop))
        # Start from the nearer end, since skipping entries takes time.
        backwards = list(islice(reversed(entries), len(entries) - stop, len(entries) - start))
        backwards.reverse()
        return backwards

    def lines(self, first: int, last: int) -> SegmentLines:
        """Return the kept entries from one number to another, as a search needs them."""
        first = max(first, self.first)
        folds = self.folds
        if folds:
            folds = {seq: folds[seq] for seq in range(first, last + 1) if seq in folds}
        return SegmentLines(first, self.payloads(first, last), folds)

    def time_of(self, seq: int) -> int:
        """Return the time of a kept entry."""
        (entry,) = decode_texts([self.entries[seq - self.first]])
        return entry.at

    def newest(self, room: str, through: int, below: Position | None) -> int:
        """Return the newest number up to `through` that is after a position; it may be below `first`."""
        through = min(through, self.head)
        if below is None or below.room == room:
            return through if below is None else min(through, below.seq - 1)
        latest = below.latest(room)
        low, high = self.first - 1, through
        while low < high:
            middle = (low + high + 1) // 2
            if self.time_of(middle) > latest:
                high = middle - 1
            else:
                low = middle
        return low

    def segments(self, room: str, through: int, below: Position | None) -> Iterator[Segment]:
        """Yield the kept entries up to a number and after a position, the newest segment first. Entries may
        be evicted between two segments."""
        through = self.newest(room, through, below)
        while through >= self.first:
            first = max(through + 1 - SEGMENT_ENTRIES, self.first)
            newest = Position(self.time_of(through), room, through)
            yield Segment(newest, partial(self.lines, first, through))
            through = first - 1

    def evict(self, entries_max: int, bytes_max: int) -> int:
        """Evict the oldest entries until both limits hold; return how many bytes that frees."""
        entries, keys, seqs, folds = self.entries, self.keys, self.seqs, self.folds
        before = left = self.bytes
        count = len(entries)
        while count and (count > entries_max or left > bytes_max):
            count -= 1
            left -= len(entries.popleft()) + ENTRY_BYTES
            if key := keys.popleft():
                del seqs[key]
                left -= REF_BYTES if key.isascii() else _ref_bytes(key)
            if folds and (seq := self.head - count) in folds:
                left -= _fold_bytes(folds.pop(seq))
        self.bytes = left
        return before - left


def _fold_bytes(folded: str | None) -> int:
    return FOLD_BYTES if folded is None else FOLD_BYTES + getsizeof(folded)


class MemoryStore:
    """A `Store` in memory. Sizes are approximate bytes of memory. `random_bytes` makes the epochs, and
    `clock` measures how long a search or a batch has run without a checkpoint."""

    kept = "memory"
    server_id = ""  # the journal of the next run is another journal
    backlog = 0

    def __init__(
        self,
        *,
        room_entries_max: int = 10_000,
        room_bytes_max: int = 8 << 20,
        bytes_max: int = 256 << 20,
        keep: RetentionRule = FOREVER,
        random_bytes: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if keep.entries:
            room_entries_max = min(room_entries_max, keep.entries)
        self.tidies = bool(keep.age_ms)
        self._age_ms = keep.age_ms
        self._aging: list[str] = []  # rooms that are still to be checked for old entries
        self._tidied_ms: int | None = None  # the `now_ms` at which the rooms were last listed
        self._room_entries_max = room_entries_max
        self._room_bytes_max = room_bytes_max
        self._bytes_max = bytes_max
        self._random_bytes = random_bytes
        self._clock = clock
        self._rooms: dict[str, _RoomLog] = {}
        self._filled: OrderedDict[str, _RoomLog] = OrderedDict()  # rooms with entries, the quietest first
        self._bytes = 0  # of the rooms in `_filled`
        self._search_turn = trio.CapacityLimiter(1)  # of searches, in the order of their requests
        self._paused_until = float("-inf")

    async def open(self, room: str, shown: str) -> RoomRecord:
        await trio.lowlevel.checkpoint()
        kept = self._rooms.get(room)
        if kept is None:
            epoch = urlsafe_b64encode(self._random_bytes(9)).decode()
            kept = self._rooms[room] = _RoomLog(shown, epoch)
        kept.users += 1
        return RoomRecord(kept.shown, kept.epoch, kept.first, kept.head, kept.topic)

    def close(self, room: str) -> None:
        kept = self._rooms[room]
        kept.users -= 1
        if not kept.users and not kept.entries:
            del self._rooms[room]

    def first(self, room: str) -> int:
        return self._rooms[room].first

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        wide = [draft.text for draft in drafts if not draft.text.isascii()]
        folds = await self._fold(wide) if wide else {}
        results: list[CommitResult] = []
        for room, run in groupby(drafts, _room_of):
            kept = self._rooms[room]
            if not kept.entries:
                self._filled[room] = kept
                self._bytes += ROOM_BYTES + kept.bytes
            before = kept.bytes
            results += kept.extend(run, now_ms, folds)
            self._bytes += kept.bytes - before
        for room in dict.fromkeys(map(_room_of, drafts)):
            kept = self._filled[room]
            self._filled.move_to_end(room)  # this room is now the least quiet
            self._bytes -= kept.evict(self._room_entries_max, self._room_bytes_max)
            self._check_filled(room)
        self._shrink()
        return results

    async def _fold(self, texts: list[str]) -> dict[str, str | None]:
        """Return the folded forms of texts, as in `SegmentLines`; pass a checkpoint between short steps."""
        folds: dict[str, str | None] = {}
        end = self._clock() + STEP_S
        for text in dict.fromkeys(texts):
            parts: list[str] = []
            for piece in fold_pieces(text):
                parts.append(piece)
                if self._clock() >= end:
                    await trio.lowlevel.checkpoint()
                    end = self._clock() + STEP_S
            folded = "".join(parts)
            folds[text] = None if folded == text else folded
        return folds

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        await trio.lowlevel.checkpoint()
        kept = self._rooms[room]
        first = max(after + 1, kept.first)
        payloads: list[bytes] = []
        for payload in kept.payloads(first, min(through, first + entries_max - 1)):
            bytes_max -= len(payload)
            if payloads and bytes_max < 0:
                break
            payloads.append(payload)
        return EntryPage(first, payloads)

    async def search(
        self,
        rooms: dict[str, int],
        text: str,
        below: Position | None,
        limit: int,
        *,
        is_abandoned: Callable[[], bool] = never,
    ) -> Matches:
        pace = SearchPace(self._clock)
        folded = await self._in_turns(fold_in_steps(text), pace, is_abandoned)
        if folded is None:
            return Matches([], None)
        query = Query(text, folded=folded)

        async def scan_slice(below: Position | None, hits_max: int) -> SearchSlice | None:
            segments = (
                kept.segments(room, through, below)
                for room, through in rooms.items()
                if (kept := self._rooms.get(room)) is not None
            )
            steps = scan(segments, query, below, hits_max, SLICE, pace.page_is_over)
            return await self._in_turns(steps, pace, is_abandoned)

        return await in_slices(scan_slice, pace, below, limit)

    async def _in_turns(
        self, steps: Steps[T], pace: SearchPace, is_abandoned: Callable[[], bool]
    ) -> T | None:
        """Run the steps of a search in turn with those of other searches; return None once it is abandoned.

        After each turn all searches pause, so that together they use a limited share of the time.
        """
        while True:
            async with self._search_turn:
                if self._paused_until > trio.current_time():
                    await trio.sleep_until(self._paused_until)
                else:
                    await trio.lowlevel.checkpoint()
                found = pace.take(steps)
                self._paused_until = trio.current_time() + pace.pause_s
            if found is not None or is_abandoned():
                return found

    async def room_times(self, limit_ms: int, names_max: int) -> RoomTimes:
        await trio.lowlevel.checkpoint()
        newest = count = 0
        latest: list[tuple[int, str]] = []  # a heap of the rooms that will be named
        for number, kept in enumerate(list(self._rooms.values()), 1):
            if number % ROOMS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            newest = max(newest, kept.at)
            if kept.at > limit_ms:
                count += 1
                heappush(latest, (kept.at, kept.shown))
                if len(latest) > names_max:
                    heappop(latest)
        return RoomTimes(newest, [name for _, name in sorted(latest, reverse=True)], count)

    async def tidy(self, now_ms: int) -> bool:
        await trio.lowlevel.checkpoint()
        if not self._aging:
            if not self._age_ms or is_recent(self._tidied_ms, now_ms, TIDY_EVERY_MS):
                return False
            self._tidied_ms = now_ms
            self._aging = list(self._filled)
        left = EVICTED_AT_ONCE
        for _ in range(min(ROOMS_AT_ONCE, len(self._aging))):
            kept = self._filled.get(self._aging[-1])
            while kept is not None and kept.entries and kept.time_of(kept.first) < now_ms - self._age_ms:
                self._bytes -= kept.evict(len(kept.entries) - 1, kept.bytes)
                left -= 1
                if not left:
                    break
            if kept is not None:
                self._check_filled(self._aging[-1])
            if not left:
                return True
            self._aging.pop()
        return bool(self._aging)

    async def probe(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    def _shrink(self) -> None:
        """Evict entries until the limit for all rooms holds; at most as much as was just added."""
        while self._bytes > self._bytes_max and self._filled:
            room, kept = next(iter(self._filled.items()))
            self._bytes -= kept.evict(len(kept.entries), kept.bytes - (self._bytes - self._bytes_max))
            self._check_filled(room)

    def _check_filled(self, room: str) -> None:
        """Stop counting a room that has no entries left; delete it if it has no users."""
        kept = self._filled[room]
        if not kept.entries:
            del self._filled[room]
            self._bytes -= ROOM_BYTES + kept.bytes  # the room's users still need its topic
            if not kept.users:
                del self._rooms[room]
