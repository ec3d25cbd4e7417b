"""Removing whole rooms: nothing of them stays, and nothing else changes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.journal.admin.journals import TIME, rows, run_sql, say, small, text_of, tidied, written
from tests.journal.test_sqlite import NAME
from trio_chat.client import connect
from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.check import check
from trio_chat.journal.admin.info import info
from trio_chat.journal.admin.prune import PruneResult, RoomPruned
from trio_chat.journal.admin.remove import remove_rooms
from trio_chat.journal.sqlite import SqliteStore, open_sqlite
from trio_chat.journal.store import RoomRecord
from trio_chat.server.config import Config
from trio_chat.server.serve import open_server


def tables_with(path: Path, room: int) -> list[str]:
    """Return the tables that have rows with this id."""
    columns = {"rooms": "id", "batches": "room", "chunks": "room", "refs": "room"}
    found = [
        table
        for table, column in columns.items()
        if rows(path, f"SELECT 1 FROM {table} WHERE {column}={room}")
    ]
    fresh = rows(path, f"SELECT 1 FROM fresh, json_each(CAST(refs AS TEXT)) WHERE value ->> 0 = {room}")
    return found + ["fresh"] * bool(fresh)


def id_of(path: Path, key: str) -> int:
    ((id,),) = rows(path, f"SELECT id FROM rooms WHERE key = '{key}'")
    assert isinstance(id, int)
    return id


def epochs(path: Path) -> dict[object, object]:
    return dict(rows(path, "SELECT key, epoch FROM rooms"))  # type: ignore[arg-type]  # of pairs


def with_server(path: Path, story: Callable[[SqliteStore], object]) -> None:
    """Run a function with a server's store on a journal, and stop cleanly."""

    async def run() -> None:
        store = await open_sqlite(path)
        try:
            await story(store)  # type: ignore[misc]
        finally:
            await store.aclose()

    trio.run(run)


def large(path: Path) -> Path:
    """Write two rooms of 300 indexed entries each, with moved and fresh refs."""
    texts = [f"{number} " + "words " * 50 for number in range(300)]
    return tidied(written(path, *[[say(t, ref=t[:3]), say(t, "Attic", ref=t[:3])] for t in texts]))


def test_a_removed_room_leaves_nothing_and_other_rooms_stay(tmp_path: Path) -> None:
    path = large(tmp_path / NAME)
    lobby = id_of(path, "lobby")
    run_sql(path, f"INSERT INTO refs VALUES ({lobby}, 'settled', 1)")
    before = text_of(path, rooms=["attic"], with_refs=True)
    assert tables_with(path, lobby) == ["rooms", "batches", "chunks", "refs", "fresh"]
    assert remove_rooms(path, ["lobby"]).rooms == [RoomPruned("Lobby", 1, 300)]
    assert tables_with(path, lobby) == []
    assert text_of(path, rooms=["attic"], with_refs=True) == before
    assert [room.room for room in info(path).rooms] == ["Attic"]
    assert check(path).findings == []


def test_the_other_rooms_keep_their_epochs(tmp_path: Path) -> None:
    """The journal has fewer entries than its marker counted, but it is not an older copy."""
    path = small(tmp_path / NAME)
    known = epochs(path)
    remove_rooms(path, ["lobby"])

    async def opens(store: SqliteStore) -> None:
        await store.open("attic", "Attic")

    with_server(path, opens)
    assert epochs(path) == {"attic": known["attic"]}


def test_removing_a_room_does_not_hide_that_the_journal_is_older_than_its_marker(tmp_path: Path) -> None:
    """Removing a room does not show that the other rooms have the history that clients know."""
    path = small(tmp_path / NAME)
    known = epochs(path)
    mark = path.with_name(f"{NAME}-mark")
    mark.write_text(mark.read_text()[:-21] + f"{6:020}\n")  # more entries than the journal has
    remove_rooms(path, ["lobby"])

    async def opens(store: SqliteStore) -> None:
        await store.open("attic", "Attic")

    with_server(path, opens)
    assert epochs(path)["attic"] != known["attic"]


def test_a_removed_room_starts_again_with_a_new_epoch(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    known = epochs(path)
    remove_rooms(path, ["lobby"])
    records: list[RoomRecord] = []
    seqs: list[int] = []

    async def says(store: SqliteStore) -> None:
        records.append(await store.open("lobby", "Lobby"))
        seqs.extend(outcome.seq for outcome in await store.commit([say("again", ref="r1")], TIME))
        assert not (await store.search({"lobby": 1}, "hello", None, 9)).hits

    with_server(path, says)
    (record,) = records
    assert (record.first, record.head, record.topic) == (1, 0, "")
    assert record.epoch != known["lobby"]
    assert seqs == [1], "the old ref is unknown"
    assert epochs(path)["lobby"] == record.epoch
    assert check(path).findings == []


def test_a_client_with_a_number_of_the_removed_room_is_not_resumed(tmp_path: Path) -> None:
    """The number is assigned again, in another epoch."""

    async def comes_back(after: int | None, epoch: str) -> tuple[bool, str, int]:
        config = Config(port=0, journal=str(tmp_path / NAME))
        async with open_server(config) as server:
            port = int(server.addresses[0].rpartition(":")[2])
            async with connect("127.0.0.1", port, name="ada") as chat:
                room = await chat.join("lobby", after=after, epoch=epoch)
                seq = await chat.say("lobby", "hello")
        return room.resumed, room.epoch, seq

    resumed, epoch, seq = trio.run(comes_back, None, "")
    assert trio.run(comes_back, seq, epoch) == (True, epoch, 2)
    remove_rooms(tmp_path / NAME, ["lobby"])
    resumed, other, seq = trio.run(comes_back, 2, epoch)
    assert not resumed and other != epoch and seq == 1
    assert trio.run(comes_back, 1, other) == (True, other, 2)


def test_a_new_room_with_the_id_of_a_removed_room_is_empty(tmp_path: Path) -> None:
    path = large(tmp_path / NAME)
    newest = max(("attic", "lobby"), key=lambda key: id_of(path, key))
    id = id_of(path, newest)
    remove_rooms(path, [newest])

    async def says(store: SqliteStore) -> None:
        await store.open("cellar", "Cellar")
        await store.commit([say("other", "Cellar", ref="0 w")], TIME)
        assert not (await store.search({"cellar": 1}, "words", None, 9)).hits

    with_server(path, says)
    assert id_of(path, "cellar") == id
    assert check(path).findings == []


def test_a_room_without_kept_entries_can_be_removed(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    run_sql(path, "UPDATE rooms SET first = head + 1 WHERE key = 'attic'")
    assert remove_rooms(path, ["attic"]).rooms == [RoomPruned("Attic", 2, 1)]
    assert list(epochs(path)) == ["lobby"]


def test_an_unknown_room_refuses_the_whole_removal(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    before = text_of(path)
    for dry_run in (True, False):
        with pytest.raises(JournalToolError, match="there is no room cellar in the journal"):
            remove_rooms(path, ["lobby", "cellar"], dry_run=dry_run)
    assert text_of(path) == before


def test_a_dry_run_removes_nothing(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    before = path.read_bytes()
    size = len(before)
    planned = remove_rooms(path, ["lobby", "attic", "lobby"], dry_run=True, vacuum=True)
    assert planned == PruneResult(
        [RoomPruned("Lobby", 1, 4), RoomPruned("Attic", 1, 1)], size, size, vacuumed=False
    )
    assert path.read_bytes() == before


def test_an_interrupted_removal_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    path = large(tmp_path / NAME)
    before, known = text_of(path, with_refs=True), epochs(path)
    monkeypatch.setattr("trio_chat.journal.admin.prune.STEPS_BETWEEN_REPORTS", 1)
    with pytest.raises(KeyboardInterrupt):
        remove_rooms(path, ["lobby"], progress=interrupt)
    assert text_of(path, with_refs=True) == before and check(path).findings == []
    with_server(path, lambda store: store.open("attic", "Attic"))
    assert epochs(path) == known


def test_with_a_vacuum_the_texts_are_not_in_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, [say("secret1"), say("kept", "Attic")])
    assert b"secret1" in path.read_bytes()
    assert remove_rooms(path, ["lobby"], vacuum=True).vacuumed
    assert b"secret1" not in path.read_bytes() and b"kept" in path.read_bytes()
