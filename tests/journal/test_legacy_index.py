"""An index of an older server stays usable, although long runs of marks are folded differently now."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.journal.test_tidy import found, tidied
from trio_chat.journal import sqlite_index
from trio_chat.journal.admin.check import check
from trio_chat.journal.admin.prune import PruneRule, prune
from trio_chat.journal.fold import CGJ, legacy_fold
from trio_chat.journal.sqlite import SqliteStore, open_sqlite
from trio_chat.journal.sqlite_index import document, document_in_index, lines_between
from trio_chat.journal.store import Draft, RetentionRule

STORED = Path(__file__).parent / "stored" / "long-runs.db"
LONG = "say a" + "\u0301\u0316\u0334" * 60 + " and then other words" * 40


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return Path(shutil.copy(STORED, tmp_path / "journal.db"))


def chunks(path: Path) -> list[tuple[int, int]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT first, last FROM chunks ORDER BY first").fetchall()


def terms(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab (main, words, row)")
        return {term for (term,) in db.execute("SELECT term FROM temp.terms")}


async def opened(path: Path, keep: RetentionRule | None = None) -> SqliteStore:
    store = await open_sqlite(path, keep=keep or RetentionRule())
    await store.open("lobby", "Lobby")
    return store


async def say_more(store: SqliteStore) -> None:
    await tidied(store, 1_700_000_001_000)
    for n in range(12):
        await store.commit([Draft("lobby", "Lobby", "eve", f"{n} {LONG}")], 1_700_000_001_000 + n)
    await tidied(store, 1_700_000_009_000)


def test_the_stored_index_has_the_older_form(stored: Path) -> None:
    """Otherwise these tests would show nothing."""
    assert len(chunks(stored)) == 2
    assert not any(CGJ in term for term in terms(stored))
    with closing(sqlite3.connect(stored)) as db:
        for id, (first, last) in enumerate(chunks(stored), 1):
            lines = lines_between(db, 1, first, last)
            assert CGJ in document(1, lines)
            assert document_in_index(db, id, 1, lines) == document_by_older_servers(lines)


def document_by_older_servers(lines: list[bytes]) -> str:
    with patch.object(sqlite_index, "fold_text", legacy_fold):
        return document(1, lines)


def test_an_older_index_is_sound(stored: Path) -> None:
    assert check(stored).findings == []


async def test_an_index_of_both_forms_is_sound(stored: Path) -> None:
    store = await opened(stored)
    await say_more(store)
    await store.aclose()
    assert len(chunks(stored)) == 3 and any(CGJ in term for term in terms(stored))
    assert check(stored).findings == []


async def test_words_beside_long_runs_are_found_in_both_forms(stored: Path) -> None:
    store = await opened(stored)
    await say_more(store)
    assert len(await found(store, "and then some words")) == 24
    assert len(await found(store, "and then other words")) == 12
    assert await found(store, "ENTRY 3 ") == [4]
    await store.aclose()


async def test_chunks_of_both_forms_are_taken_out_of_the_index_whole(stored: Path) -> None:
    store = await opened(stored)
    await say_more(store)
    await store.commit([Draft("lobby", "Lobby", "eve", "the end")], 1_700_000_002_000)
    await store.aclose()
    store = await opened(stored, RetentionRule(entries=1))
    await tidied(store, 1_700_000_009_000)
    await store.aclose()
    assert chunks(stored) == [] and terms(stored) == set()


def test_prune_takes_older_chunks_out_whole(stored: Path) -> None:
    prune(stored, PruneRule(keep_entries=1))
    assert chunks(stored) == [] and terms(stored) == set()
    assert check(stored).findings == []
