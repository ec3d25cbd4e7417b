"""A room on its way out: its newest batches, encoded once and shared, and who is handed the next.

A `RoomStream` is a room as the fan-out sees it. Its tail holds the last batches; a session that is behind
reads on from there, and what is older comes from the store. `head` is the newest entry that was
*shown*: the store may hold more already, and nobody may be given those before everybody is.
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

JOINED_BYTES = 64 << 10  # half of what a socket takes at a time

_first = attrgetter("first")


class Batch:
    """Entries without a hole, from the number `first` on: their payloads, and the bytes that carry them."""

    __slots__ = ("_packed", "bytes", "first", "last", "payloads")

    def __init__(self, first: int, payloads: list[bytes]) -> None:
        self.first = first
        self.last = first + len(payloads) - 1
        self.payloads = payloads
        self.bytes = sum(map(len, payloads))
        self._packed: dict[Packing, bytes] = {}

    def packed(self, packing: Packing, after: int = -1) -> bytes:
        """All of it above the number `after`; whole, it is made once and shared by all who ask."""
        if after >= self.first:
            return packing.pack(self.payloads[after + 1 - self.first :])
        packed = self._packed.get(packing)
        if packed is None:
            packed = self._packed[packing] = packing.pack(self.payloads)
        return packed


class RoomStream:
    """One room's head, tail and audience.

    `live` are the sessions that keep up, in the order of their coming. While a batch is handed out in
    several steps, `handing` are those still without it.
    """

    __slots__ = (
        "_tails",
        "bytes",
        "epoch",
        "handing",
        "head",
        "key",
        "live",
        "notices",
        "pending",
        "shown",
        "tail",
        "topic",
        "users",
    )

    def __init__(self, key: str, record: RoomRecord, tails: RecentCache) -> None:
        self.key = key
        self.shown = record.shown
        self.epoch = record.epoch
        self.head = record.head
        self.topic = record.topic
        self.live: dict[OutboundQueue, None] = {}
        self.handing: dict[OutboundQueue, None] = {}
        self.tail: deque[Batch] = deque()
        self.bytes = 0
        self.pending: dict[str, Draft] = {}  # drafts on their way, by key; the committer's
        self.notices = 0  # of presence; a session that is behind compares what it missed
        self.users = 0  # sessions in the room, and what waits for its entries
        self._tails = tails

    def append(self, first: int, payloads: list[bytes]) -> Batch:
        """The next entries are committed: from this step on they are the head."""
        assert first == self.head + 1, "numbers go on without a hole"
        batch = Batch(first, payloads)
        self.head = batch.last
        self.tail.append(batch)
        self._tails.grown(self, batch.bytes)
        return batch

    def skip(self, first: int) -> None:
        """The journal has forgotten what stands before the number `first` before it was shown: an honest gap.

        Those who are behind find it when they read on.
        """
        gap = encode(Gap(self.shown, self.head, first, kept=False))
        self.head = first - 1
        self._tails.forget(self)
        for outbound in list(self.live):
            outbound.send(gap)
            outbound.flush()

    def after(self, cursor: int) -> Batch | None:
        """The batch that holds the entry behind `cursor`; None when the tail does not reach so far back.

        Small ones are joined for whoever is behind, and stay so: two seconds of a busy room are a thousand
        batches, and a thousand sends for each of those who stalled would take longer than the stall.
        """
        place = bisect_right(self.tail, cursor + 1, key=_first) - 1
        if place < 0:
            return None
        stop = place + 1
        size = self.tail[place].bytes
        # Not the newest: it may be on its way out.
        while stop < len(self.tail) - 1 and (size := size + self.tail[stop].bytes) <= JOINED_BYTES:
            stop += 1
        if stop > place + 1:
            self._join(place, stop)
        return self.tail[place]

    def _join(self, start: int, stop: int) -> None:
        self.tail.rotate(-start)
        batches = [self.tail.popleft() for _ in range(stop - start)]
        payloads = [payload for batch in batches for payload in batch.payloads]
        self.tail.appendleft(Batch(batches[0].first, payloads))
        self.tail.rotate(start)

    def cursor(self, outbound: OutboundQueue) -> int:
        """Where a live session stands: at the head, or before the batch that is being handed out."""
        return self.tail[-1].first - 1 if outbound in self.handing else self.head

    def gone(self, outbound: OutboundQueue) -> None:
        """A session keeps up no longer, or has left."""
        self.live.pop(outbound, None)
        self.handing.pop(outbound, None)

    def cut(self) -> int:
        """Forget the oldest batch; how many bytes that frees."""
        batch = self.tail.popleft()
        self.bytes -= batch.bytes
        return batch.bytes


class RecentCache:
    """The bounds of all tails, in bytes of payloads: of each, and of all together, the quietest first."""

    def __init__(self, *, tail_bytes: int, tails_bytes: int) -> None:
        self._tail_bytes = tail_bytes
        self._tails_bytes = tails_bytes
        self._bytes = 0
        self._feeds: dict[RoomStream, None] = {}  # those with a tail, the quietest first

    def grown(self, stream: RoomStream, size: int) -> None:
        stream.bytes += size
        self._bytes += size
        self._feeds.pop(stream, None)
        self._feeds[stream] = None
        # The newest batch stays, whatever its size: who keeps up is just being handed it.
        while stream.bytes > self._tail_bytes and len(stream.tail) > 1:
            self._bytes -= stream.cut()
        while self._bytes > self._tails_bytes:
            quietest = next(iter(self._feeds))
            if quietest is stream and len(stream.tail) == 1:
                return
            self._bytes -= quietest.cut()
            if not quietest.tail:
                del self._feeds[quietest]

    def forget(self, stream: RoomStream) -> None:
        """Forget all of a room's tail."""
        self._feeds.pop(stream, None)
        self._bytes -= stream.bytes
        stream.bytes = 0
        stream.tail.clear()
