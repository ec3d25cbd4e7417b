"""Which rooms are in use, and reading from their journals.

A feed is open while somebody uses it: a session in the room, a draft on its way, a read. The first use
asks the store; after the last one its tail is forgotten. Reads of the journal are shared: whoever asks
for the same page while it is being read waits for that read, and at most four run at once, so that a
stall of everybody does not become a storm of reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_chat.errors import StoreError
from trio_chat.server.stream import Batch, RecentCache, RoomStream

if TYPE_CHECKING:
    from trio_chat.hub.names import Name
    from trio_chat.journal.store import EntryPage, Store

__all__ = ["RoomStreams"]

READS_AT_ONCE = 4
PAGE_ENTRIES = 500
# A page is read, packed and sent in one step each: with 256 KiB who reads a long history doubled the latency
# of all others, and had a million entries a second; with these it has 700,000.
PAGE_BYTES = 48 << 10


class _Reading:
    """A read under way, and how it ended: both None when it was cancelled."""

    __slots__ = ("batch", "done", "error")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.batch: Batch | None = None
        self.error: StoreError | None = None


class RoomStreams:
    """The open feeds, by key."""

    def __init__(self, store: Store, tails: RecentCache) -> None:
        self._store = store
        self._tails = tails
        self.open: dict[str, RoomStream] = {}
        self._opening: dict[str, trio.Event] = {}
        self._reads = trio.CapacityLimiter(READS_AT_ONCE)
        self._reading: dict[tuple[RoomStream, int], _Reading] = {}

    def __getitem__(self, key: str) -> RoomStream:
        return self.open[key]

    def __len__(self) -> int:
        return len(self.open)

    def use_open(self, name: Name) -> RoomStream | None:
        """Share a room's feed if it is open. End each use with `release`."""
        stream = self.open.get(name.key)
        if stream is not None:
            stream.users += 1
        return stream

    async def use(self, name: Name) -> RoomStream:
        """Open a room's feed, or share the open one; waits for the store only when it is not open.

        End each use with `release`. When cancelled there is none. Raises `StoreError`.
        """
        while True:
            stream = self.use_open(name)
            if stream is not None:
                return stream
            opening = self._opening.get(name.key)
            if opening is None:
                break
            await opening.wait()
        self._opening[name.key] = trio.Event()
        try:
            record = await self._store.open(name.key, name.shown)
            stream = self.open[name.key] = RoomStream(name.key, record, self._tails)
            stream.users += 1
            return stream
        finally:
            self._opening.pop(name.key).set()

    def release(self, stream: RoomStream, uses: int = 1) -> None:
        """End one use, or so many."""
        stream.users -= uses
        if not stream.users:
            del self.open[stream.key]
            self._tails.forget(stream)
            self._store.close(stream.key)

    async def after(self, stream: RoomStream, cursor: int) -> Batch:
        """The next page of what was shown behind `cursor`, shared by all who ask while it is read.

        Its `first` is beyond `cursor` + 1 where the journal has forgotten some. Raises `StoreError`.
        """
        stream.users += 1  # the session may end while this waits for the read of another, and its use with it
        try:
            return await self._page(stream, cursor)
        finally:
            self.release(stream)

    async def _page(self, stream: RoomStream, cursor: int) -> Batch:
        key = (stream, cursor)
        while (reading := self._reading.get(key)) is not None:
            await reading.done.wait()
            if reading.error is not None:
                raise StoreError(*reading.error.args)
            if reading.batch is not None:
                return reading.batch
        reading = self._reading[key] = _Reading()
        # Up to the tail, not into it: who has read this page then goes on with whole batches, whose bytes
        # all share.
        through = stream.tail[0].first - 1 if stream.tail else stream.head
        try:
            page = await self.read(stream, cursor, through, entries_max=PAGE_ENTRIES, bytes_max=PAGE_BYTES)
            if not page.payloads and page.first <= cursor + 1:
                raise StoreError("the journal gives nothing of what it holds")
            reading.batch = Batch(min(page.first, through + 1), page.payloads)
            return reading.batch
        except StoreError as error:
            reading.error = error
            raise
        finally:
            del self._reading[key]
            reading.done.set()

    async def read(
        self, stream: RoomStream, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        """A page of a room's journal, as `Store.read` has it. Raises `StoreError`."""
        stream.users += 1
        try:
            async with self._reads:
                return await self._store.read(
                    stream.key, after, through, entries_max=entries_max, bytes_max=bytes_max
                )
        finally:
            self.release(stream)

    def first(self, stream: RoomStream) -> int:
        """The oldest number the journal keeps of what was shown in a room; beyond the head if none."""
        return min(self._store.first(stream.key), stream.head + 1)
