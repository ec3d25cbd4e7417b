"""Each kind of damage to a journal is found and named."""

from pathlib import Path

import pytest
import trio

from tests.journal.admin.journals import TIME, rows, run_sql, say, small, written
from tests.journal.test_sqlite import NAME, opened
from trio_chat.errors import CannotStart, JournalToolError
from trio_chat.journal.admin.check import CheckResult, check

LOBBY = "(SELECT id FROM rooms WHERE key = 'lobby')"


def test_a_journal_written_by_a_server_has_no_findings(tmp_path: Path) -> None:
    assert check(small(tmp_path / NAME)) == CheckResult(2, 5, [])
    assert check(small(tmp_path / "other.db"), quick=True) == CheckResult(2, 5, [])


async def test_a_journal_in_use_can_be_checked(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([say("hello", ref="r1"), say("dusty", "Attic")], TIME)
        checked = await trio.to_thread.run_sync(check, tmp_path / NAME)
        assert checked == CheckResult(2, 2, [])
        await store.commit([say("again")], TIME)


def test_a_partly_pruned_row_has_no_findings(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, [say(text) for text in "abc"])
    run_sql(path, "UPDATE rooms SET first = 3")
    assert check(path) == CheckResult(1, 1, [])


def test_a_completely_pruned_room_has_no_findings(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, [say("a", topic=True), say("b")])
    run_sql(path, "UPDATE rooms SET first = 3", "DELETE FROM batches")
    assert check(path) == CheckResult(1, 0, [])


# The lobby has a row with entries 1 and 2 (the topic), and a row for each of 3 and 4.
@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (f"DELETE FROM batches WHERE room = {LOBBY} AND last = 3", "room Lobby: entry 3 is missing"),
        (f"DELETE FROM batches WHERE room = {LOBBY} AND last = 4", "room Lobby: entry 4 is missing"),
        (
            f"DELETE FROM batches WHERE room = {LOBBY} AND last = 2",
            "room Lobby: entries 1 to 2 are missing",
        ),
        ("UPDATE rooms SET head = 6 WHERE key = 'lobby'", "room Lobby: entries 5 to 6 are missing"),
        (
            "UPDATE rooms SET head = 3 WHERE key = 'lobby'",
            "room Lobby: its entries end at 4, but its head is 3",
        ),
        (
            f"UPDATE batches SET first = 2 WHERE room = {LOBBY} AND last = 3",
            "room Lobby: entries 2 to 2 exist twice",
        ),
        (
            f"UPDATE batches SET first = 2 WHERE room = {LOBBY} AND last = 3",
            "room Lobby: the row of entries 2 to 3 has 1 entries",
        ),
        ("UPDATE rooms SET first = 0 WHERE key = 'lobby'", "room Lobby: invalid numbers: 0 to 4"),
        ("UPDATE rooms SET first = 9 WHERE key = 'lobby'", "room Lobby: invalid numbers: 9 to 4"),
        (
            f"UPDATE batches SET payloads = X'FF' WHERE room = {LOBBY} AND last = 4",
            "room Lobby: entry 4 cannot be read",
        ),
        (
            """UPDATE batches SET payloads = CAST(replace(payloads, '"hi"', 'hi') AS BLOB)""",
            "room Lobby: entry 3 cannot be read",
        ),
        (
            "UPDATE batches SET payloads = CAST(replace(payloads, '\"seq\":3', '\"seq\":4') AS BLOB)",
            "room Lobby: expected entry 3, found entry 4 of Lobby",
        ),
        (
            "UPDATE batches SET payloads = CAST(replace(payloads, 'Attic', 'Lobby') AS BLOB)",
            "room Attic: expected entry 1, found entry 1 of Lobby",
        ),
        (
            f"UPDATE batches SET payloads = CAST(replace(payloads, '{TIME + 1_000}', '{TIME - 1}') AS BLOB)",
            "room Lobby: entry 3 is older than the entry before it",
        ),
        (
            f"UPDATE rooms SET at = {TIME} WHERE key = 'lobby'",
            "room Lobby: its newest entry is later than the room's time",
        ),
        (
            "UPDATE rooms SET topic = 'other' WHERE key = 'lobby'",
            "room Lobby: its topic differs from its last topic change",
        ),
        (
            "UPDATE rooms SET topic = 'other' WHERE key = 'attic'",
            "room Attic: its topic differs from its last topic change",
        ),
        (
            "UPDATE rooms SET key = 'hall' WHERE key = 'lobby'",
            "room Lobby: clients cannot find it: it is stored under the key",
        ),
        (
            "UPDATE rooms SET shown = '#1' WHERE key = 'attic'",
            "room #1: clients cannot find it: a room must not",
        ),
        ("UPDATE rooms SET epoch = '' WHERE key = 'attic'", "room Attic: it has no epoch"),
        (
            "INSERT INTO batches VALUES (77, 1, 1, 'x')",
            "the table batches refers to a missing room",
        ),
        (
            f"UPDATE batches SET payloads = 'x' WHERE room = {LOBBY} AND last = 4",
            "room Lobby: a row of entries has invalid columns: 4 to 4",
        ),
        (
            f"UPDATE batches SET first = 'x' WHERE room = {LOBBY} AND last = 4",
            "room Lobby: a row of entries has invalid columns: 'x' to 4",
        ),
        (
            "UPDATE rooms SET head = 'x' WHERE key = 'attic'",
            "a row of rooms has invalid columns: 'Attic'",
        ),
        ("INSERT INTO refs VALUES (77, 'ada r1', 1)", "the table refs refers to a missing room"),
        (
            f"INSERT INTO refs VALUES ({LOBBY}, 'ada r9', 5)",
            "room Lobby: a ref refers to entry 5, which does not exist: ada r9",
        ),
        (
            f"INSERT INTO refs VALUES ({LOBBY}, 'ada r9', 0)",
            "room Lobby: a ref refers to entry 0, which does not exist: ada r9",
        ),
        (
            "INSERT INTO fresh (refs) SELECT '[[' || id || ',\"ada r9\",5]]' FROM rooms WHERE key = 'lobby'",
            "room Lobby: a ref refers to entry 5, which does not exist: ada r9",
        ),
        (
            """INSERT INTO fresh (refs) VALUES ('[[77,"ada r9",5]]')""",
            "a missing room: a ref refers to entry 5",
        ),
        ("INSERT INTO fresh (id, refs) VALUES (9, '[[')", "row 9 of the newest refs cannot be read"),
    ],
)
def test_damage_is_found_and_named(statement: str, finding: str, tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    run_sql(path, statement)
    found = check(path).findings
    assert any(line.startswith(finding) for line in found), found


def test_an_overwritten_page_is_found(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, *[[say("x" * 3_000)] for _ in range(30)])
    data = bytearray(path.read_bytes())
    data[-3 * 4096 : -2 * 4096] = b"\xff" * 4096
    path.write_bytes(data)
    for quick in (True, False):
        findings = check(path, quick=quick).findings
        assert findings and all(finding.isprintable() for finding in findings)


def test_a_missing_table_is_found(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    run_sql(path, "DROP TABLE fresh")
    assert check(path).findings == ["the file: no such table: fresh"]


def test_an_undecodable_name_is_found(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    run_sql(path, "UPDATE rooms SET shown = CAST(X'FF' AS TEXT) WHERE key = 'attic'")
    (finding,) = check(path).findings
    assert finding.startswith("the file: Could not decode to UTF-8")


def test_an_interrupted_check_raises(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, *[[say(str(number))] for number in range(100)])

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(path, progress=interrupt)


def test_an_index_that_does_not_fit_its_table_is_found_unless_quick(tmp_path: Path) -> None:
    """The index is hidden from SQLite while a row is added."""
    path = small(tmp_path / NAME)
    index = "sqlite_master WHERE name = 'chunks_in_order'"
    ((root, sql),) = rows(path, f"SELECT rootpage, sql FROM {index}")
    run_sql(path, "PRAGMA writable_schema = ON", f"DELETE FROM {index}")
    run_sql(path, f"INSERT INTO chunks VALUES (1, {LOBBY}, 1, 4, {TIME}, {TIME + 2_000})")
    again = f"INSERT INTO sqlite_master VALUES ('index', 'chunks_in_order', 'chunks', {root}, '{sql}')"
    run_sql(path, "PRAGMA writable_schema = ON", again)
    finding = "the file: row 1 missing from index chunks_in_order"
    assert finding in check(path).findings
    assert finding not in check(path, quick=True).findings


def test_a_thousand_findings_are_a_hundred_lines(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, [say(str(number)) for number in range(1_000)])
    run_sql(path, "UPDATE batches SET payloads = CAST(replace(payloads, '\"seq\"', '\"sea\"') AS BLOB)")
    findings = check(path).findings
    assert len(findings) == 100 and findings[99] == "room Lobby: entry 100 cannot be read"


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (None, JournalToolError, "there is no journal"),
        (b"", JournalToolError, "is empty"),
        (b"Dear diary, " * 100, CannotStart, "it is not a trio-chat journal"),
    ],
)
def test_other_files_cannot_be_checked(
    content: bytes | None, error: type[Exception], says: str, tmp_path: Path
) -> None:
    path = tmp_path / NAME
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=says):
        check(path)
    assert [each.name for each in tmp_path.iterdir()] == ([NAME] if content is not None else [])


def test_a_check_changes_nothing(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    check(path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_progress_is_reported_up_to_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    check(small(tmp_path / NAME), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 5), (3, 5), (4, 5), (5, 5)]
