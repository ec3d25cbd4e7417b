"""Streams are open while they are used, and concurrent reads of a page are shared."""

import pytest
import trio
from trio.testing import MockClock, assert_no_checkpoints, wait_all_tasks_blocked

from tests.server.stores import FailingStore, HeldStore, SlowStore
from trio_chat.errors import StoreError
from trio_chat.hub.names import Name, prepare_room
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.store import CommitResult, Draft, EntryPage, RoomRecord, Store
from trio_chat.server.stream import Batch, RecentCache, RoomStream
from trio_chat.server.streams import PAGE_BYTES, PAGE_ENTRIES, READS_AT_ONCE, RoomStreams
from trio_chat.wire.codec import decode_entry

LOBBY, ATTIC = prepare_room("Lobby"), prepare_room("attic")


def streams_on(store: Store, tail_bytes: int = 1 << 20) -> RoomStreams:
    return RoomStreams(store, RecentCache(tail_bytes=tail_bytes, tails_bytes=10 * tail_bytes))


class CountingStore(SlowStore):
    """Counts its calls, and how many run at once."""

    def __init__(self, inner: Store | None = None, *, open_s: float = 0, read_s: float = 0) -> None:
        super().__init__(inner, open_s=open_s, read_s=read_s)
        self.opened: list[tuple[str, str]] = []
        self.closed: list[str] = []
        self.reads: list[tuple[int, int]] = []
        self.at_once = self.at_most = 0

    async def open(self, room: str, shown: str) -> RoomRecord:
        self.opened.append((room, shown))
        return await super().open(room, shown)

    def close(self, room: str) -> None:
        self.closed.append(room)
        super().close(room)

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        self.reads.append((after, through))
        self.at_once += 1
        self.at_most = max(self.at_most, self.at_once)
        try:
            return await super().read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)
        finally:
            self.at_once -= 1


async def committed(store: Store, *texts: str) -> list[CommitResult]:
    return await store.commit([Draft("lobby", "Lobby", "ada", text) for text in texts], 0)


async def spoken(streams: RoomStreams, store: Store, *texts: str) -> RoomStream:
    """Return a lobby with these texts, committed and published in one batch."""
    stream = await streams.use(LOBBY)
    outcomes = await committed(store, *texts)
    stream.append(outcomes[0].seq, [outcome.payload for outcome in outcomes if outcome.payload is not None])
    return stream


def texts(batch: Batch) -> list[str]:
    return [decode_entry(payload).text for payload in batch.payloads]


# --- in use -----------------------------------------------------------------------------------------


async def test_the_first_use_opens_and_the_last_closes() -> None:
    streams = streams_on(store := CountingStore())
    first = await streams.use(LOBBY)
    assert first is streams["lobby"] and first.shown == "Lobby"
    with assert_no_checkpoints():
        other = await streams.use(Name("LOBBY", "lobby"))
    assert other is first
    streams.release(first)
    assert (len(streams), store.closed) == (1, [])
    streams.release(first)
    assert (len(streams), store.closed) == (0, ["lobby"])
    assert store.opened == [("lobby", "Lobby")]
    again = await streams.use(LOBBY)
    assert again is not first
    assert len(store.opened) == 2


async def test_a_second_use_waits_for_a_room_that_is_being_opened(autojump_clock: MockClock) -> None:
    streams = streams_on(store := CountingStore(open_s=1))
    found: list[RoomStream] = []

    async def comes(name: Name) -> None:
        found.append(await streams.use(name))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(comes, LOBBY)
        nursery.start_soon(comes, ATTIC)
    assert trio.current_time() == pytest.approx(1), "rooms open in parallel"
    assert sorted(stream.key for stream in found) == ["attic"] + ["lobby"] * 5
    assert len(store.opened) == 2
    assert streams["lobby"].users == 5


async def test_when_the_opening_task_is_cancelled_the_next_one_opens(autojump_clock: MockClock) -> None:
    streams = streams_on(store := CountingStore(open_s=1))

    async def gives_up() -> None:
        with trio.move_on_after(0.5):
            await streams.use(LOBBY)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gives_up)
        await wait_all_tasks_blocked()
        stream = await streams.use(LOBBY)
    assert trio.current_time() == pytest.approx(1.5)
    assert stream.users == 1
    assert len(store.opened) == 2
    streams.release(stream)
    assert len(streams) == 0


async def test_a_room_that_cannot_be_opened_is_not_open() -> None:
    streams = streams_on(store := FailingStore())
    store.opening_fails = True

    async def comes() -> None:
        with pytest.raises(StoreError, match="no such file"):
            await streams.use(LOBBY)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(comes)
        nursery.start_soon(comes)
    assert len(streams) == 0
    store.opening_fails = False
    streams.release(await streams.use(LOBBY))


async def test_a_closed_room_leaves_no_tail() -> None:
    store = MemoryStore()
    streams = streams_on(store)
    stream = await spoken(streams, store, "a")
    assert streams._cache._bytes > 0
    streams.release(stream)
    assert streams._cache._bytes == 0


# --- reading ----------------------------------------------------------------------------------------


async def test_concurrent_reads_of_a_page_share_it(autojump_clock: MockClock) -> None:
    store = CountingStore(read_s=1)
    streams = streams_on(store)
    stream = await spoken(streams, store, "a", "b", "c")
    stream.tail.clear()
    found: list[Batch] = []

    async def reads(cursor: int) -> None:
        found.append(await streams.after(stream, cursor))

    async with trio.open_nursery() as nursery:
        for _ in range(500):
            nursery.start_soon(reads, 0)
        nursery.start_soon(reads, 2)
    assert sorted(store.reads) == [(0, 3), (2, 3)]
    assert len({id(batch) for batch in found}) == 2
    assert min(texts(batch) for batch in found) == ["a", "b", "c"]
    again = await streams.after(stream, 0)
    assert again not in found, "a page is not kept after its read"


async def test_a_page_ends_where_the_tail_begins() -> None:
    """Its readers then go on with whole batches, whose bytes are shared."""
    store = MemoryStore()
    streams = streams_on(store)
    stream = await spoken(streams, store, "a", "b")
    stream.evict_oldest()
    outcomes = await committed(store, "c", "d")
    stream.append(3, [outcome.payload for outcome in outcomes if outcome.payload is not None])
    page = await streams.after(stream, 0)
    assert texts(page) == ["a", "b"]
    follows = stream.after(page.last)
    assert follows is stream.tail[0] and follows.first == page.last + 1


async def test_unpublished_entries_are_not_read() -> None:
    store = MemoryStore()
    streams = streams_on(store)
    stream = await spoken(streams, store, "a")
    stream.tail.clear()
    await committed(store, "b")
    assert texts(await streams.after(stream, 0)) == ["a"]


async def test_removed_entries_are_left_out_of_a_page() -> None:
    store = MemoryStore(room_entries_max=2)
    streams = streams_on(store)
    stream = await spoken(streams, store, "a", "b", "c", "d")
    assert streams.first(stream) == 3
    stream.tail.clear()
    page = await streams.after(stream, 0)
    assert (page.first, texts(page)) == (3, ["c", "d"])


async def test_removed_unpublished_entries_make_no_gap() -> None:
    """Two entries are published. Eight more are written, and five kept: none of the two."""
    store = MemoryStore(room_entries_max=5)
    streams = streams_on(store)
    stream = await spoken(streams, store, "a", "b")
    stream.tail.clear()
    await committed(store, *"cdefghij")
    assert store.first("lobby") == 6
    assert streams.first(stream) == 3
    page = await streams.after(stream, 0)
    assert (page.first, page.last, page.payloads) == (3, 2, [])


class EmptyStore(MemoryStore):
    """Has a bug: every page is empty."""

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        await trio.lowlevel.checkpoint()
        return EntryPage(after + 1, [])


async def test_an_empty_page_is_an_error() -> None:
    """A waiting session would otherwise ask again at once, for ever."""
    store = EmptyStore()
    streams = streams_on(store)
    stream = await spoken(streams, store, "a")
    stream.tail.clear()
    with pytest.raises(StoreError, match="returned no entries"):
        await streams.after(stream, 0)


async def test_a_page_has_its_bounds() -> None:
    store = MemoryStore()
    streams = streams_on(store)
    stream = await spoken(streams, store, *(["x"] * (PAGE_ENTRIES + 1)), *(["y" * 4_000] * 100))
    stream.tail.clear()
    short = await streams.after(stream, 0)
    assert len(short.payloads) == PAGE_ENTRIES
    long = await streams.after(stream, PAGE_ENTRIES + 1)
    assert PAGE_BYTES - 5_000 < long.bytes <= PAGE_BYTES


async def test_four_reads_run_at_once(autojump_clock: MockClock) -> None:
    store = CountingStore(read_s=1)
    streams = streams_on(store)
    stream = await spoken(streams, store, *"abcdefghijkl")
    stream.tail.clear()
    async with trio.open_nursery() as nursery:
        for cursor in range(8):
            nursery.start_soon(streams.after, stream, cursor)
        for _ in range(2):
            nursery.start_soon(lambda: streams.read(stream, 0, 9, entries_max=9, bytes_max=9))
    assert store.at_most == READS_AT_ONCE == 4
    assert trio.current_time() == pytest.approx(3)


async def test_an_error_is_raised_for_all_waiting_tasks_and_not_kept() -> None:
    failing = FailingStore(failing=False)
    store = HeldStore(failing)
    store.holds_commits, store.holds_reads = False, True
    streams = streams_on(store)
    stream = await spoken(streams, store, "a")
    stream.tail.clear()
    failing.reading_fails = True
    told: list[StoreError] = []

    async def reads() -> None:
        with pytest.raises(StoreError, match="input/output error") as error:
            await streams.after(stream, 0)
        told.append(error.value)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(reads)
        await wait_all_tasks_blocked()
        assert store.waiting == 1
        store.release()
    assert len({id(error) for error in told}) == 3, "each task raises an error of its own"
    failing.reading_fails = store.holds_reads = False
    assert texts(await streams.after(stream, 0)) == ["a"]


async def test_when_the_reading_task_is_cancelled_the_next_one_reads() -> None:
    store = HeldStore()
    store.holds_commits, store.holds_reads = False, True
    streams = streams_on(store)
    stream = await spoken(streams, store, "a")
    stream.tail.clear()
    found: list[Batch] = []

    async def reads() -> None:
        found.append(await streams.after(stream, 0))

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as first:
            first.start_soon(reads)
            await wait_all_tasks_blocked()
            for _ in range(2):
                nursery.start_soon(reads)
            await wait_all_tasks_blocked()
            assert store.waiting == 1
            first.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        assert store.waiting == 1
        store.release()
    assert len(found) == 2
    assert found[0] is found[1]


async def test_a_room_stays_open_while_it_is_read() -> None:
    store = HeldStore()
    store.holds_commits, store.holds_reads = False, True
    streams = streams_on(store)
    stream = await spoken(streams, store, "a")
    stream.tail.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(streams.after, stream, 0)
        await wait_all_tasks_blocked()
        streams.release(stream)
        assert len(streams) == 1
        store.release()
        await wait_all_tasks_blocked()
        assert len(streams) == 0


async def test_a_room_stays_open_while_a_task_waits_for_another_task_s_read() -> None:
    """The session that reads may end meanwhile. Then its read is cancelled, and the waiting task reads."""
    store = HeldStore()
    store.holds_commits, store.holds_reads = False, True
    streams = streams_on(store)
    stream = await spoken(streams, store, "a")
    stream.tail.clear()
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as first:
            first.start_soon(streams.after, stream, 0)
            await wait_all_tasks_blocked()
            nursery.start_soon(streams.after, stream, 0)
            await wait_all_tasks_blocked()
            streams.release(stream)
            first.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        assert len(streams) == 1
        store.release()
    assert len(streams) == 0
