"""Damage to the search index is found."""

import shutil
from pathlib import Path

import pytest

from tests.journal.admin.journals import rows, run_sql, say, tidied, written
from tests.journal.test_sqlite import NAME
from trio_chat.journal.admin.check import CheckResult, check
from trio_chat.journal.admin.check_index import has_index
from trio_chat.journal.admin.connect import open_reader
from trio_chat.journal.sqlite_index import room_mark

STORED = Path(__file__).parent.parent / "stored"
TEXTS = [f"{number} of many things that were said, and each of them is another" for number in range(600)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / NAME
    tidied(written(path, *[[say(text), say(text)] for text in TEXTS[:300]], [say("dusty", "Attic")]))
    return written(path, [say("the newest")])


@pytest.fixture
def indexed(made: Path, tmp_path: Path) -> Path:
    """A lobby of 601 entries, all but the newest indexed in three chunks, and an attic with one entry."""
    return Path(shutil.copy(made, tmp_path / NAME))


def test_an_index_written_by_a_server_has_no_findings(indexed: Path) -> None:
    assert rows(indexed, "SELECT count(*) FROM chunks") == [(3,)]
    assert rows(indexed, "SELECT indexed, head FROM rooms ORDER BY key") == [(0, 1), (600, 601)]
    assert check(indexed) == CheckResult(2, 602, [])


def test_entries_that_are_not_indexed_yet_are_no_finding(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, [say(text) for text in TEXTS])
    assert rows(path, "SELECT count(*) FROM chunks") == [(0,)]
    assert check(path) == CheckResult(1, 600, [])


def test_texts_of_all_scripts_are_found(tmp_path: Path) -> None:
    texts = [
        '"quoted" \\ text',
        "İstanbul STRASSE ß ﬁ",
        "猫と犬が好きです",
        "a\nb\tc",
        "👩 e\u0301 ＡＢＣ",
    ]
    path = tidied(written(tmp_path / NAME, *[[say(text)] for text in texts * 100]))
    assert rows(path, "SELECT count(*) > 0 FROM chunks") == [(1,)]
    assert check(path).findings == []


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM chunks WHERE first = 1", "entries 1 to {last} are not in the index"),
        ("DELETE FROM chunks WHERE first = 1", "the index has a document 1 without entries"),
        (
            "UPDATE rooms SET indexed = 601 WHERE key = 'lobby'",
            "entries 601 to 601 are not in the index",
        ),
        (
            "UPDATE rooms SET indexed = 602 WHERE key = 'lobby'",
            "its index ends at entry 602, which does not exist",
        ),
        ("UPDATE chunks SET ended = 7 WHERE first = 1", "the index has a wrong time for entries 1 to {last}"),
        ("UPDATE chunks SET began = 7 WHERE first = 1", "the index has a wrong time for entries 1 to {last}"),
        (
            "UPDATE chunks SET last = 700 WHERE first = {second}",
            "entries {second} to 700 are in the index, but some of them are missing",
        ),
        (
            "INSERT INTO words (words) VALUES ('delete-all')",
            "a search misses text of entries 1 to {last}",
        ),
    ],
)
def test_a_wrong_index_is_found(statement: str, finding: str, indexed: Path) -> None:
    ((last,),) = rows(indexed, "SELECT last FROM chunks WHERE first = 1")
    assert isinstance(last, int)
    numbers = {"last": last, "second": last + 1}
    run_sql(indexed, statement.format(**numbers))
    found = check(indexed).findings
    assert any(line.startswith("room Lobby: " + finding.format(**numbers)) for line in found), found


def test_a_document_with_another_text_is_found(indexed: Path) -> None:
    """The text of a document cannot be read back from the index, only queried."""
    ((chunk, room, last),) = rows(indexed, "SELECT id, room, last FROM chunks WHERE first = 1")
    assert isinstance(room, int)
    run_sql(
        indexed,
        "INSERT INTO words (words) VALUES ('delete-all')",
        f"INSERT INTO words (rowid, text) VALUES ({chunk}, '{room_mark(room)}another text')",
    )
    assert f"room Lobby: a search misses text of entries 1 to {last}" in check(indexed).findings
    assert check(indexed, quick=True).findings == [], "a quick check does not find it"


def test_unreadable_pruned_entries_of_a_chunk_are_found(indexed: Path) -> None:
    """Removing them from the index needs their texts."""
    ((last,),) = rows(indexed, "SELECT last FROM chunks WHERE first = 1")
    assert isinstance(last, int)
    run_sql(
        indexed,
        f"UPDATE rooms SET first = {last + 3} WHERE key = 'lobby'",
        "UPDATE batches SET payloads = X'0A' WHERE last = 2",
    )
    says = f"room Lobby: entries 1 to {last} are in the index, but cannot be read"
    assert check(indexed).findings == [says]


def test_a_journal_of_version_1_has_no_index(tmp_path: Path) -> None:
    path = Path(shutil.copy(STORED / "version-1.db", tmp_path / NAME))
    with open_reader(path) as db:
        assert not has_index(db)
    assert check(path) == CheckResult(2, 5, [])
