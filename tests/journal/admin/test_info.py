"""The state, size and rooms of a journal."""

from pathlib import Path

import msgspec
import trio

from tests.journal.admin.journals import TIME, rows, run_sql, say, small, written
from tests.journal.test_sqlite import NAME, kill, opened
from trio_chat.journal.admin.format import format_info
from trio_chat.journal.admin.info import JournalInfo, RoomInfo, info
from trio_chat.journal.sqlite_file import VERSION


def test_info_lists_the_largest_room_first(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    found = info(path)
    assert (found.path, found.bytes, found.log_bytes) == (str(path), path.stat().st_size, 0)
    assert (found.version, found.durability, found.state) == (VERSION, "normal", "stopped in good order")
    assert (found.entries, found.oldest, found.newest) == (5, TIME, TIME + 2_000)
    ((epoch, size),) = rows(
        path,
        "SELECT epoch, sum(length(payloads)) FROM rooms JOIN batches ON room = id WHERE key = 'lobby'",
    )
    assert [room.room for room in found.rooms] == ["Lobby", "Attic"]
    assert msgspec.to_builtins(found.rooms[0]) == {
        "room": "Lobby",
        "epoch": epoch,
        "first": 1,
        "head": 4,
        "entries": 4,
        "bytes": size,
        "newest": TIME + 2_000,
        "topic": "a topic",
    }


def test_pruned_entries_are_not_counted(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    run_sql(
        path,
        "UPDATE rooms SET first = 3 WHERE key = 'lobby'",
        "UPDATE rooms SET first = 2 WHERE key = 'attic'",
    )
    found = info(path)
    assert (found.entries, found.oldest, found.newest) == (2, TIME + 1_000, TIME + 2_000)


async def test_the_state_of_a_journal_is_a_text(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([say("hello")], TIME)
        running = await trio.to_thread.run_sync(info, tmp_path / NAME)
        assert (running.state, running.entries) == ("in use", 1)
        assert running.log_bytes > 0
        kill(store)
    assert info(tmp_path / NAME).state == "its last server did not stop in good order"


def test_a_journal_that_no_server_has_used_has_its_own_state(tmp_path: Path) -> None:
    path = written(tmp_path / NAME)
    run_sql(path, "UPDATE about SET run = ''")
    found = info(path)
    assert (found.state, found.entries, found.oldest) == ("no server has used it yet", 0, 0)
    assert list(format_info(found, 10))[-1] == "entries     0 in 0 rooms"


def test_the_rooms_are_a_table_with_fixed_columns(tmp_path: Path) -> None:
    path = written(
        tmp_path / NAME,
        [say("x" * 3_000) for _ in range(4)],
        [say("\u202ea\ttopic" + "!" * 90, topic=True), say("dusty", "Attic")],
    )
    lines = list(format_info(info(path), 1))
    assert lines[5] == "entries     6 in 2 rooms, 2023-11-14 22:13 UTC to 2023-11-14 22:13 UTC"
    assert lines[7].split() == ["room", "numbers", "entries", "size", "newest", "topic"]
    assert lines[8].startswith("Lobby  1-5      5        12.2 KiB  2023-11-14 22:13 UTC  a topic!!!")
    assert (
        lines[8].isprintable()
        and lines[8].endswith("!" * 33)
        and lines[7].index("topic") == lines[8].index("a topic")
    )
    assert lines[9:] == ["1 smaller rooms are not shown (use --all)"]
    assert len(list(format_info(info(path), None))) == 10


def test_sizes_have_a_suitable_unit() -> None:
    room = RoomInfo(room="a", epoch="", first=1, head=1, entries=1, bytes=0, newest=0, topic="")
    sizes = [9_999, 10_240, 5 << 20, 3 << 30]
    said = []
    for size in sizes:
        of = msgspec.structs.replace(room, bytes=size)
        line = list(format_info(_with(of), None))[-1]
        said.append(" ".join(line.split()[3:5]))
    assert said == ["9999 B", "10.0 KiB", "5.0 MiB", "3.0 GiB"]


def _with(room: RoomInfo) -> JournalInfo:
    return JournalInfo(
        path="j",
        bytes=1,
        log_bytes=0,
        version=1,
        durability="normal",
        state="in use",
        server_id="",
        entries=1,
        oldest=0,
        newest=0,
        rooms=[room],
    )
