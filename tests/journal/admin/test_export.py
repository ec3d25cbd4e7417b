"""Exports: their content, beside a running server."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journal.admin.journals import TIME, rows, run_sql, say, small, text_of, written
from tests.journal.test_sqlite import NAME, opened
from trio_chat.errors import JournalToolError
from trio_chat.journal.admin import export as export_module
from trio_chat.journal.admin.export import export


def objects(text: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_export_has_a_line_for_each_room_and_entry(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    attic, epoch = (epoch for (epoch,) in rows(path, "SELECT epoch FROM rooms ORDER BY key"))
    lobby: dict[str, object] = {"type": "said", "room": "Lobby", "at": TIME}
    assert objects(text_of(path)) == [
        {"type": "trio_chat_journal", "version": 1, "refs": False},
        {"type": "room", "room": "Attic", "epoch": attic, "first": 1, "head": 1, "topic": ""},
        {"type": "said", "room": "Attic", "seq": 1, "at": TIME, "by": "ada", "text": "dusty"},
        {
            "type": "room",
            "room": "Lobby",
            "epoch": epoch,
            "first": 1,
            "head": 4,
            "topic": "a topic",
        },
        {**lobby, "seq": 1, "by": "ada", "text": "hello"},
        {**lobby, "seq": 2, "by": "ada", "text": "a topic", "type": "retitled"},
        {**lobby, "seq": 3, "by": "bob", "text": "hi", "at": TIME + 1_000},
        {**lobby, "seq": 4, "by": "ada", "text": "bye", "at": TIME + 2_000},
        {"type": "end", "rooms": 2, "entries": 5},
    ]


def test_an_export_can_be_limited_by_room_and_time(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    attic = objects(text_of(path, rooms=["attic"]))
    assert [line["type"] for line in attic] == ["trio_chat_journal", "room", "said", "end"]
    late = objects(text_of(path, since_ms=TIME + 1_000))
    assert [line.get("seq") for line in late if line.get("room") == "Lobby"] == [None, 3, 4]
    heads = [(line["first"], line["head"]) for line in late if line["type"] == "room"]
    assert heads == [(2, 1), (3, 4)], "a room without newer entries is exported empty"
    with pytest.raises(JournalToolError, match="there is no room cellar in the journal"):
        text_of(path, rooms=["cellar"])


@pytest.mark.parametrize("settled", [False, True])
def test_an_export_with_refs_has_fresh_and_moved_refs(
    tmp_path: Path, settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small(tmp_path / NAME)
    if settled:
        lobby = "(SELECT id FROM rooms WHERE key = 'lobby')"
        run_sql(path, f"INSERT INTO refs VALUES ({lobby}, 'ada r0', 2)")
        run_sql(path, f"INSERT INTO refs VALUES ({lobby}, 'ada r2', 1)")  # a stale ref: the fresh ref counts
    monkeypatch.setattr(export_module, "REFS_AT_ONCE", 2)
    found = [line["refs"] for line in objects(text_of(path, with_refs=True)) if line["type"] == "refs"]
    attic = [["ada r1", 1]]
    if settled:
        assert found == [attic, [["ada r0", 2], ["ada r1", 1]], [["ada r2", 4], ["bob r1", 3]]]
    else:
        assert found == [attic, [["ada r1", 1], ["ada r2", 4]], [["bob r1", 3]]]


def test_refs_of_entries_that_are_not_exported_are_left_out(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    late = objects(text_of(path, since_ms=TIME + 1_000, with_refs=True))
    assert [line["refs"] for line in late if line["type"] == "refs"] == [[["ada r2", 4], ["bob r1", 3]]]


async def test_an_export_holds_the_log_for_at_most_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a slow reader reads the export, the server commits, and writes its log back."""
    monkeypatch.setattr(export_module, "PAGE_BYTES", 1)
    async with opened(tmp_path) as store:
        for text in "abc":
            await store.commit([say(text)], TIME)
        exported = export(tmp_path / NAME)
        read = [next(exported) for _ in range(3)]
        await store.commit([say("later")], TIME)
        busy, in_log, written_back = store._writer._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert (busy, in_log, written_back) == (0, 0, 0)
        lines = objects(b"".join([*read, *exported]))
    assert [line["text"] for line in lines if line["type"] == "said"] == ["a", "b", "c"]


def forgotten(path: Path) -> None:
    run_sql(path, "UPDATE rooms SET first = 3", "DELETE FROM batches WHERE last < 3")


def lost(path: Path) -> None:
    run_sql(path, "DELETE FROM batches WHERE last = 2")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (forgotten, "entry 2 of Lobby was pruned before it could be exported; try again"),
        (lost, "the file is damaged: entry 2 of Lobby is missing"),
    ],
)
def test_a_gap_ends_an_export(
    how: Callable[[Path], None], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "PAGE_BYTES", 1)
    path = written(tmp_path / NAME, *[[say(text)] for text in "abc"])
    text = export(path)
    assert [json.loads(next(text))["type"] for _ in range(3)] == ["trio_chat_journal", "room", "said"]
    how(path)
    with pytest.raises(JournalToolError, match=says):
        list(text)


def test_progress_is_reported_up_to_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    text_of(small(tmp_path / NAME), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 5), (5, 5)]
