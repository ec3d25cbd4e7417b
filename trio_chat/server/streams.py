"""The streams of the rooms in use, and shared reads of their journals.

A stream is open while it has users: sessions in the room, pending drafts, reads. The first use opens it in
the store, and after the last one its tail is dropped. Reads of the journal are shared: a session that needs a
page that is already being read waits for that read. At most four reads run at once. So when all sessions fall
behind together, they do not flood the store with reads.
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
# A page is read, packed and sent in one step each. With 256 KiB, a session that read a long history got a
# million entries a second and doubled the latency of all others. With 48 KiB it gets 700,000.
PAGE_BYTES = 48 << 10


class _Reading:
    """A running read, and its result: `batch` and `error` are both None when it was cancelled."""

    __slots__ = ("batch", "done", "error")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.batch: Batch | None = None
        self.error: StoreError | None = None


class RoomStreams:
    """The open streams, by key."""

    def __init__(self, store: Store, cache: RecentCache) -> None:
        self._store = store
        self._cache = cache
        self.open: dict[str, RoomStream] = {}
        self._opening: dict[str, trio.Event] = {}
        self._reads = trio.CapacityLimiter(READS_AT_ONCE)
        self._reading: dict[tuple[RoomStream, int], _Reading] = {}

    def __getitem__(self, key: str) -> RoomStream:
        return self.open[key]

    def __len__(self) -> int:
        return len(self.open)

    def use_open(self, name: Name) -> RoomStream | None:
        """Return a room's stream if it is open, and count a use. End each use with `release`."""
        stream = self.open.get(name.key)
        if stream is not None:
            stream.users += 1
        return stream

    async def use(self, name: Name) -> RoomStream:
        """Return a room's stream and count a use. Wait for the store only when it is not open.

        End each use with `release`. A cancelled call counts no use. Raises `StoreError`.
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
            stream = self.open[name.key] = RoomStream(name.key, record, self._cache)
            stream.users += 1
            return stream
        finally:
            self._opening.pop(name.key).set()

    def release(self, stream: RoomStream, uses: int = 1) -> None:
        """End `uses` uses of a stream, and close it after the last one."""
        stream.users -= uses
        if not stream.users:
            del self.open[stream.key]
            self._cache.drop(stream)
            self._store.close(stream.key)

    async def after(self, stream: RoomStream, cursor: int) -> Batch:
        """Read the next page of published entries after `cursor`; concurrent callers share one read.

        Its `first` is beyond `cursor` + 1 when the journal has removed entries. Raises `StoreError`.
        """
        stream.users += 1  # the session, and its use, may end while this waits for another session's read
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
        # Stop where the tail begins: the session then goes on with whole batches, whose bytes are shared.
        through = stream.tail[0].first - 1 if stream.tail else stream.head
        try:
            page = await self.read(stream, cursor, through, entries_max=PAGE_ENTRIES, bytes_max=PAGE_BYTES)
            if not page.payloads and page.first <= cursor + 1:
                raise StoreError("the journal returned no entries")
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
        """Read a page of a room's journal, as `Store.read` does. Raises `StoreError`."""
        stream.users += 1
        try:
            async with self._reads:
                return await self._store.read(
                    stream.key, after, through, entries_max=entries_max, bytes_max=bytes_max
                )
        finally:
            self.release(stream)

    def first(self, stream: RoomStream) -> int:
        """Return the number of the oldest published entry that is kept, or head + 1 when none is."""
        return min(self._store.first(stream.key), stream.head + 1)
