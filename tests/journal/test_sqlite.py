"""The journal in a file: restarts, errors of the disk, the log, and cancellation."""

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
    """Yield the journal of a test, with its lobby and attic open; stop cleanly at the end of the block."""
    store = await open_sqlite(directory / NAME, durability=durability, boot_id=lambda: boot)
    try:
        for room in ("lobby", "attic"):
            await store.open(room, room.title())
        yield store
    finally:
        await store.aclose()


def kill(store: SqliteStore) -> None:
    """Leave the file as a killed process does: not marked as stopped, and without a lock."""
    store._closed = True
    store._readers.close()
    store._writer._db.close()
    store._claim.close()


async def record(store: SqliteStore, room: str = "lobby") -> RoomRecord:
    known = await store.open(room, room.title())
    store.close(room)
    return known


# --- restarts ---------------------------------------------------------------------------------------


async def test_entries_survive_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([draft("a", ref="r1"), topic("a topic"), draft("b", "attic")], 7)
        before = await record(store)
    async with opened(tmp_path) as store:
        assert await record(store) == before == RoomRecord("Lobby", before.epoch, 1, 2, "a topic")
        assert await texts(store) == ["a", "a topic"]
        assert [outcome.seq for outcome in await said(store, "c")] == [3]


async def test_refs_survive_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([draft("a", ref="r1"), draft("b")], 0)
    async with opened(tmp_path) as store:
        outcomes = await store.commit([draft("c"), draft("a", ref="r1"), draft("b", ref="r1")], 0)
        assert [outcome.seq for outcome in outcomes] == [3, 1, 0]


async def test_time_does_not_decrease_over_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a", now_ms=1_000)
    async with opened(tmp_path) as store:
        await said(store, "b", now_ms=10)
        first, second = (await page(store)).payloads
        assert first.replace(b'"seq":1', b"").replace(b'"a"', b"") == second.replace(b'"seq":2', b"").replace(
            b'"b"', b""
        )


async def test_opening_a_room_writes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        assert db.execute("SELECT count(*) FROM rooms").fetchone() == (0,)


async def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a")
        modes = {name: os.stat(tmp_path / name).st_mode & 0o777 for name in os.listdir(tmp_path)}
    assert modes == dict.fromkeys([NAME, f"{NAME}-mark", f"{NAME}-wal", f"{NAME}-shm"], 0o600)
    assert sorted(os.listdir(tmp_path)) == [NAME, f"{NAME}-mark"], "one file to copy"


@pytest.mark.parametrize("durability", ["normal", "full"])
async def test_durability_sets_sqlites_synchronous_level(tmp_path: Path, durability: Durability) -> None:
    async with opened(tmp_path, durability=durability) as store:
        (level,) = store._writer._db.execute("PRAGMA synchronous").fetchone()
    assert level == {"normal": 1, "full": 2}[durability]


# --- errors of the disk -----------------------------------------------------------------------------


def no_space(store: SqliteStore) -> None:
    (pages,) = store._writer._db.execute("PRAGMA page_count").fetchone()
    store._writer._db.execute(f"PRAGMA max_page_count = {pages}")


def space(store: SqliteStore) -> None:
    store._writer._db.execute("PRAGMA max_page_count = 1000000")


async def test_a_full_disk_is_a_temporary_error(tmp_path: Path) -> None:
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
async def test_a_commit_to_a_replaced_file_is_not_acknowledged(tmp_path: Path, gone: str) -> None:
    """A file that was moved away can still be written, but no later run would read it."""
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
    with path.open("r+b") as file:  # damage all pages but the first, which identifies the file
        file.seek(4_096)
        file.write(os.urandom(len(data) - 4_096))
    with pytest.raises(CannotStart, match="database disk image is malformed"):
        await open_sqlite(path)


async def test_a_gap_in_the_file_is_an_error(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for text in "abc":
            await store.commit([draft(text, ref=text)], 0)
        with closing(sqlite3.connect(tmp_path / NAME)) as db, db:
            db.execute("DELETE FROM batches WHERE first = 2")
        with pytest.raises(StoreError, match="the file is damaged: entry 2 is missing"):
            await texts(store)
        with pytest.raises(StoreError, match="the file is damaged: a ref refers to a missing entry"):
            await store.commit([draft("b", ref="b")], 0)


async def test_a_wrong_statement_raises_as_a_bug(tmp_path: Path) -> None:
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


async def test_a_failed_commit_that_was_made_is_detected(
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


async def test_refs_are_known_before_and_after_they_are_moved(
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
        assert places(store) == [0, 2], "every ref is in one of the two tables"
        await store.commit([draft("4", ref="4")], 0)
        assert places(store) == [4, 1]
        assert list((store._writer._fresh or {}).values()) == [5], "moved refs are not kept in memory"
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
    """A slow reader must not keep the log from being written back between its pages."""
    async with opened(tmp_path) as store:
        await talk(store, 5)
        for cursor in range(20):
            await store.read("lobby", cursor, 100, entries_max=1, bytes_max=1)
            await talk(store, 20)
        assert os.stat(tmp_path / NAME).st_size > 35 << 20
        assert wal_bytes(tmp_path) < 20 << 20


async def test_a_log_held_by_a_reader_is_truncated_afterwards(
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
    """Make writers wait, as for a slow disk."""
    with closing(sqlite3.connect(directory / NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def commit_and_cancel(store: SqliteStore, text: str, ref: str) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.commit, [draft(text, ref=ref)], 0)
            # Wait for its thread: if the journal is closed first, the commit is not made.
            while not store._writer._lock.locked():  # noqa: ASYNC110 - a lock of threads has no event
                await trio.sleep(0.001)
            scope.cancel()
    assert scope.cancelled_caught, "it did not wait for the disk"


async def test_the_next_commit_continues_after_a_cancelled_commit(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a")
        async with held(tmp_path):
            await commit_and_cancel(store, "b", "r1")
            # A room opened now is out of date when its user commits.
            store.close("lobby")
            assert (await store.open("lobby", "Lobby")).head == 1
        # The commit is made, but its caller was cancelled.
        assert await store.commit([draft("b", ref="r1"), draft("c")], 0) == [
            CommitResult(2, None),
            CommitResult(3, (await page(store, after=2)).payloads[0]),
        ]
        assert await texts(store) == ["a", "b", "c"]


async def test_closing_waits_for_a_cancelled_commit(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        async with held(tmp_path):
            await commit_and_cancel(store, "a", "r1")
    async with opened(tmp_path) as store:
        assert await texts(store) == ["a"]


async def test_closing_is_not_cancelled(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / NAME)
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()
    store = await open_sqlite(tmp_path / NAME)  # the lock is free
    await store.aclose()


async def test_closing_has_a_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trio_chat.journal.sqlite.CLOSE_S", 0.01)
    store = await open_sqlite(tmp_path / NAME)
    async with held(tmp_path):
        await store.aclose()
    assert "not closed cleanly: its disk did not finish within" in caplog.text
    await (await reopened(tmp_path)).aclose()


async def reopened(directory: Path) -> SqliteStore:
    """Open the journal again, after the thread that closes it has finished."""
    while True:
        try:
            return await open_sqlite(directory / NAME)
        except CannotStart:
            await trio.sleep(0.001)


async def test_a_failed_close_logs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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


async def test_a_busy_connection_is_closed_after_the_journal(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as store:
        with store._readers._connection() as db:
            store._readers.close()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            db.execute("SELECT 1")
