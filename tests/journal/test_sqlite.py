"""The journal in a file: what outlives the server, what a disk may do to it, and what cancelling leaves."""

import os
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
import trio

from tests.journal.test_memory import draft, page, said, texts, topic
from trio_chat.errors import CannotStart, StoreError
from trio_chat.journal import sqlite_file, sqlite_writer
from trio_chat.journal.sqlite import Durability, SqliteStore, open_sqlite
from trio_chat.journal.store import CommitResult, RoomRecord

NAME = "journal.db"


@asynccontextmanager
async def opened(
    directory: Path, *, durability: Durability = "normal", boot: str = "first boot"
) -> AsyncGenerator[SqliteStore]:
    """The journal of a test, with its lobby and attic open. Leaving the block stops cleanly."""
    store = await open_sqlite(directory / NAME, durability=durability, boot_id=lambda: boot)
    try:
        for room in ("lobby", "attic"):
            await store.open(room, room.title())
        yield store
    finally:
        await store.aclose()


def kill(store: SqliteStore) -> None:
    """Leave the file as a process does that is killed: nothing is said in it, and the lock is gone."""
    store._closed = True
    store._readers.close()
    store._writer._db.close()
    store._claim.close()


async def record(store: SqliteStore, room: str = "lobby") -> RoomRecord:
    known = await store.open(room, room.title())
    store.close(room)
    return known


# --- what outlives the server -----------------------------------------------------------------------


async def test_what_was_said_is_there_when_the_server_comes_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([draft("a", ref="r1"), topic("a topic"), draft("b", "attic")], 7)
        before = await record(store)
    async with opened(tmp_path) as store:
        assert await record(store) == before == RoomRecord("Lobby", before.epoch, 1, 2, "a topic")
        assert await texts(store) == ["a", "a topic"]
        assert [outcome.seq for outcome in await said(store, "c")] == [3]


async def test_a_ref_is_known_when_the_server_comes_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([draft("a", ref="r1"), draft("b")], 0)
    async with opened(tmp_path) as store:
        outcomes = await store.commit([draft("c"), draft("a", ref="r1"), draft("b", ref="r1")], 0)
        assert [outcome.seq for outcome in outcomes] == [3, 1, 0]


async def test_time_does_not_go_back_over_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a", now_ms=1_000)
    async with opened(tmp_path) as store:
        await said(store, "b", now_ms=10)
        first, second = (await page(store)).payloads
        assert first.replace(b'"seq":1', b"").replace(b'"a"', b"") == second.replace(b'"seq":2', b"").replace(
            b'"b"', b""
        )


async def test_a_room_that_was_only_looked_into_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        assert db.execute("SELECT count(*) FROM rooms").fetchone() == (0,)


async def test_nobody_else_may_read_the_files(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a")
        modes = {name: os.stat(tmp_path / name).st_mode & 0o777 for name in os.listdir(tmp_path)}
    assert modes == dict.fromkeys([NAME, f"{NAME}-mark", f"{NAME}-wal", f"{NAME}-shm"], 0o600)
    assert sorted(os.listdir(tmp_path)) == [NAME, f"{NAME}-mark"], "one file to copy"


@pytest.mark.parametrize("durability", ["normal", "full"])
async def test_durability_is_what_sqlite_is_told(tmp_path: Path, durability: Durability) -> None:
    async with opened(tmp_path, durability=durability) as store:
        (level,) = store._writer._db.execute("PRAGMA synchronous").fetchone()
    assert level == {"normal": 1, "full": 2}[durability]


# --- what a disk may do -----------------------------------------------------------------------------


def no_space(store: SqliteStore) -> None:
    (pages,) = store._writer._db.execute("PRAGMA page_count").fetchone()
    store._writer._db.execute(f"PRAGMA max_page_count = {pages}")


def space(store: SqliteStore) -> None:
    store._writer._db.execute("PRAGMA max_page_count = 1000000")


async def test_a_full_disk_is_an_error_and_passes(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a")
        no_space(store)
        for _ in range(2):
            with pytest.raises(StoreError, match="database or disk is full"):
                await said(store, "x" * 100_000)
        assert await texts(store) == ["a"]
        space(store)
        assert [outcome.seq for outcome in await said(store, "b")] == [2]


async def test_a_file_that_is_read_only_is_an_error(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store._writer._db.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match="readonly database"):
            await said(store, "a")
        store._writer._db.execute("PRAGMA query_only = OFF")
        assert [outcome.seq for outcome in await said(store, "a")] == [1]


@pytest.mark.parametrize("gone", [NAME, f"{NAME}-wal"])
async def test_what_would_be_written_where_nobody_looks_is_not_acked(tmp_path: Path, gone: str) -> None:
    """A file that was moved away still takes what is written; it is no journal of ours any more."""
    async with opened(tmp_path) as store:
        await said(store, "a")
        path = tmp_path / gone
        aside = path.rename(tmp_path / "aside")
        with pytest.raises(StoreError, match="No such file"):
            await said(store, "b")
        path.write_bytes(b"")
        with pytest.raises(StoreError, match="the journal was replaced by another file"):
            await said(store, "b")
        aside.rename(path)
        assert [outcome.seq for outcome in await said(store, "b")] == [2]


async def test_a_damaged_file_is_an_error_not_a_bug(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, *("x" * 1_000 for _ in range(100)))
    path = tmp_path / NAME
    data = path.read_bytes()
    with path.open("r+b") as file:  # in place: all but the first page, which says what it is
        file.seek(4_096)
        file.write(os.urandom(len(data) - 4_096))
    with pytest.raises(CannotStart, match="database disk image is malformed"):
        await open_sqlite(path)


async def test_a_hole_in_the_file_is_told_and_never_shown(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for text in "abc":
            await store.commit([draft(text, ref=text)], 0)
        with closing(sqlite3.connect(tmp_path / NAME)) as db, db:
            db.execute("DELETE FROM batches WHERE first = 2")
        with pytest.raises(StoreError, match="the file is damaged: entry 2 is missing"):
            await texts(store)
        with pytest.raises(StoreError, match="the file is damaged: a ref refers to a missing entry"):
            await store.commit([draft("b", ref="b")], 0)


async def test_a_mistake_in_a_statement_is_a_bug_and_stays_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a")
        with closing(sqlite3.connect(tmp_path / NAME)) as db:
            db.execute("ALTER TABLE batches RENAME TO butches")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await said(store, "a")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await texts(store)
        with closing(sqlite3.connect(tmp_path / NAME)) as db:
            db.execute("ALTER TABLE butches RENAME TO batches")


@contextmanager
def transaction_whose_end_is_not_told(db: sqlite3.Connection) -> Iterator[None]:
    with sqlite_file.transaction(db):
        yield
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    raise error


async def test_a_failed_commit_that_was_made_after_all_is_found_and_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        with monkeypatch.context() as broken, pytest.raises(StoreError, match="disk I/O error"):
            broken.setattr(sqlite_writer, "transaction", transaction_whose_end_is_not_told)
            await store.commit([draft("a", ref="r1"), topic("b"), draft("c", "attic")], 0)
        assert await texts(store) == ["a", "b"], "the caller finds out by reading"
        assert (await store.commit([draft("a", ref="r1")], 0)) == [CommitResult(1, None)]
        assert [outcome.seq for outcome in await said(store, "d")] == [3]
        assert [outcome.seq for outcome in await said(store, "d", room="attic")] == [2]
        assert (await record(store)).topic == "b"


async def test_refs_are_known_before_and_after_they_are_put_in_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "FRESH_MAX", 3)

    def places(store: SqliteStore) -> list[int]:
        counts = "SELECT (SELECT count(*) FROM refs), (SELECT count(*) FROM fresh)"
        return list(store._writer._db.execute(counts).fetchone())

    async def all_are_known(store: SqliteStore, count: int) -> None:
        for number in range(count):
            same, other = draft(f"{number}", ref=f"{number}"), draft("other", ref=f"{number}")
            outcomes = await store.commit(
                [same, other, draft(f"{number}", "attic", ref="of another room")], 0
            )
            assert [outcome.seq for outcome in outcomes[:2]] == [number + 1, 0]

    async with opened(tmp_path) as store:
        await store.commit([draft(f"{number}", ref=f"{number}") for number in (0, 1)], 0)
        await store.commit([draft(f"{number}", ref=f"{number}") for number in (2, 3)], 0)
        assert places(store) == [0, 2]
        no_space(store)
        with pytest.raises(StoreError):
            await store.commit([draft("x" * 100_000, ref="x")], 0)
        space(store)
        assert places(store) == [0, 2], "neither here nor there would be a ref lost"
        await store.commit([draft("4", ref="4")], 0)
        assert places(store) == [4, 1]
        assert list((store._writer._fresh or {}).values()) == [5], "nor kept in memory for ever"
        await all_are_known(store, 5)
        kill(store)
    async with opened(tmp_path) as store:
        await all_are_known(store, 5)


# --- the log ----------------------------------------------------------------------------------------


def wal_bytes(directory: Path) -> int:
    return (directory / f"{NAME}-wal").stat().st_size


async def talk(store: SqliteStore, batches: int) -> None:
    for _ in range(batches):
        await store.commit([draft("x" * 1_000) for _ in range(100)], 0)


async def test_a_reader_between_two_pages_does_not_hold_the_log(tmp_path: Path) -> None:
    """Who reads a page a minute must not make the log grow by all that is said in that minute."""
    async with opened(tmp_path) as store:
        await talk(store, 5)
        for cursor in range(20):
            await store.read("lobby", cursor, 100, entries_max=1, bytes_max=1)
            await talk(store, 20)
        assert os.stat(tmp_path / NAME).st_size > 35 << 20
        assert wal_bytes(tmp_path) < 20 << 20


async def test_a_log_that_a_reader_has_held_is_cut_off_when_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "WAL_BYTES_MAX", 1 << 20)
    monkeypatch.setattr(sqlite_writer, "READERS_WAIT_MS", 0)
    async with opened(tmp_path) as store:
        store._writer._truncate_bytes = 1 << 20
        with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM batches").fetchall()
            await talk(store, 40)
            assert wal_bytes(tmp_path) > 4 << 20
        await talk(store, 10)
        assert wal_bytes(tmp_path) < 2 << 20
        assert len((await page(store, entries_max=10_000)).payloads) == 5_000


# --- cancelling -------------------------------------------------------------------------------------


@asynccontextmanager
async def held(directory: Path) -> AsyncGenerator[None]:
    """Whoever writes has to wait, as for a slow disk."""
    with closing(sqlite3.connect(directory / NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def commit_and_give_up(store: SqliteStore, text: str, ref: str) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.commit, [draft(text, ref=ref)], 0)
            # Its thread may be late: should the journal be closed before it has begun, it is not made.
            while not store._writer._lock.locked():  # noqa: ASYNC110 - a lock of threads has no event
                await trio.sleep(0.001)
            scope.cancel()
    assert scope.cancelled_caught, "it did not wait for the disk"


async def test_a_cancelled_commit_is_made_or_not_and_the_next_goes_on_from_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a")
        async with held(tmp_path):
            await commit_and_give_up(store, "b", "r1")
            # Whoever opens the room now is told what is not true any more when it says something.
            store.close("lobby")
            assert (await store.open("lobby", "Lobby")).head == 1
        # It is made, as it happens, and nobody has heard of it.
        assert await store.commit([draft("b", ref="r1"), draft("c")], 0) == [
            CommitResult(2, None),
            CommitResult(3, (await page(store, after=2)).payloads[0]),
        ]
        assert await texts(store) == ["a", "b", "c"]


async def test_closing_waits_for_a_commit_that_nobody_waits_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        async with held(tmp_path):
            await commit_and_give_up(store, "a", "r1")
    async with opened(tmp_path) as store:
        assert await texts(store) == ["a"]


async def test_closing_is_not_cancelled(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / NAME)
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()
    store = await open_sqlite(tmp_path / NAME)  # the lock is free
    await store.aclose()


async def test_closing_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trio_chat.journal.sqlite.CLOSE_S", 0.01)
    store = await open_sqlite(tmp_path / NAME)
    async with held(tmp_path):
        await store.aclose()
    assert "not closed cleanly: its disk did not finish within" in caplog.text
    await (await reopened(tmp_path)).aclose()


async def reopened(directory: Path) -> SqliteStore:
    """The journal again, once the thread that closes it has come to it."""
    while True:
        try:
            return await open_sqlite(directory / NAME)
        except CannotStart:
            await trio.sleep(0.001)


async def test_a_journal_that_cannot_be_closed_well_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        store._writer._db.execute("PRAGMA query_only = ON")
    assert "not closed cleanly: attempt to write a readonly database" in caplog.text
    async with opened(tmp_path):
        pass  # the lock is free


async def test_a_cancelled_read_leaves_its_thread_to_finish(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, *"abc")
        with trio.move_on_after(0) as scope:
            await texts(store)
        assert scope.cancelled_caught
        assert await texts(store) == ["a", "b", "c"]


async def test_a_connection_that_is_in_use_when_the_journal_is_closed_is_closed_after_it(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as store:
        with store._readers._connection() as db:
            store._readers.close()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            db.execute("SELECT 1")
