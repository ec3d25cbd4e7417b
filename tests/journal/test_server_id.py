"""A journal names its server: one id for each file, in every run, whatever version wrote it."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.journal.admin.journals import say
from tests.journal.test_sqlite import NAME, kill, opened
from tests.journal.test_sqlite_start import STORED
from trio_chat.journal import sqlite_file
from trio_chat.journal.admin.backup import backup
from trio_chat.journal.admin.info import info
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.sqlite import open_sqlite


async def id_of(path: Path) -> str:
    """Return the id that a server on this journal would send."""
    store = await open_sqlite(path)
    await store.aclose()
    return store.server_id


async def test_the_id_is_the_same_in_every_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        first = store.server_id
        assert 1 <= len(first) <= 64 and first.replace("-", "").replace("_", "").isalnum()
        await store.open("lobby", "Lobby")
        await store.commit([say("hello")], 0)
        kill(store)
    assert [await id_of(tmp_path / NAME) for _ in range(2)] == [first, first]


async def test_two_journals_have_two_ids(tmp_path: Path) -> None:
    ids = {await id_of(tmp_path / f"{n}.db") for n in range(20)}
    assert len(ids) == 20


async def test_a_deleted_journal_begins_as_another_server(tmp_path: Path) -> None:
    path = tmp_path / NAME
    before = await id_of(path)
    os.unlink(path)
    assert await id_of(path) != before


async def test_a_copy_is_the_same_server(tmp_path: Path) -> None:
    path = tmp_path / NAME
    before = await id_of(path)
    backup(path, tmp_path / "backup.db")
    shutil.copy(path, tmp_path / "copy.db")
    assert await id_of(tmp_path / "backup.db") == before
    assert await id_of(tmp_path / "copy.db") == before


@pytest.mark.parametrize("version", range(1, sqlite_file.VERSION))
async def test_a_journal_of_an_older_version_gets_a_permanent_id(tmp_path: Path, version: int) -> None:
    path = tmp_path / NAME
    path.write_bytes((STORED / f"version-{version}.db").read_bytes())
    assert info(path).server_id == ""
    first = await id_of(path)
    assert first != ""
    assert (await id_of(path), info(path).server_id) == (first, first)


async def test_a_start_that_fails_after_its_commit_keeps_the_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / NAME
    with monkeypatch.context() as broken:
        broken.setattr("trio_chat.journal.claim.RunMarker.begin", _fail)
        with pytest.raises(ZeroDivisionError):
            await open_sqlite(path)
    with closing(sqlite3.connect(path)) as db:
        before = sqlite_file.server_id_of(db)
    assert await id_of(path) == before != "", "an id that was committed stays"


def _fail(*_: object) -> None:
    raise ZeroDivisionError


async def test_a_journal_in_memory_has_no_id() -> None:
    assert MemoryStore().server_id == ""
