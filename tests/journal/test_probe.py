"""`Store.probe`: it fails while a commit would, changes nothing, and leaves nothing behind."""

import os
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from trio_chat.errors import StoreError
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.sqlite import SqliteStore, open_sqlite
from trio_chat.journal.sqlite_writer import PROBE_BYTES
from trio_chat.journal.store import Draft

NAME = "journal.db"
LOCKS = Path("/proc/locks")


@asynccontextmanager
async def opened(directory: Path) -> AsyncGenerator[SqliteStore]:
    store = await open_sqlite(directory / NAME)
    try:
        await store.open("lobby", "Lobby")
        await store.commit([Draft("lobby", "Lobby", "ada", "one")], 1)
        yield store
    finally:
        await store.aclose()


def wal_bytes(directory: Path) -> int:
    return os.stat(directory / f"{NAME}-wal").st_size


async def test_a_probe_writes_a_page_and_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        before = wal_bytes(tmp_path)
        await store.probe()
        assert 0 < wal_bytes(tmp_path) - before < PROBE_BYTES, (
            "one page is written, and the allocated space is released"
        )
        (outcome,) = await store.commit([Draft("lobby", "Lobby", "ada", "two")], 2)
        assert outcome.seq == 2
    async with opened(tmp_path) as store:
        page = await store.read("lobby", 0, 9, entries_max=9, bytes_max=9_999)
        assert len(page.payloads) == 3


async def test_a_probe_fails_on_a_full_disk_even_if_one_page_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, start: int, length: int) -> None:
        assert (start, length) == (wal_bytes(tmp_path), PROBE_BYTES)
        os.ftruncate(file, start + 4_096)  # some space was available
        raise OSError(28, os.strerror(28))

    async with opened(tmp_path) as store:
        before = wal_bytes(tmp_path)
        with monkeypatch.context() as context:
            context.setattr(os, "posix_fallocate", full)
            with pytest.raises(StoreError, match="No space left on device"):
                await store.probe()
        assert wal_bytes(tmp_path) == before
        await store.probe()


async def test_a_probe_fails_if_sqlite_cannot_write(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store._writer._db.execute("PRAGMA query_only = 1")
        with pytest.raises(StoreError):
            await store.probe()
        store._writer._db.execute("PRAGMA query_only = 0")
        await store.probe()


async def test_a_probe_fails_if_the_file_was_replaced(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        os.rename(tmp_path / NAME, tmp_path / "elsewhere.db")
        (tmp_path / NAME).touch()
        with pytest.raises(StoreError, match="the journal was replaced by another file"):
            await store.probe()
        os.rename(tmp_path / "elsewhere.db", tmp_path / NAME)
        await store.probe()


async def test_a_probe_that_is_cancelled_leaves_its_thread_to_finish(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with store._writer._lock, trio.move_on_after(0.01) as scope:
            await store.probe()
        assert scope.cancelled_caught
        assert (await store.commit([Draft("lobby", "Lobby", "ada", "two")], 2))[0].seq == 2


async def test_a_probe_of_the_memory_store_does_nothing() -> None:
    with trio.testing.assert_checkpoints():
        await MemoryStore().probe()


@pytest.mark.skipif(not LOCKS.exists(), reason="this system does not list its locks")
def test_sqlite_keeps_no_lock_on_its_log(tmp_path: Path) -> None:
    """Otherwise closing a descriptor of the log would release that lock."""
    with sqlite3.connect(tmp_path / NAME, isolation_level=None) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE a (b)")
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO a VALUES (1)")
        locked = LOCKS.read_text()
        assert f":{(tmp_path / f'{NAME}-shm').stat().st_ino} " in locked
        assert f":{(tmp_path / f'{NAME}-wal').stat().st_ino} " not in locked
    db.close()
