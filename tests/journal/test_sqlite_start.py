"""The files that a server accepts as its journal; others are refused with one line and not changed."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.journal.test_memory import draft, said, texts
from tests.journal.test_sqlite import NAME, opened, record
from trio_chat.errors import CannotStart
from trio_chat.journal import sqlite_file
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.wire.codec import decode_entry

STORED = Path(__file__).parent / "stored"


async def refused(path: Path) -> str:
    with pytest.raises(CannotStart) as refusal:
        await open_sqlite(path)
    assert "\n" not in str(refusal.value) and refusal.value.exit_status == 2
    return str(refusal.value)


async def test_a_journal_in_use_is_refused_under_every_name(tmp_path: Path) -> None:
    path = tmp_path / NAME
    (tmp_path / "link").symlink_to(path)
    async with opened(tmp_path) as store:
        for name in (path, tmp_path / "link", tmp_path / "x" / ".." / NAME):
            assert await refused(name) == f"a server is using the journal {path}; stop it first"
        assert await said(store, "a"), "and the one that has it notices nothing"
    async with opened(tmp_path) as store:
        assert await texts(store) == ["a"]


@pytest.mark.parametrize(
    "content", [b"dear diary", b"x" * 10_000, b"SQLite format 3\0" + b"\1" * 5_000], ids=len
)
async def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    assert await refused(path) == f"cannot use {path}: it is not a trio-chat journal"
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == [NAME], "no mark, no log"


async def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / NAME
    for statement in ("CREATE TABLE cookies (name)", "PRAGMA user_version = 1", "PRAGMA application_id = 5"):
        with closing(sqlite3.connect(path)) as db:
            db.execute(statement)
        before = path.read_bytes()
        assert await refused(path) == f"cannot use {path}: it is not a trio-chat journal"
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == [NAME]


async def test_a_newer_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / NAME
    async with opened(tmp_path) as store:
        await said(store, "a")
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {sqlite_file.VERSION + 1}")
    before = path.read_bytes()
    assert await refused(path) == (
        f"cannot use {path}: its journal version is {sqlite_file.VERSION + 1},"
        f" this trio-chat reads up to {sqlite_file.VERSION}; install a newer trio-chat"
    )
    assert path.read_bytes() == before


async def test_an_impossible_path_is_reported(tmp_path: Path) -> None:
    assert "cannot keep a journal in" in await refused(tmp_path)
    missing = tmp_path / "nowhere" / NAME
    assert await refused(missing) == f"cannot keep a journal in {missing}: No such file or directory"


async def test_an_empty_file_is_a_new_journal(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"")
    async with opened(tmp_path) as store:
        assert [outcome.seq for outcome in await said(store, "a")] == [1]


async def test_a_name_with_odd_characters_is_a_name(tmp_path: Path) -> None:
    directory = tmp_path / "100% mine? #1 ünï"
    directory.mkdir()
    async with opened(directory) as store:
        await said(store, "a")
    assert (directory / NAME).exists()


@pytest.mark.parametrize("version", range(1, sqlite_file.VERSION + 1))
async def test_a_journal_of_every_version_so_far_is_opened(tmp_path: Path, version: int) -> None:
    """The files were made by `stored/make.py` when the version was the newest."""
    (tmp_path / NAME).write_bytes((STORED / f"version-{version}.db").read_bytes())
    async with opened(tmp_path) as store:
        known = await record(store)
        assert (known.shown, known.head, known.topic) == ("Lobby", 4, "a topic")
        assert await texts(store) == ["hello", "waves", "a topic", "again"]
        assert (await record(store, "attic")).head == 1
        outcomes = await store.commit([draft("hello", ref="r1"), draft("more")], 0)
        assert [outcome.seq for outcome in outcomes] == [1, 5]
        (now,) = store._writer._db.execute("PRAGMA user_version").fetchone()
        assert now == sqlite_file.VERSION
        while await store.tidy(0):
            pass
        found = await store.search({"lobby": 9, "cellar": 9_999}, "WAVE", None, 10)
        expected = ["waves"] if version == 1 else [*(f"a wave, the {n}th" for n in range(199, 189, -1))]
        assert [decode_entry(hit.payload).text for hit in found.hits] == expected
        assert (found.rest is not None) == (version > 1)


async def test_an_older_journal_is_brought_up_to_date_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a")
    now = sqlite_file.VERSION
    monkeypatch.setattr(sqlite_file, "VERSION", now + 2)
    monkeypatch.setitem(sqlite_file.MIGRATIONS, now, "CREATE TABLE more (a); INSERT INTO more VALUES (1)")
    monkeypatch.setitem(sqlite_file.MIGRATIONS, now + 1, "UPDATE more SET a = a + 1")
    for _ in range(2):
        async with opened(tmp_path) as store:
            assert store._writer._db.execute("SELECT a FROM more").fetchall() == [(2,)]
            assert await texts(store) == ["a"]


async def test_a_step_that_fails_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a")
    now = sqlite_file.VERSION
    with monkeypatch.context() as newer:
        newer.setattr(sqlite_file, "VERSION", now + 1)
        step = "CREATE TABLE more (a); INSERT INTO less VALUES (1)"
        newer.setitem(sqlite_file.MIGRATIONS, now, step)
        with pytest.raises(sqlite3.OperationalError, match="no such table: less"):
            await open_sqlite(tmp_path / NAME)
    async with opened(tmp_path) as store:
        assert await texts(store) == ["a"]
        assert store._writer._db.execute("PRAGMA user_version").fetchone() == (now,)
