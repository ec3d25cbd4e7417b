"""The contract of `Store`, tested on the journal in memory and on the journal in a file."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trio
from trio.testing import assert_checkpoints, assert_no_checkpoints

from tests.journal.test_memory import draft, numbered, page, said, texts, topic
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.store import CommitResult, Draft, EntryPage, RoomRecord, RoomTimes, Store
from trio_chat.wire.codec import decode_entry, encode
from trio_chat.wire.messages import Said

ROOMS = ("lobby", "attic")


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Yield a new store of either kind, with the lobby and the attic open."""
    store: Store
    if request.param == "memory":
        store = MemoryStore(random_bytes=numbered())
    else:
        store = await open_sqlite(tmp_path / "journal.db", random_bytes=numbered())
    for room in ROOMS:
        await store.open(room, room.title())
    yield store
    await store.aclose()


async def record(store: Store, room: str = "lobby") -> RoomRecord:
    """Return the store's record of a room that has no other users."""
    if room in ROOMS:
        store.close(room)
    return await store.open(room, room.title())


async def test_entries_are_numbered_from_one_in_each_room(store: Store) -> None:
    outcomes = await store.commit([draft("a"), draft("b", "attic"), draft("c")], 5)
    assert outcomes == [
        CommitResult(1, encode(Said("Lobby", 1, 5, "ada", "a"))),
        CommitResult(1, encode(Said("Attic", 1, 5, "ada", "b"))),
        CommitResult(2, encode(Said("Lobby", 2, 5, "ada", "c"))),
    ]
    assert [outcome.seq for outcome in await said(store, "d", "e")] == [3, 4]
    assert await texts(store) == ["a", "c", "d", "e"]


async def test_an_empty_batch_is_nothing(store: Store) -> None:
    assert await store.commit([], 5) == []
    assert await texts(store) == []


async def test_time_never_decreases_within_a_room(store: Store) -> None:
    await said(store, "a", now_ms=1_000)
    await said(store, "b", now_ms=900)
    await said(store, "c", room="attic", now_ms=900)
    await said(store, "d", now_ms=1_001)
    entries = [decode_entry(payload) for payload in (await page(store)).payloads]
    assert [entry.at for entry in entries] == [1_000, 1_000, 1_001]
    await record(store)
    await said(store, "e", now_ms=1_000)
    assert decode_entry((await page(store, after=3)).payloads[0]).at == 1_001, (
        "also after the room was closed"
    )


async def test_a_new_room_has_an_epoch_and_nothing_in_it(store: Store) -> None:
    one = await store.open("porch", "PORCH")
    assert one == RoomRecord("PORCH", one.epoch, first=1, head=0, topic="")
    assert await store.open("porch", "porch") == one, "its name is as its first user wrote it"
    assert (await store.open("cellar", "cellar")).epoch != one.epoch
    assert await page(store) == EntryPage(1, [])


async def test_the_state_of_a_room_outlives_its_users(store: Store) -> None:
    before = await record(store)
    await store.commit([topic("first"), topic("second"), draft("a")], 0)
    assert await record(store) == RoomRecord("Lobby", before.epoch, first=1, head=3, topic="second")
    assert store.first("lobby") == 1


async def test_a_room_without_entries_is_deleted_after_its_last_user(store: Store) -> None:
    before = await record(store)
    await store.open("lobby", "Lobby")
    store.close("lobby")
    assert await store.open("lobby", "Lobby") == before, "one user is left"
    store.close("lobby")
    store.close("lobby")
    after = await store.open("lobby", "LOBBY")
    assert after == RoomRecord("LOBBY", after.epoch, first=1, head=0, topic="")
    assert after.epoch != before.epoch


async def test_concurrent_opens_of_a_room_get_the_same_epoch(store: Store) -> None:
    records: list[RoomRecord] = []

    async def enter() -> None:
        records.append(await store.open("porch", "Porch"))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(enter)
    assert len({record.epoch for record in records}) == 1
    for _ in range(5):
        store.close("porch")
    with pytest.raises(KeyError):
        store.first("porch")


@pytest.mark.parametrize(
    "text", ["two\nlines", "\ttab", 'a "quote" and \\', "\u2028 \x85 ünï 👋", "x" * 4_096]
)
async def test_a_text_is_kept_as_it_is(store: Store, text: str) -> None:
    await said(store, "before", text, "after")
    assert await texts(store) == ["before", text, "after"]


# --- refs -------------------------------------------------------------------------------------------


async def test_a_known_ref_gives_the_number_it_has(store: Store) -> None:
    await store.commit([draft("a", ref="r1"), draft("b", ref="r2")], 0)
    assert await store.commit([draft("b", ref="r2"), draft("a", ref="r1")], 9) == [
        CommitResult(2, None),
        CommitResult(1, None),
    ]
    assert await texts(store) == ["a", "b"]


async def test_a_known_ref_among_new_ones_leaves_no_hole(store: Store) -> None:
    await store.commit([draft("a", ref="r1"), draft("porch", "attic", ref="r1")], 0)
    drafts = [
        draft("b", ref="r2"),
        draft("a", ref="r1"),
        draft("c"),
        draft("b", ref="r2"),
        draft("other", "attic", ref="r1"),
    ]
    outcomes = await store.commit(drafts, 9)
    assert [outcome.seq for outcome in outcomes] == [2, 1, 3, 2, 0]
    assert [outcome.payload is None for outcome in outcomes] == [False, True, False, True, True]
    assert await texts(store) == ["a", "b", "c"]
    assert await store.commit([draft("b", ref="r2")], 9) == [CommitResult(2, None)]


async def test_a_known_ref_with_other_content_is_number_zero(store: Store) -> None:
    await store.commit([draft("a", ref="r1")], 0)
    same_ref = Draft("lobby", "Lobby", "ada", "a", "r1", "ada r1", action=True)
    assert await store.commit([draft("b", ref="r1"), same_ref], 0) == [CommitResult(0, None)] * 2
    assert await texts(store) == ["a"]


async def test_a_ref_is_known_within_one_batch(store: Store) -> None:
    outcomes = await store.commit([draft("a", ref="r1"), draft("a", ref="r1"), draft("b", ref="r1")], 0)
    assert [outcome.seq for outcome in outcomes] == [1, 1, 0]
    assert outcomes[1].payload is None


async def test_a_ref_is_of_one_author_in_one_room(store: Store) -> None:
    drafts = [draft("a", ref="r"), draft("b", ref="r", by="bob"), draft("c", "attic", ref="r")]
    outcomes = await store.commit(drafts, 0)
    assert [outcome.seq for outcome in outcomes] == [1, 2, 1]


async def test_the_same_text_without_a_ref_is_a_new_entry(store: Store) -> None:
    assert [outcome.seq for outcome in await said(store, "a", "a")] == [1, 2]


# --- reading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batches", [["abcdefgh"], list("abcdefgh"), ["ab", "cdef", "gh"]])
async def test_a_page_is_the_oldest_between_two_numbers(store: Store, batches: list[str]) -> None:
    for batch in batches:
        await said(store, *batch)
    await said(store, "of the attic", room="attic")
    assert await texts(store, after=2) == list("cdefgh")
    assert await texts(store, after=2, through=5) == list("cde")
    assert await texts(store, after=2, through=7, entries_max=3) == list("cde")
    assert await texts(store, entries_max=1) == ["a"]
    assert (await page(store, after=2)).first == 3
    assert await page(store, after=8) == EntryPage(9, [])
    assert await page(store, after=100) == EntryPage(101, [])
    assert await page(store, after=5, through=5) == EntryPage(6, [])
    assert await page(store, after=5, through=2) == EntryPage(6, [])


@pytest.mark.parametrize("batches", [["abc"], ["a", "b", "c"]])
async def test_a_page_keeps_to_its_bytes_but_holds_at_least_one(store: Store, batches: list[str]) -> None:
    for batch in batches:
        await said(store, *batch)
    size = len((await page(store)).payloads[0])
    for bytes_max, whole in ((0, 1), (1, 1), (size, 1), (2 * size - 1, 1), (2 * size, 2), (3 * size, 3)):
        assert len((await page(store, bytes_max=bytes_max)).payloads) == whole


# --- waiting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.open("porch", "Porch"),
        lambda store: store.open("lobby", "Lobby"),
        lambda store: store.read("lobby", 0, 9, entries_max=9, bytes_max=9),
        lambda store: store.aclose(),
    ],
    ids=["open", "open again", "read", "aclose"],
)
async def test_async_methods_pass_a_checkpoint(
    store: Store, call: Callable[[Store], Awaitable[object]]
) -> None:
    with assert_checkpoints():
        await call(store)


async def test_the_newest_times_of_rooms_are_reported(store: Store) -> None:
    with assert_checkpoints():
        assert await store.room_times(0, 5) == RoomTimes(0, [], 0)
    for at_ms, room in ((5_000, "attic"), (3_000, "lobby")):
        await store.commit([draft("a", room)], at_ms)
    with assert_checkpoints():
        assert await store.room_times(2_999, 5) == RoomTimes(5_000, ["Attic", "Lobby"], 2)
    assert await store.room_times(2_999, 1) == RoomTimes(5_000, ["Attic"], 2)
    assert await store.room_times(3_000, 5) == RoomTimes(5_000, ["Attic"], 1)
    assert await store.room_times(5_000, 5) == RoomTimes(5_000, [], 0)


async def test_synchronous_methods_pass_no_checkpoint(store: Store) -> None:
    with assert_no_checkpoints():
        store.first("lobby")
        store.close("lobby")


async def test_closing_twice_is_harmless(store: Store) -> None:
    await store.aclose()
    with assert_checkpoints():
        await store.aclose()


async def test_a_room_whose_opening_was_cancelled_is_not_open(store: Store) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.open("porch", "Porch")
    assert scope.cancelled_caught
    with pytest.raises(KeyError):
        store.first("porch")


async def test_a_commit_of_a_room_that_is_not_open_is_a_bug(store: Store) -> None:
    with pytest.raises(KeyError):
        await store.commit([draft("a", "porch")], 0)
