"""Entries from the future are moved back: their order, numbers, texts and refs stay."""

from pathlib import Path

import pytest
import trio

from tests.journal.admin.journals import TIME, rows, run_sql, say, small, text_of, tidied, written
from tests.journal.admin.test_command import run
from tests.journal.test_sqlite import NAME
from trio_chat.errors import JournalToolError
from trio_chat.journal.admin import retime as retime_module
from trio_chat.journal.admin.check import check
from trio_chat.journal.admin.prune import PruneRule, prune
from trio_chat.journal.admin.retime import RoomRetimed, retime
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.store import CommitResult
from trio_chat.wire.codec import decode_entry
from trio_chat.wire.messages import MAX_AT, Said, TopicChanged

YEARS_MS = 10 * 31_557_600_000


def times(path: Path, room: str = "lobby") -> list[int]:
    """Return the `at` of every entry of a room."""
    lines = text_of(path, rooms=[room]).splitlines()
    return [decode_entry(line).at for line in lines if b'"at":' in line]


def epochs(path: Path) -> dict[object, object]:
    return {row[0]: row[1] for row in rows(path, "SELECT key, epoch FROM rooms")}


def test_future_entries_move_back_to_end_now(tmp_path: Path) -> None:
    """There are five batches, one per second, and the last three are in the future."""
    path = written(tmp_path / NAME, *[[say(text), say(text, "Attic")] for text in "abcde"])
    before, text = epochs(path), text_of(path, rooms=["attic"])
    now_ms = TIME + 1_500
    planned = retime(path, ["lobby"], now_ms, dry_run=True)
    assert times(path)[-1] == TIME + 4_000, "a dry run changes nothing"
    assert retime(path, ["lobby"], now_ms) == planned == [RoomRetimed("Lobby", 3, 5, 2_500)]
    assert times(path) == [TIME, TIME + 1_000, TIME + 1_000, TIME + 1_000, now_ms]
    after = epochs(path)
    assert after["lobby"] != before["lobby"] and after["attic"] == before["attic"]
    assert text_of(path, rooms=["attic"]) == text, "other rooms stay"
    assert rows(path, "SELECT at FROM rooms WHERE key = 'lobby'") == [(now_ms,)]
    assert check(path).findings == []
    assert retime(path, ["lobby"], now_ms) == [RoomRetimed("Lobby", 6, 5, 0)], "a second run moves nothing"
    assert epochs(path) == after


def test_a_room_completely_in_the_future_keeps_its_distances(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, *[[say(text)] for text in "abc"], at_ms=TIME + YEARS_MS)
    retime(path, ["lobby"], TIME)
    assert times(path) == [TIME - 2_000, TIME - 1_000, TIME]
    assert check(path).findings == []


def test_a_room_with_one_future_time_ends_now(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, [say("before")], *[[say(text)] for text in "abc"], step_ms=YEARS_MS)
    retime(path, ["lobby"], TIME + 5_000)
    assert times(path) == [TIME, TIME, TIME, TIME + 5_000]


def test_only_the_future_part_of_a_row_is_moved(tmp_path: Path) -> None:
    """An import keeps entries of many times in one row."""
    source = written(tmp_path / "source.db", *[[say(text)] for text in "abcd"])
    exported = tmp_path / "text"
    exported.write_bytes(text_of(source))
    path = tmp_path / NAME
    assert run(path, "import", str(exported))[0] == 0
    assert rows(path, "SELECT first, last FROM batches") == [(1, 4)]
    assert retime(path, ["lobby"], TIME + 2_000) == [RoomRetimed("Lobby", 4, 4, 1_000)]
    assert times(path) == [TIME, TIME + 1_000, TIME + 2_000, TIME + 2_000]
    assert check(path).findings == []


def test_the_index_has_the_new_times_and_the_old_words(tmp_path: Path) -> None:
    batches = [[say(f"{number} " + "hay " * 100)] for number in range(200)]
    path = tidied(written(tmp_path / NAME, *batches))
    assert rows(path, "SELECT count(*) > 1 FROM chunks") == [(1,)]
    assert retime(path, ["lobby"], TIME + 30_000) == [RoomRetimed("Lobby", 32, 200, 169_000)]
    assert check(path).findings == []


def test_pruned_entries_that_are_still_in_the_file_are_moved_too(tmp_path: Path) -> None:
    path = tidied(written(tmp_path / NAME, *[[say(f"{n} " + "hay " * 100)] for n in range(200)]))
    prune(path, PruneRule(keep_entries=150))
    assert int(str(rows(path, "SELECT min(first) FROM batches")[0][0])) < 51
    assert retime(path, ["lobby"], TIME + 30_000)[0].first == 32
    assert check(path).findings == []


def test_a_room_without_kept_entries_gets_the_right_time(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, [say("a")], at_ms=TIME + YEARS_MS)
    prune(path, PruneRule(before_ms=TIME + 2 * YEARS_MS))
    before = epochs(path)
    assert retime(path, ["lobby"], TIME) == [RoomRetimed("Lobby", 2, 1, YEARS_MS)]
    assert epochs(path) == before and rows(path, "SELECT at FROM rooms") == [(TIME,)]


def test_refs_stay_and_new_entries_get_their_own_time(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, [say("a", ref="r1")], [say("b", ref="r2")], at_ms=TIME + YEARS_MS)
    retime(path, ["lobby"], TIME)

    async def say_more() -> list[CommitResult]:
        store = await open_sqlite(path)
        try:
            await store.open("lobby", "Lobby")
            return await store.commit([say("b", ref="r2"), say("c")], TIME + 7_000)
        finally:
            await store.aclose()

    assert [outcome.seq for outcome in trio.run(say_more)] == [2, 3]
    assert times(path) == [TIME - 1_000, TIME, TIME + 7_000]


def test_an_interrupted_retime_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retime_module, "ROWS_BETWEEN_REPORTS", 1)
    reports: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        reports.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    path = written(tmp_path / NAME, *[[say(text)] for text in "abc"], at_ms=TIME + YEARS_MS)
    before = text_of(path)
    with pytest.raises(KeyboardInterrupt):
        retime(path, ["lobby"], TIME, progress=interrupt)
    assert reports == [(1, 3), (2, 3)] and text_of(path) == before


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM batches WHERE last = 2", "UPDATE batches SET payloads = x'7b' WHERE last = 2"],
)
def test_a_damaged_room_is_left_as_it_is(damage: str, tmp_path: Path) -> None:
    path = written(tmp_path / NAME, *[[say(text)] for text in "abc"], at_ms=TIME + YEARS_MS)
    run_sql(path, damage)
    before = rows(path, "SELECT * FROM batches")
    with pytest.raises(JournalToolError, match=r"damaged at entry .*; run `trio-chat journal check`"):
        retime(path, ["lobby"], TIME)
    assert rows(path, "SELECT * FROM batches") == before


def test_the_command_reports_each_room(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    written(tmp_path / "future.db", [say("a", "Attic"), say("b", "Porch")], at_ms=253_402_300_799_000)
    future = tmp_path / "future.db"
    prune(future, PruneRule(rooms=["porch"], before_ms=2**53))
    assert run(path, "retime", "--room", "LOBBY", "--room", "attic") == (
        0,
        "Lobby: no entry is in the future\nAttic: no entry is in the future\n",
        "",
    )
    status, out, err = run(future, "retime", "--room", "attic", "--room", "porch", "--dry-run")
    first, second = out.splitlines()
    assert (status, err) == (0, "") and first.startswith("Attic: 1 to 1 would be moved back by 29")
    assert second.startswith("Porch: no entries; its time would be moved back by 29")
    status, out, err = run(future, "retime", "--room", "attic", "--room", "porch")
    assert out == f"{first}\n{second}\n".replace("would be moved", "were moved", 1).replace("would be", "was")
    assert run(future, "check")[0] == 0


def test_retime_names_an_unknown_room(tmp_path: Path) -> None:
    message = "trio-chat: there is no room cellar in the journal\n"
    assert run(small(tmp_path / NAME), "retime", "--room", "lobby", "--room", "cellar") == (2, "", message)


def test_retime_is_refused_if_the_clock_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small(tmp_path / NAME)
    before = text_of(path)
    monkeypatch.setattr("trio_chat.server.clock.wall_clock_ms", lambda: 60_000)
    assert run(path, "retime", "--room", "lobby") == (
        2,
        "",
        "trio-chat: cannot correct times: the system clock shows 1970-01-01 00:01 UTC; set it first\n",
    )
    assert text_of(path) == before


def test_info_shows_years_beyond_the_calendar(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, [say("a")], at_ms=2**53 - 1)
    status, out, err = run(path, "info")
    assert (status, err) == (0, "") and "about the year 287397" in out


def test_a_time_beyond_the_calendar_is_found_and_corrected(tmp_path: Path) -> None:
    """Earlier versions imported such times, and no client can show them."""
    late = 9_000_000_000_000_000
    path = written(
        tmp_path / NAME, [say("hi")], [say("late"), say("a topic", topic=True)], step_ms=late - TIME
    )
    assert check(path).findings == [
        f"room Lobby: entry {seq} has the time {late}, which is after the year 9999" for seq in (2, 3)
    ]
    entries = [decode_entry(line) for line in text_of(path).splitlines() if b'"at":' in line]
    assert [type(entry) for entry in entries] == [Said, Said, TopicChanged]
    assert [entry.at <= MAX_AT for entry in entries] == [True, False, False]
    retime(path, ["lobby"], TIME + 5_000)
    assert times(path) == [TIME, TIME + 5_000, TIME + 5_000]
    assert check(path).findings == []
