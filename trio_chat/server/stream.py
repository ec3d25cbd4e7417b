"""The stream of a room: its newest batches, encoded once and shared, and the sessions that receive the next.

A `RoomStream` is a room as the fan-out sees it. Its tail holds the last batches. A session that is behind
reads from the tail, and older entries from the store. `head` is the newest *published* entry. The store may
already hold newer entries, but no session may get one before it is published to all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING

from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Gap

if TYPE_CHECKING:
    from trio_chat.dialects import Packing
    from trio_chat.journal.store import Draft, RoomRecord
    from trio_chat.server.outbound import OutboundQueue

__all__ = ["Batch", "RecentCache", "RoomStream"]

MERGED_BYTES = 64 << 10  # half of what a socket takes at a time

_first = attrgetter("first")


class Batch:
    """Consecutive entries from the number `first` on: their payloads, and their encoded bytes."""

    __slots__ = ("_packed", "bytes", "first", "last", "payloads")

    def __init__(self, first: int, payloads: list[bytes]) -> None:
        self.first = first
        self.last = first + len(payloads) - 1
        self.payloads = payloads
        self.bytes = sum(map(len, payloads))
        self._packed: dict[Packing, bytes] = {}

    def packed(self, packing: Packing, after: int = -1) -> bytes:
        """Return the encoded entries after the number `after`. The bytes of a whole batch are made once."""
        if after >= self.first:
            return packing.pack(self.payloads[after + 1 - self.first :])
        packed = self._packed.get(packing)
        if packed is None:
            packed = self._packed[packing] = packing.pack(self.payloads)
        return packed


class RoomStream:
    """One room's head, tail and live sessions.

    `live` are the sessions that keep up, oldest first. While a batch is sent in chunks, `unsent` are the
    sessions that have not got it yet.
    """

    __slots__ = (
        "_cache",
        "bytes",
        "epoch",
        "head",
        "key",
        "live",
        "notices",
        "pending",
        "shown",
        "tail",
        "topic",
        "unsent",
        "users",
    )

    def __init__(self, key: str, record: RoomRecord, cache: RecentCache) -> None:
        self.key = key
        self.shown = record.shown
        self.epoch = record.epoch
        self.head = record.head
        self.topic = record.topic
        self.live: dict[OutboundQueue, None] = {}
        self.unsent: dict[OutboundQueue, None] = {}
        self.tail: deque[Batch] = deque()
        self.bytes = 0
        # drafts that are not committed yet, by key; used by the committer
        self.pending: dict[str, Draft] = {}
        self.notices = 0  # how many presence notices were sent
        self.users = 0  # sessions in the room, pending drafts, and reads
        self._cache = cache

    def append(self, first: int, payloads: list[bytes]) -> Batch:
        """Add the next committed entries, which become the head, and return their batch."""
        assert first == self.head + 1, "sequence numbers have no hole"
        batch = Batch(first, payloads)
        self.head = batch.last
        self.tail.append(batch)
        self._cache.grew(self, batch.bytes)
        return batch

    def skip(self, first: int) -> None:
        """Skip to the number `first`: the journal removed the entries before it, which were never published.

        Live sessions are sent a `gap`. Sessions that are behind find it when they read the journal.
        """
        gap = encode(Gap(self.shown, self.head, first, kept=False))
        self.head = first - 1
        self._cache.drop(self)
        for outbound in list(self.live):
            outbound.send(gap)
            outbound.flush()

    def after(self, cursor: int) -> Batch | None:
        """Return the batch with the entry after `cursor`, or None when the tail does not reach back to it.

        Small batches are merged for sessions that are behind, and stay merged. Two seconds of a busy room are
        a thousand batches, and a thousand sends for each stalled session would take longer than the stall.
        """
        index = bisect_right(self.tail, cursor + 1, key=_first) - 1
        if index < 0:
            return None
        stop = index + 1
        size = self.tail[index].bytes
        # Not the newest batch: it may be in the middle of its fan-out.
        while stop < len(self.tail) - 1 and (size := size + self.tail[stop].bytes) <= MERGED_BYTES:
            stop += 1
        if stop > index + 1:
            self._merge(index, stop)
        return self.tail[index]

    def _merge(self, start: int, stop: int) -> None:
        self.tail.rotate(-start)
        batches = [self.tail.popleft() for _ in range(stop - start)]
        payloads = [payload for batch in batches for payload in batch.payloads]
        self.tail.appendleft(Batch(batches[0].first, payloads))
        self.tail.rotate(start)

    def cursor(self, outbound: OutboundQueue) -> int:
        """Return the cursor of a live session: the head, or the number before a batch that it has not got."""
        return self.tail[-1].first - 1 if outbound in self.unsent else self.head

    def remove(self, outbound: OutboundQueue) -> None:
        """Remove a session that fell behind or left."""
        self.live.pop(outbound, None)
        self.unsent.pop(outbound, None)

    def evict_oldest(self) -> int:
        """Evict the oldest batch, and return how many bytes that frees."""
        batch = self.tail.popleft()
        self.bytes -= batch.bytes
        return batch.bytes


class RecentCache:
    """Evicts batches from the tails when a tail, or all tails together, exceed their bounds in bytes.

    It evicts from the room that has been quiet for longest first.
    """

    def __init__(self, *, tail_bytes: int, tails_bytes: int) -> None:
        self._tail_bytes = tail_bytes
        self._tails_bytes = tails_bytes
        self._bytes = 0
        self._streams: dict[RoomStream, None] = {}  # streams with a tail, the quietest first

    def grew(self, stream: RoomStream, size: int) -> None:
        stream.bytes += size
        self._bytes += size
        self._streams.pop(stream, None)
        self._streams[stream] = None
        # Keep the newest batch, whatever its size: it is being sent to the live sessions.
        while stream.bytes > self._tail_bytes and len(stream.tail) > 1:
            self._bytes -= stream.evict_oldest()
        while self._bytes > self._tails_bytes:
            quietest = next(iter(self._streams))
            if quietest is stream and len(stream.tail) == 1:
                return
            self._bytes -= quietest.evict_oldest()
            if not quietest.tail:
                del self._streams[quietest]

    def drop(self, stream: RoomStream) -> None:
        """Drop a room's whole tail."""
        self._streams.pop(stream, None)
        self._bytes -= stream.bytes
        stream.bytes = 0
        stream.tail.clear()
