"""The limits of the journal in memory; tests of all stores are in test_sqlite_contract.py."""

import tracemalloc
from collections.abc import Callable
from itertools import count
from sys import getsizeof

import pytest
import trio
from trio.testing import assert_no_checkpoints

from trio_chat.journal.memory import ENTRY_BYTES, FOLD_BYTES, REF_BYTES, ROOM_BYTES, MemoryStore, _RoomLog
from trio_chat.journal.store import CommitResult, Draft, EntryPage, RoomRecord, Store
from trio_chat.wire.codec import decode_entry, encode
from trio_chat.wire.messages import Said


def draft(text: str = "hello", room: str = "lobby", *, ref: str = "", by: str = "ada") -> Draft:
    return Draft(room, room.title(), by, text, ref, ref and f"{by} {ref}")


def topic(text: str) -> Draft:
    return Draft("lobby", "Lobby", "ada", text, is_topic=True)


def numbered() -> Callable[[int], bytes]:
    """Return a source of bytes that never repeat, and are the same in each run."""
    numbers = count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


async def opened(*rooms: str, **bounds: int) -> MemoryStore:
    store = MemoryStore(random_bytes=numbered(), **bounds)  # type: ignore[arg-type]  # bounds are numbers
    for room in rooms or ("lobby",):
        await store.open(room, room.title())
    return store


async def said(store: Store, *texts: str, room: str = "lobby", now_ms: int = 0) -> list[CommitResult]:
    return await store.commit([draft(text, room) for text in texts], now_ms)


async def page(store: Store, after: int = 0, through: int = 2**53, **bounds: int) -> EntryPage:
    return await store.read("lobby", after, through, **{"entries_max": 1_000, "bytes_max": 10**9, **bounds})


async def texts(store: Store, after: int = 0, through: int = 2**53, **bounds: int) -> list[str]:
    return [decode_entry(payload).text for payload in (await page(store, after, through, **bounds)).payloads]


async def record(store: MemoryStore, room: str = "lobby") -> RoomRecord:
    """Return the store's record of a room, by opening and closing it."""
    known = await store.open(room, room.title())
    store.close(room)
    return known


async def test_epochs_are_random_by_default() -> None:
    epochs = {(await MemoryStore().open("lobby", "lobby")).epoch for _ in range(10)}
    assert len(epochs) == 10
    assert all(1 <= len(epoch) <= 64 for epoch in epochs)


async def test_the_topic_outlives_the_entry_that_set_it() -> None:
    store = await opened(room_entries_max=1)
    await store.commit([topic("first"), topic("second"), draft("a")], 0)
    assert await texts(store) == ["a"]
    assert (await record(store)).topic == "second"


# --- refs -------------------------------------------------------------------------------------------


async def test_a_ref_is_known_as_long_as_its_entry_is_kept() -> None:
    store = await opened(room_entries_max=2)
    await store.commit([draft("a", ref="r1"), draft("b", ref="r2"), draft("c")], 0)
    outcomes = await store.commit([draft("b", ref="r2"), draft("a", ref="r1")], 0)
    assert [outcome.seq for outcome in outcomes] == [2, 4]
    assert await texts(store) == ["c", "a"]


# --- reading ----------------------------------------------------------------------------------------


async def test_a_page_begins_where_the_journal_does() -> None:
    store = await opened(room_entries_max=3)
    await said(store, *"abcdefgh")
    assert store.first("lobby") == 6
    assert await texts(store) == list("fgh")
    assert (await page(store, after=2)).first == 6
    assert await page(store, after=2, through=4) == EntryPage(6, [])
    assert await texts(store, after=6) == list("gh")


# --- bounds -----------------------------------------------------------------------------------------


async def test_a_room_keeps_its_newest_by_count() -> None:
    store = await opened("lobby", "attic", room_entries_max=2)
    await said(store, "a", "b", "c")
    await said(store, "d", room="attic")
    known = await record(store)
    assert (known.first, known.head) == (2, 3)
    assert (await record(store, "attic")).first == 1


async def test_a_room_keeps_its_newest_by_bytes() -> None:
    size = len(encode(Said("Lobby", 1, 0, "ada", "a"))) + ENTRY_BYTES
    store = await opened(room_bytes_max=3 * size - 1)
    await said(store, "a", "b", "c")
    assert await texts(store) == ["b", "c"]
    store = await opened(room_bytes_max=3 * size)
    await said(store, "a", "b", "c")
    assert await texts(store) == ["a", "b", "c"]


async def test_an_entry_over_the_room_limit_is_sent_but_not_kept() -> None:
    store = await opened(room_bytes_max=10)
    (outcome,) = await said(store, "a")
    assert outcome.seq == 1 and outcome.payload is not None
    known = await record(store)
    assert (known.first, known.head) == (2, 1)
    assert await page(store) == EntryPage(2, [])
    assert [outcome.seq for outcome in await said(store, "b")] == [2]


def room_for(entries: int, rooms: int) -> int:
    """Return a limit for all rooms that fits this number of one-letter entries."""
    return rooms * ROOM_BYTES + entries * (len(encode(Said("Lobby", 1, 0, "ada", "a"))) + ENTRY_BYTES)


async def test_the_oldest_entries_of_the_quietest_room_are_evicted_first() -> None:
    store = await opened("attic", "lobby", "porch", bytes_max=room_for(4, rooms=3))
    await said(store, "a", "b", room="lobby")
    await said(store, "c", room="attic")
    await said(store, "d", room="porch")
    assert store.first("lobby") == 1
    await said(store, "e", room="porch")
    assert (store.first("lobby"), store.first("attic"), store.first("porch")) == (2, 1, 1)
    await said(store, "f", room="lobby")
    assert (store.first("lobby"), store.first("attic"), store.first("porch")) == (2, 2, 1)
    await said(store, "g", "h", room="porch")
    assert (store.first("lobby"), store.first("attic"), store.first("porch")) == (2, 2, 1), (
        "the attic's entry is evicted"
    )
    await said(store, *["i"] * 20, room="lobby")
    assert store.first("porch") == 5, "the lobby's entries are evicted first"


async def test_refs_count_too() -> None:
    store = await opened(bytes_max=room_for(4, rooms=1))
    assert REF_BYTES > ENTRY_BYTES
    await store.commit([draft("a", ref="r1"), draft("b", ref="r2")], 0)
    assert await texts(store) == ["b"]


async def test_a_room_in_use_survives_the_eviction_of_its_entries() -> None:
    """Its numbers continue, so clients that resume learn which entries are missing."""
    store = await opened("lobby", "attic", bytes_max=room_for(1, rooms=2))
    before = await record(store)
    await said(store, "a")
    await said(store, "b", room="attic")
    assert await record(store) == RoomRecord("Lobby", before.epoch, first=2, head=1, topic="")
    assert [outcome.seq for outcome in await said(store, "c")] == [2]


async def test_a_limit_below_the_rooms_in_use_keeps_no_entries() -> None:
    store = await opened("lobby", "attic", bytes_max=ROOM_BYTES)
    assert [outcome.seq for outcome in await said(store, "a", "b")] == [1, 2]
    assert await texts(store) == []
    assert [outcome.seq for outcome in await said(store, "c")] == [3]


async def test_an_unused_room_is_deleted_with_its_last_entry() -> None:
    store = await opened("lobby", "attic", bytes_max=room_for(2, rooms=2))
    before = await record(store)
    await said(store, "a")
    store.close("lobby")
    await said(store, "b", "c", room="attic")
    after = await store.open("lobby", "LOBBY")
    assert after == RoomRecord("LOBBY", after.epoch, first=1, head=0, topic="")
    assert after.epoch != before.epoch


async def test_a_room_whose_entries_were_evicted_is_deleted_after_its_last_user() -> None:
    store = await opened("lobby", "attic", bytes_max=room_for(1, rooms=2))
    await store.open("lobby", "Lobby")
    before = await record(store)
    await said(store, "a")
    await said(store, "b", room="attic")
    store.close("lobby")
    assert (await record(store)).epoch == before.epoch
    store.close("lobby")
    assert (await record(store)).epoch != before.epoch


async def test_unused_rooms_do_not_accumulate() -> None:
    """A thousand users each send one message in a room of their own, and leave."""
    store = await opened("lobby", bytes_max=room_for(20, rooms=20))
    for number in range(1_000):
        room = f"r{number}"
        await store.open(room, room)
        await said(store, "a", room=room)
        store.close(room)
    assert len(store._filled) <= 20
    assert len(store._rooms) <= 1 + 20, "the lobby is in use"


@pytest.mark.parametrize(
    ("text", "ref", "rooms"),
    [
        ("x" * 60, "r", 100),
        ("Привет, " * 8, "r", 100),
        ("猫と犬が好き" * 10, "r", 100),
        ("hello", "\U0001f44b" * 50, 100),
        ("hello \U0001f44b", "\U0001f44b" * 50, 6_000),
        ("x", "", 6_000),
    ],
    ids=[
        "ascii",
        "cyrillic",
        "chinese",
        "wide refs",
        "wide refs in rooms of one entry",
        "rooms of one entry",
    ],
)
async def test_bounds_are_of_real_memory(text: str, ref: str, rooms: int) -> None:
    """With short texts the payload is the smaller part of the memory."""
    bound = 2_000_000
    tracemalloc.start()
    try:
        store = await opened(bytes_max=bound)
        for number in range(0, 6_000, 50):
            for room in range(0, rooms, 100):
                key = f"r{(number // 60 + room) % rooms}"
                await store.open(key, key)
                many = 50 if rooms == 100 else 1
                drafts = [
                    draft(text, key, ref=ref and f"{ref}{number}-{n}", by=f"{number:064}")
                    for n in range(many)
                ]
                await store.commit(drafts, 1_700_000_000_000)
                store.close(key)
                del drafts
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert store._bytes > bound - 10_000
    assert 0.6 * bound < taken < 1.4 * bound, taken / bound


async def test_rooms_without_entries_cost_nothing_and_evict_nothing() -> None:
    store = await opened(bytes_max=room_for(4, rooms=1))
    await said(store, *"abcd")
    for number in range(1_000):
        await store.open(f"empty {number}", "Empty")
    assert await texts(store) == list("abcd")
    await said(store, "e")
    assert await texts(store) == list("bcde")


async def test_a_commit_touches_only_its_rooms_and_the_evicted_rooms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not touch 500 rooms in use without entries, nor 500 unused rooms."""
    looked: list[str] = []
    forget = _RoomLog.evict

    def counting(self: _RoomLog, entries_max: int, bytes_max: int) -> int:
        looked.append(self.shown)
        return forget(self, entries_max, bytes_max)

    store = await opened(bytes_max=room_for(600, rooms=600))
    for number in range(500):
        await store.open(f"empty {number}", "Empty")
        await store.open(f"quiet {number}", "Quiet")
        await said(store, "a", room=f"quiet {number}")
        store.close(f"quiet {number}")
    monkeypatch.setattr(_RoomLog, "evict", counting)
    await said(store, "a")
    assert looked == ["Lobby"]
    looked.clear()
    await said(store, *["x" * 1_000] * 200)
    assert len(looked) < 200 and set(looked) == {"Lobby", "Quiet"}
    assert store._bytes <= store._bytes_max


async def test_a_topic_counts_while_its_room_has_entries() -> None:
    """One wide character makes each character of a text take four bytes."""
    long = "x" * 4_000 + "\U0001f44b"
    store = await opened("lobby", "attic")
    await store.commit([topic(long)], 0)
    kept = store._rooms["lobby"]
    assert kept.topic_bytes == getsizeof(long) > 16_000
    (payload,) = (await page(store)).payloads
    size = len(payload) + ENTRY_BYTES + FOLD_BYTES
    assert store._bytes == ROOM_BYTES + size + getsizeof(long)
    await store.commit([topic("short"), topic(long)], 0)
    assert kept.topic_bytes == getsizeof(long)
    store._bytes_max = 0
    await store.commit([draft(room="attic")], 0)
    assert store._bytes == 0 and (await record(store)).topic == long
    store._bytes_max = 1 << 20
    await said(store, "a")
    one = len((await page(store)).payloads[0]) + ENTRY_BYTES
    assert store._bytes == ROOM_BYTES + getsizeof(long) + one


# --- waiting ----------------------------------------------------------------------------------------


async def test_synchronous_methods_pass_no_checkpoint() -> None:
    store = await opened()
    with assert_no_checkpoints():
        await store.commit([draft()], 0)
        store.first("lobby")
        store.close("lobby")


async def test_cancellation_leaves_no_partial_commit() -> None:
    store = await opened("attic")
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.open("lobby", "Lobby")
    assert scope.cancelled_caught
    assert list(store._rooms) == ["attic"]
