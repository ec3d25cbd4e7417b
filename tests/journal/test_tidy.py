"""The background work of a journal in a file: indexing entries, and removing old ones."""

import os
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.journal.test_memory import draft, page, said, texts
from tests.journal.test_sqlite import NAME, held, no_space, opened, record, space, talk, wal_bytes
from trio_chat.errors import StoreError
from trio_chat.journal import sqlite_index, sqlite_retention, sqlite_search, sqlite_writer
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.search import Query
from trio_chat.journal.sqlite import SqliteStore, open_sqlite
from trio_chat.journal.store import Position, RetentionRule, Store
from trio_chat.wire.codec import decode_entry

DAY_MS = 86_400_000


def number(store: SqliteStore, what: str) -> int:
    """Return a number from the file, such as `count(*) FROM refs`."""
    (found,) = store._writer._db.execute(f"SELECT {what}").fetchone()
    return int(found or 0)


async def tidied(store: Store, now_ms: int = 0) -> int:
    """Tidy until nothing is left; return the number of steps."""
    steps = 1
    while await store.tidy(now_ms):
        steps += 1
    return steps


async def found(store: Store, text: str) -> list[int]:
    matches = await store.search({"lobby": 2**53, "attic": 2**53}, text, None, 10_000)
    assert matches.rest is None
    return [hit.position.seq for hit in matches.hits]


# --- the index --------------------------------------------------------------------------------------


async def test_entries_too_few_for_a_chunk_are_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a needle", *("hay" for _ in range(20)))
        assert store.backlog == 21
        await tidied(store)
        assert (store.backlog, number(store, "count(*) FROM chunks")) == (21, 0)
        assert await found(store, "needle") == [1]
        await said(store, *("more hay" for _ in range(200)))
        await tidied(store)
        assert store.backlog < 60
        assert number(store, "count(*) FROM chunks") == 1
        assert await found(store, "needle") == [1]


async def test_only_chunks_that_the_index_returns_are_read(tmp_path: Path) -> None:
    """Chunks without the text are not read, so they could be missing."""
    async with opened(tmp_path) as store:
        for n in range(40):
            await said(store, *(f"hay {n}" for _ in range(50)), *["a needle"] * (n == 30))
        await tidied(store)
        store._writer._db.execute("UPDATE rooms SET indexed = head")
        (chunk,) = store._writer._db.execute(
            "SELECT count(*) FROM words WHERE words MATCH ?", ('"nee" "edl"',)
        ).fetchone()
        assert chunk == 1 < number(store, "count(*) FROM chunks")
        first, last = store._writer._db.execute(
            "SELECT first, last FROM chunks JOIN words ON words.rowid = id WHERE words MATCH 'nee'"
        ).fetchone()
        store._writer._db.execute("DELETE FROM batches WHERE last < ? OR first > ?", (first, last))
        assert await found(store, "needle") == [1_551]


async def test_chunks_of_other_rooms_are_not_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for room in ("attic", "lobby"):
            await said(store, *("the same everywhere" for _ in range(200)), room=room)
        await tidied(store)
        db = store._writer._db
        named: list[int] = []
        for room_id in (1, 2, 3):
            match = sqlite_index.expression(room_id, Query("everywhere"))
            chunks = [id for (id,) in db.execute("SELECT rowid FROM words WHERE words MATCH ?", (match,))]
            assert {number(store, f"room FROM chunks WHERE id = {id}") for id in chunks} <= {room_id}
            named += chunks
        assert len(named) == number(store, "count(*) FROM chunks") > 1


async def test_entries_newer_than_a_page_are_not_read(tmp_path: Path) -> None:
    """In the hundredth page of a search in many rooms each room's part begins where it should."""
    async with opened(tmp_path) as store:
        for at in range(100, 120):
            await said(store, *("hay" for _ in range(50)), now_ms=at)
        await tidied(store)
        for at in range(120, 140):
            await said(store, "hay", "more hay", now_ms=at)
        db = store._writer._db
        (indexed, head) = db.execute("SELECT indexed, head FROM rooms").fetchone()
        assert 800 < indexed <= 1_000 and head == 1_040

        def reaches(below: Position | None) -> int:
            return sqlite_search._Room(db, "lobby", 2**53, below)._through

        assert reaches(None) == head
        assert reaches(Position(105, "lobby", 40)) == 39
        for at in range(120, 140):
            assert reaches(Position(at, "attic", 5)) == 1_000 + 2 * (at - 119)
            assert reaches(Position(at, "porch", 5)) == 1_000 + 2 * (at - 120)
        for at in range(100, 118):
            entries = 50 * (at - 99)
            assert entries <= reaches(Position(at, "attic", 5)) < entries + 500, "to the end of its chunk"


def test_each_room_has_its_own_mark() -> None:
    rooms = [0, 1, 2, 65_533, 65_534, 65_535, 2**32, 2**40]
    marks = {sqlite_index.room_mark(room) for room in rooms}
    assert len(marks) == len(rooms)
    assert {len(mark) for mark in marks} == {3}


async def test_an_index_step_is_bounded(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for _ in range(20):
            await said(store, *("hay " * 100 for _ in range(100)))
        indexed = [0]
        while await store.tidy(0):
            indexed.append(number(store, "sum(indexed) FROM rooms"))
        sizes = [after - before for before, after in pairwise(indexed)]
        assert sum(sizes) > 1_900
        assert max(sizes) * 450 < sqlite_index.STEP_BYTES + 2 * sqlite_index.CHUNK_BYTES_MAX


async def test_indexing_an_older_file_continues_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for n in range(30):
            await said(store, *(f"hay {n}" for _ in range(50)))
    async with opened(tmp_path) as store:
        while not number(store, "sum(indexed) FROM rooms"):
            assert await store.tidy(0)
        indexed = number(store, "sum(indexed) FROM rooms")
        assert indexed < 1_400
        assert store.backlog == 1_500 - indexed
    async with opened(tmp_path) as store:
        await tidied(store)
        chunks = store._writer._db.execute("SELECT first, last FROM chunks ORDER BY first").fetchall()
        assert chunks[0][0] == 1
        assert [first for first, _ in chunks[1:]] == [last + 1 for _, last in chunks[:-1]]
        assert len(await found(store, "hay 29")) == 50


async def test_the_index_is_merged_in_separate_steps(tmp_path: Path) -> None:
    """By itself FTS5 would do it within the steps, some of which took ten times as long as others."""
    async with opened(tmp_path) as store:
        for n in range(80):
            await said(store, *(f"hay {n} {m} " * 20 for m in range(50)))
        await tidied(store)
        # As FTS5 numbers its pages: the segment stands above the lower 37 bits.
        segments = number(store, "count(DISTINCT id >> 37) FROM words_data WHERE id >= 1 << 37")
        assert 0 < segments < 12 < number(store, "count(*) FROM chunks") / 2
        settings = dict(store._writer._db.execute("SELECT k, v FROM words_config"))
        assert (settings["automerge"], settings["crisismerge"]) == (0, 1_000)


async def test_a_commit_waits_for_at_most_one_step(tmp_path: Path) -> None:
    """A commit waits only for the running step, however much work is left."""
    async with opened(tmp_path) as store:
        for _ in range(30):
            await said(store, *("hay" for _ in range(100)))
        events: list[str] = []

        async def keep_tidying() -> None:
            while await store.tidy(0):
                events.append("step")

        async def speak() -> None:
            await said(store, "at last")
            events.append("said")

        async with trio.open_nursery() as nursery:
            async with held(tmp_path):
                nursery.start_soon(keep_tidying)
                await wait_all_tasks_blocked()
                nursery.start_soon(speak)
                await wait_all_tasks_blocked()
        assert events.index("said") <= 1
        assert len(events) > 4


async def test_a_disk_that_is_full_fails_the_step_and_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(
            store, *("".join(map(chr, range(n, n + 500))) + "needle" for n in range(0x4E00, 0x5000, 5))
        )
        no_space(store)
        with pytest.raises(StoreError, match="database or disk is full"):
            await tidied(store)
        assert len(await found(store, "needle")) == 103
        space(store)
        await tidied(store)
        assert number(store, "count(*) FROM chunks") > 0
        assert store.backlog == number(store, "sum(head - indexed) FROM rooms") < 20, "nothing is passed over"
        assert len(await found(store, "needle")) == 103
        assert [outcome.seq for outcome in await said(store, "on")] == [104]


async def test_a_cancelled_step_is_made_or_not(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, *("some hay" for _ in range(200)))
        async with held(tmp_path):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(store.tidy, 0)
                    await wait_all_tasks_blocked()
                    scope.cancel()
            assert scope.cancelled_caught
        await tidied(store)
        assert len(await found(store, "hay")) == 200


async def test_the_log_is_truncated_by_a_step_as_by_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "WAL_BYTES_MAX", 1 << 20)
    monkeypatch.setattr(sqlite_writer, "READERS_WAIT_MS", 0)
    async with opened(tmp_path) as store:
        with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM batches").fetchall()
            await talk(store, 40)
        assert wal_bytes(tmp_path) > 4 << 20
        store._writer._truncate_bytes = 1 << 20
        await store.tidy(0)
        assert wal_bytes(tmp_path) == 0


# --- forgetting -------------------------------------------------------------------------------------


async def keeping(directory: Path, **keep: int) -> SqliteStore:
    store = await open_sqlite(directory / NAME, keep=RetentionRule(**keep))
    for room in ("lobby", "attic"):
        await store.open(room, room.title())
    return store


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (RetentionRule(), "forever"),
        (RetentionRule(90 * DAY_MS), "90 days"),
        (RetentionRule(DAY_MS), "1 day"),
        (RetentionRule(36 * DAY_MS // 24), "36 hours"),
        (RetentionRule(0, 10_000), "at most 10,000 entries a room"),
        (RetentionRule(7 * DAY_MS, 1), "7 days, at most 1 entry a room"),
        (RetentionRule(5_000), "5 seconds"),
    ],
)
def test_a_retention_rule_has_a_text(keep: RetentionRule, words: str) -> None:
    assert keep.text == words


async def test_old_and_surplus_entries_are_removed(tmp_path: Path) -> None:
    store = await keeping(tmp_path, age_ms=DAY_MS, entries=3)
    for day, room, what in (
        (0, "lobby", "abc"),
        (0, "attic", "xyz"),
        (1, "attic", "vw"),
        (2, "lobby", "defgh"),
    ):
        await said(store, *what, room=room, now_ms=day * DAY_MS)
    await tidied(store, DAY_MS)
    assert (store.first("lobby"), store.first("attic")) == (6, 3), "a day old is not yet too old"
    await tidied(store, 2 * DAY_MS + 1)
    assert (store.first("lobby"), store.first("attic")) == (6, 6)
    assert await texts(store) == ["f", "g", "h"]
    assert (await page(store)).first == 6
    assert [outcome.seq for outcome in await said(store, "s", room="attic")] == [6], "no number comes twice"
    await store.aclose()


async def test_a_partly_removed_chunk_keeps_its_text(tmp_path: Path) -> None:
    store = await keeping(tmp_path, entries=100)
    for n in range(60):
        await said(store, *(f"hay {n} {m}" for m in range(10)))
        if not n:
            await tidied(store)
    await tidied(store)
    await tidied(store, sqlite_retention.EVERY_MS)
    assert store.first("lobby") == 501
    first, last = store._writer._db.execute(
        "SELECT first, last FROM chunks ORDER BY first LIMIT 1"
    ).fetchone()
    assert first < 501 <= last
    lines = sqlite_index.lines_between(store._writer._db, 1, first, last)
    assert len(lines) == last + 1 - first, "removing a chunk needs its entries"
    assert await found(store, "hay 49 9") == []
    assert await found(store, "hay 50 0") == [501]
    await store.aclose()


async def test_a_room_without_kept_entries_continues_its_numbers(tmp_path: Path) -> None:
    store = await keeping(tmp_path, age_ms=DAY_MS)
    await store.commit([draft("a", ref="r"), draft("b")], 0)
    before = await record(store)
    await tidied(store, 2 * DAY_MS)
    after = await record(store)
    assert (after.first, after.head, after.epoch) == (3, 2, before.epoch)
    await store.aclose()
    store = await keeping(tmp_path, age_ms=DAY_MS)
    assert await record(store) == after
    outcomes = await store.commit([draft("a", ref="r")], 3 * DAY_MS)
    assert [outcome.seq for outcome in outcomes] == [3], "the ref went with its entry"
    assert await texts(store) == ["a"]
    await store.aclose()


async def test_a_room_opened_during_removal_is_read_again(tmp_path: Path) -> None:
    store = await keeping(tmp_path, entries=1)
    await store.commit([draft("a", ref="r"), draft("b"), draft("c")], 0)
    stale = await record(store)
    await tidied(store)
    for room, first in (("lobby", stale.first), ("attic", 1)):  # as one that was read before that step
        store.close(room)
        await store.open(room, room.title())
        store._rooms[room].first = first
    outcomes = await store.commit([draft("a", ref="r")], 0)
    assert [outcome.seq for outcome in outcomes] == [4]
    assert store.first("lobby") == 3
    await store.aclose()


async def test_only_refs_of_removed_entries_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "FRESH_MAX", 1)
    monkeypatch.setattr(sqlite_retention, "STALE_REFS_MIN", 2)
    store = await keeping(tmp_path, entries=2)
    for ref in "dcbaz":
        await store.commit([draft(ref, ref=ref)], 0)
    assert number(store, "count(*) FROM refs") == 4
    await tidied(store)
    assert number(store, "count(*) FROM refs") == 1
    again = await store.commit([draft(ref, ref=ref) for ref in "zadc"], 0)
    assert [outcome.seq for outcome in again] == [5, 4, 6, 7]
    await store.aclose()


async def test_removed_entries_leave_nothing_and_their_space_is_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "FRESH_MAX", 100)
    store = await keeping(tmp_path, age_ms=DAY_MS)
    sizes = []
    for day in range(0, 12, 2):
        for n in range(30):
            await store.commit(
                [draft(f"{day} {n} {m} " * 9, ref=f"{day} {n} {m}") for m in range(60)], day * DAY_MS
            )
            await store.tidy(day * DAY_MS)
        await tidied(store, (day + 1) * DAY_MS + 1)
        store._writer._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sizes.append(os.stat(tmp_path / NAME).st_size)
        assert number(store, "count(*) FROM batches") == 0
        assert number(store, "count(*) FROM chunks") == 0
        assert number(store, "count(*) FROM words WHERE words MATCH ' \"0 1\" '") == 0
        assert number(store, "count(*) FROM refs") < 200, "and those that came to their places since"
    assert max(sizes[3:]) < 1.2 * max(sizes[:3])
    await store.aclose()


async def test_a_retention_step_is_bounded(tmp_path: Path) -> None:
    store = await keeping(tmp_path, age_ms=DAY_MS)
    for n in range(100):
        await said(store, *(f"hay {n} " * 9 for _ in range(30)))
    await tidied(store)
    kept, batches = [1], [number(store, "count(*) FROM batches")]
    while await store.tidy(2 * DAY_MS):
        kept.append(store.first("lobby"))
        batches.append(number(store, "count(*) FROM batches"))
    assert kept[-1] == 3_001 and batches[-1] == 0
    assert max(b - a for a, b in pairwise(kept)) < 1_000
    assert max(a - b for a, b in pairwise(batches)) <= sqlite_retention.BATCHES_AT_ONCE
    await store.aclose()


async def test_rooms_are_checked_once_a_minute(tmp_path: Path) -> None:
    store = await keeping(tmp_path, entries=1)
    await tidied(store, 0)
    await said(store, "a", "b")
    await tidied(store, sqlite_retention.EVERY_MS - 1)
    assert store.first("lobby") == 1
    await tidied(store, sqlite_retention.EVERY_MS)
    assert store.first("lobby") == 2
    await store.aclose()


async def test_a_server_without_limits_finishes_an_earlier_removal(tmp_path: Path) -> None:
    store = await keeping(tmp_path, entries=1)
    for n in range(300):
        await said(store, f"{n}")
    while store.first("lobby") == 1:
        await store.tidy(0)
    await store.aclose()
    async with opened(tmp_path) as store:
        assert store.first("lobby") == 300
        await tidied(store)
        assert number(store, "count(*) FROM batches") == 1
        await said(store, *"abc")
        await tidied(store, 10 * sqlite_retention.EVERY_MS)
        assert len(await texts(store)) == 4
        assert await tidied(store, 20 * sqlite_retention.EVERY_MS) == 1, "rooms are not looked at again"


async def test_old_entries_are_removed_in_memory_too() -> None:
    store = MemoryStore(keep=RetentionRule(DAY_MS, 3))
    for room in ("lobby", "attic"):
        await store.open(room, room)
    assert store.tidies and store.kept == "memory"
    await said(store, *"abcde")
    assert await texts(store) == ["c", "d", "e"]
    await said(store, "f", now_ms=DAY_MS)
    await said(store, "x", room="attic")
    store.close("attic")
    await tidied(store, DAY_MS + 1)
    assert await texts(store) == ["f"]
    assert not MemoryStore().tidies
    with assert_checkpoints():
        assert (await store.open("attic", "attic")).first == 1, "it had no users, so it is new"


# --- a time that goes back --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_rooms_are_checked_again_when_the_time_goes_back(kind: str, tmp_path: Path) -> None:
    """Retention of a server whose clock was ten years ahead must not pause for ten years."""
    keep = RetentionRule(DAY_MS)
    store: Store = (
        MemoryStore(keep=keep) if kind == "memory" else await open_sqlite(tmp_path / NAME, keep=keep)
    )
    await store.open("lobby", "Lobby")
    await tidied(store, 3_650 * DAY_MS)
    await said(store, "a")
    await tidied(store, DAY_MS)
    assert store.first("lobby") == 1
    await tidied(store, DAY_MS + sqlite_retention.EVERY_MS)
    assert store.first("lobby") == 2
    await store.aclose()


# --- both --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_searching_and_tidying_pass_checkpoints(kind: str, tmp_path: Path) -> None:
    store: Store = MemoryStore() if kind == "memory" else await open_sqlite(tmp_path / NAME)
    await store.open("lobby", "Lobby")
    with assert_checkpoints():
        assert (await store.search({"lobby": 9}, "a", None, 9)).hits == []
    with assert_checkpoints():
        assert not await store.tidy(0)
    await said(store, "Salz", "pepper")
    (hit,) = (await store.search({"lobby": 9}, "SALZ", None, 9)).hits
    assert decode_entry(hit.payload).text == "Salz"
    await store.aclose()
