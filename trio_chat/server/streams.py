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
from trio_chat.server.stream import Batch, Feed, Tails

if TYPE_CHECKING:
    from trio_chat.hub.names import Name
    from trio_chat.journal.store import Page, Store

__all__ = ["Feeds"]

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


class Feeds:
    """The open feeds, by key."""

    def __init__(self, store: Store, tails: Tails) -> None:
        self._store = store
        self._tails = tails
        self.open: dict[str, Feed] = {}
        self._opening: dict[str, trio.Event] = {}
        self._reads = trio.CapacityLimiter(READS_AT_ONCE)
        self._reading: dict[tuple[Feed, int], _Reading] = {}

    def __getitem__(self, key: str) -> Feed:
        return self.open[key]

    def __len__(self) -> int:
        return len(self.open)

    def use_open(self, name: Name) -> Feed | None:
        """Share a room's feed if it is open. End each use with `release`."""
        feed = self.open.get(name.key)
        if feed is not None:
            feed.users += 1
        return feed

    async def use(self, name: Name) -> Feed:
        """Open a room's feed, or share the open one; waits for the store only when it is not open.

        End each use with `release`. When cancelled there is none. Raises `StoreError`.
        """
        while True:
            feed = self.use_open(name)
            if feed is not None:
                return feed
            opening = self._opening.get(name.key)
            if opening is None:
                break
            await opening.wait()
        self._opening[name.key] = trio.Event()
        try:
            record = await self._store.open(name.key, name.shown)
            feed = self.open[name.key] = Feed(name.key, record, self._tails)
            feed.users += 1
            return feed
        finally:
            self._opening.pop(name.key).set()

    def release(self, feed: Feed, uses: int = 1) -> None:
        """End one use, or so many."""
        feed.users -= uses
        if not feed.users:
            del self.open[feed.key]
            self._tails.forget(feed)
            self._store.close(feed.key)

    async def after(self, feed: Feed, cursor: int) -> Batch:
        """The next page of what was shown behind `cursor`, shared by all who ask while it is read.

        Its `first` is beyond `cursor` + 1 where the journal has forgotten some. Raises `StoreError`.
        """
        feed.users += 1  # the session may end while this waits for the read of another, and its use with it
        try:
            return await self._page(feed, cursor)
        finally:
            self.release(feed)

    async def _page(self, feed: Feed, cursor: int) -> Batch:
        key = (feed, cursor)
        while (reading := self._reading.get(key)) is not None:
            await reading.done.wait()
            if reading.error is not None:
                raise StoreError(*reading.error.args)
            if reading.batch is not None:
                return reading.batch
        reading = self._reading[key] = _Reading()
        # Up to the tail, not into it: who has read this page then goes on with whole batches, whose bytes
        # all share.
        through = feed.tail[0].first - 1 if feed.tail else feed.head
        try:
            page = await self.read(feed, cursor, through, entries_max=PAGE_ENTRIES, bytes_max=PAGE_BYTES)
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

    async def read(self, feed: Feed, after: int, through: int, *, entries_max: int, bytes_max: int) -> Page:
        """A page of a room's journal, as `Store.read` has it. Raises `StoreError`."""
        feed.users += 1
        try:
            async with self._reads:
                return await self._store.read(
                    feed.key, after, through, entries_max=entries_max, bytes_max=bytes_max
                )
        finally:
            self.release(feed)

    def first(self, feed: Feed) -> int:
        """The oldest number the journal keeps of what was shown in a room; beyond the head if none."""
        return min(self._store.first(feed.key), feed.head + 1)
