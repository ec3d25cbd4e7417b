"""Pruning by command has the same result as pruning by a server."""

from pathlib import Path

import pytest
import trio

from tests.journal.admin.journals import TIME, rows, say, small, text_of, tidied, written
from tests.journal.test_sqlite import NAME
from trio_chat.errors import JournalToolError
from trio_chat.journal.admin import prune as prune_module
from trio_chat.journal.admin.check import CheckResult, check
from trio_chat.journal.admin.prune import PruneResult, PruneRule, RoomPruned, prune
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.store import CommitResult, RoomRecord

FIRSTS = "SELECT key, first, head FROM rooms ORDER BY key"


def went(path: Path, old: PruneRule) -> list[RoomPruned]:
    """Prune a journal; return the pruned rooms, and check that nothing else changed."""
    planned = prune(path, old, dry_run=True)
    done = prune(path, old)
    assert planned.rooms == done.rooms and check(path).findings == []
    return done.rooms


@pytest.mark.parametrize(
    ("old", "rooms"),
    [
        (PruneRule(before_ms=TIME), []),
        (PruneRule(before_ms=TIME + 1), [RoomPruned("Attic", 1, 1), RoomPruned("Lobby", 1, 2)]),
        (PruneRule(before_ms=TIME + 1, rooms=["lobby"]), [RoomPruned("Lobby", 1, 2)]),
        (PruneRule(before_ms=TIME + 9_000), [RoomPruned("Attic", 1, 1), RoomPruned("Lobby", 1, 4)]),
        (PruneRule(keep_entries=1), [RoomPruned("Lobby", 1, 3)]),
        (PruneRule(keep_entries=9), []),
        (
            PruneRule(keep_entries=1, before_ms=TIME + 1),
            [RoomPruned("Attic", 1, 1), RoomPruned("Lobby", 1, 3)],
        ),
        (PruneRule(keep_entries=3, before_ms=TIME + 1, rooms=["lobby"]), [RoomPruned("Lobby", 1, 2)]),
    ],
)
def test_entries_beyond_either_limit_are_pruned(
    old: PruneRule, rooms: list[RoomPruned], tmp_path: Path
) -> None:
    path = small(tmp_path / NAME)
    assert went(path, old) == rooms
    first = {room.room.casefold(): room.last + 1 for room in rooms}
    assert rows_of(path) == {"attic": (first.get("attic", 1), 1), "lobby": (first.get("lobby", 1), 4)}
    assert went(path, old) == [], "a second run prunes nothing"


def rows_of(path: Path) -> dict[object, tuple[object, ...]]:
    return {key: (first, head) for key, first, head in rows(path, FIRSTS)}


def test_pruned_texts_are_not_in_a_vacuumed_file(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, *[[say(f"secret{number}")] for number in range(5)])
    prune(path, PruneRule(keep_entries=2), vacuum=True)
    assert b"secret2" not in path.read_bytes() and b"secret3" in path.read_bytes()


def test_a_completely_pruned_room_continues_its_numbers(tmp_path: Path) -> None:
    async def goes_on() -> tuple[RoomRecord, list[CommitResult]]:
        store = await open_sqlite(path)
        try:
            record = await store.open("lobby", "Lobby")
            return record, await store.commit([say("again", ref="r1")], TIME)
        finally:
            await store.aclose()

    path = small(tmp_path / NAME)
    ((epoch,),) = rows(path, "SELECT epoch FROM rooms WHERE key = 'lobby'")
    prune(path, PruneRule(before_ms=TIME + 9_000))
    record, outcomes = trio.run(goes_on)
    assert record == RoomRecord("Lobby", str(epoch), 5, 4, "a topic"), "clients can resume"
    assert [outcome.seq for outcome in outcomes] == [5], "a ref of a pruned entry is unknown"


def test_pruned_entries_are_removed_from_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_module, "STEPS_BETWEEN_REPORTS", 1)
    told: list[tuple[int, int]] = []
    path = tidied(written(tmp_path / NAME, *[[say(f"{number} " + "words " * 50)] for number in range(400)]))
    ((before,),) = rows(path, "SELECT count(*) FROM chunks")
    pruned = prune(path, PruneRule(keep_entries=50), progress=lambda done, total: told.append((done, total)))
    ((after,),) = rows(path, "SELECT count(*) FROM chunks")
    assert isinstance(before, int) and isinstance(after, int) and 0 < after < before
    assert check(path) == CheckResult(1, 50, [])
    assert pruned.rooms == [RoomPruned("Lobby", 1, 350)]
    assert told == sorted(told) and {total for _, total in told} == {350}


def test_only_a_vacuum_makes_the_file_smaller(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, *[[say("x" * 4_000)] for _ in range(100)])
    size = path.stat().st_size
    assert prune(path, PruneRule(keep_entries=1)) == PruneResult(
        [RoomPruned("Lobby", 1, 99)], size, size, vacuumed=False
    )
    again = prune(path, PruneRule(keep_entries=1), vacuum=True)
    assert again.vacuumed and again.rooms == []
    assert again.bytes_after == path.stat().st_size < again.bytes_before == size
    assert check(path) == CheckResult(1, 1, [])


def test_an_interrupted_prune_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_module, "STEPS_BETWEEN_REPORTS", 1)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    path = written(tmp_path / NAME, *[[say("x" * 4_000)] for _ in range(300)])
    before = text_of(path)
    with pytest.raises(KeyboardInterrupt):
        prune(path, PruneRule(keep_entries=1), progress=interrupt)
    assert text_of(path) == before and check(path).findings == []


def test_an_unknown_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalToolError, match="there is no room cellar in the journal"):
        prune(small(tmp_path / NAME), PruneRule(rooms=["cellar"], keep_entries=1))


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    before = path.read_bytes()
    assert prune(path, PruneRule(keep_entries=1), dry_run=True, vacuum=True).vacuumed is False
    assert path.read_bytes() == before


def test_a_vacuum_removes_pruned_texts_from_the_index(tmp_path: Path) -> None:
    """The index is about as large as that of a journal that never had the pruned texts."""
    texts = ["".join(chr(0x4E00 + number * 7 + each) for each in range(60)) for number in range(900)]
    path = tidied(written(tmp_path / NAME, *[[say(text)] for text in texts]))
    other = tidied(written(tmp_path / "other.db", *[[say(text)] for text in texts[-100:]]))
    prune(path, PruneRule(keep_entries=100), vacuum=True)
    sizes = [rows(each, "SELECT sum(length(block)) FROM words_data")[0][0] for each in (path, other)]
    assert isinstance(sizes[0], int) and isinstance(sizes[1], int)
    assert sizes[0] < 2 * sizes[1]
