"""The epochs: they stay while the file surely has the history that clients know, and change otherwise."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journal.test_memory import said, texts
from tests.journal.test_sqlite import NAME, kill, opened, record
from trio_chat.journal.sqlite import Durability, open_sqlite
from trio_chat.journal.sqlite_marker import LastRun, MarkerContent, new_epochs_reason, read_boot_id

CLEAN = LastRun("run", "boot", "normal", stopped=True)
KILLED = LastRun("run", "boot", "normal", stopped=False)
KILLED_FULL = LastRun("run", "boot", "full", stopped=False)
MARKED = MarkerContent("run", 7, 100)


@pytest.mark.parametrize(
    ("last", "marked", "entries", "boot", "why"),
    [
        (LastRun("", "", "", stopped=True), None, 0, "boot", ""),
        (CLEAN, MARKED, 100, "boot", ""),
        (CLEAN, MARKED, 100, "another", ""),
        (CLEAN, MARKED, 100, "", ""),
        (CLEAN, MARKED, 103, "boot", ""),  # killed between a commit and its mark, then started and stopped
        (CLEAN, None, 100, "boot", "looks restored (no marker file)"),
        (
            CLEAN,
            MarkerContent("other", 7, 100),
            100,
            "boot",
            "looks restored (the marker file is of another file)",
        ),
        (
            CLEAN,
            MarkerContent("run", 8, 100),
            100,
            "boot",
            "looks restored (the marker file is of another file)",
        ),
        (CLEAN, MARKED, 99, "boot", "looks restored (the newest entries are missing)"),
        (KILLED, MARKED, 100, "boot", ""),
        (KILLED, MARKED, 100, "another", "the machine crashed"),
        (KILLED, MARKED, 100, "", "the machine crashed"),
        (LastRun("run", "", "normal", stopped=False), MARKED, 100, "", "the machine crashed"),
        (KILLED_FULL, MARKED, 100, "another", ""),
        (KILLED_FULL, MARKED, 100, "", ""),
        (KILLED_FULL, MARKED, 99, "another", "looks restored (the newest entries are missing)"),
    ],
)
def test_a_possibly_different_history_has_new_epochs(
    last: LastRun, marked: MarkerContent | None, entries: int, boot: str, why: str
) -> None:
    said = new_epochs_reason(last, marked, 7, entries, boot)
    assert said.startswith(why) and bool(said) == bool(why)


def test_a_boot_has_an_id_that_stays() -> None:
    assert read_boot_id() == read_boot_id()


async def spoken(directory: Path, *texts: str, durability: Durability = "normal") -> str:
    """Return the epoch of the lobby, after a run that committed texts and stopped cleanly."""
    async with opened(directory, durability=durability) as store:
        await said(store, *texts)
        return (await record(store)).epoch


async def committed_and_killed(directory: Path, *texts: str, durability: Durability = "normal") -> str:
    async with opened(directory, durability=durability) as store:
        await said(store, *texts)
        epoch = (await record(store)).epoch
        kill(store)
        return epoch


async def epoch_now(directory: Path, *, boot: str = "first boot") -> str:
    async with opened(directory, boot=boot) as store:
        return (await record(store)).epoch


async def test_a_clean_stop_keeps_the_epoch_over_any_boot(tmp_path: Path) -> None:
    epoch = await spoken(tmp_path, "a")
    assert await epoch_now(tmp_path) == epoch
    assert await epoch_now(tmp_path, boot="second boot") == epoch


async def test_a_crash_of_the_process_keeps_the_epoch(tmp_path: Path) -> None:
    epoch = await committed_and_killed(tmp_path, "a", "b")
    async with opened(tmp_path) as store:
        assert (await record(store)).epoch == epoch
        assert await texts(store) == ["a", "b"]


@pytest.mark.parametrize("boot", ["second boot", ""])
async def test_a_crash_of_the_machine_gives_every_room_a_new_epoch(
    tmp_path: Path, boot: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        await said(store, "a")
        await said(store, "b", room="attic")
        before = [(await record(store, room)).epoch for room in ("lobby", "attic")]
        kill(store)
    async with opened(tmp_path, boot=boot) as store:
        after = [(await record(store, room)).epoch for room in ("lobby", "attic")]
        assert len({*before, *after}) == 4
        assert await texts(store) == ["a"]
    assert "the machine crashed" in caplog.text
    assert [await epoch_now(tmp_path), *after[1:]] == after, "the new epochs stay"


async def test_full_durability_keeps_the_epoch_over_a_crash_of_the_machine(tmp_path: Path) -> None:
    epoch = await committed_and_killed(tmp_path, "a", durability="full")
    assert await epoch_now(tmp_path, boot="second boot") == epoch


async def test_only_the_last_run_decides_about_the_epochs(tmp_path: Path) -> None:
    epoch = await spoken(tmp_path, "a", durability="full")
    await committed_and_killed(tmp_path, "b")
    assert await epoch_now(tmp_path, boot="second boot") != epoch


def moved(directory: Path) -> None:
    os.rename(directory / NAME, directory / "away")


def copied_back(directory: Path) -> None:
    """Restore all files from a copy."""
    shutil.copy(directory / NAME, directory / "copy")
    os.unlink(directory / NAME)
    os.rename(directory / "copy", directory / NAME)


def without_its_marker(directory: Path) -> None:
    os.unlink(directory / f"{NAME}-mark")


def with_a_broken_marker(directory: Path) -> None:
    (directory / f"{NAME}-mark").write_bytes(b"\xff trio-chat")


@pytest.mark.parametrize("how", [copied_back, without_its_marker, with_a_broken_marker])
async def test_a_possible_copy_has_new_epochs(
    tmp_path: Path, how: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    epoch = await spoken(tmp_path, "a")
    how(tmp_path)
    assert await epoch_now(tmp_path) != epoch
    assert "clients will reload their rooms" in caplog.text


async def test_an_older_copy_written_over_the_file_has_new_epochs(tmp_path: Path) -> None:
    """The inode is the same, but the file has the id of an earlier run."""
    epoch = await spoken(tmp_path, "a")
    older = (tmp_path / NAME).read_bytes()
    assert await spoken(tmp_path, "b", "c") == epoch
    (tmp_path / NAME).write_bytes(older)
    async with opened(tmp_path) as store:
        known = await record(store)
        assert (known.head, known.epoch != epoch) == (1, True)


async def test_a_copy_made_while_the_server_ran_has_new_epochs_when_more_was_said(tmp_path: Path) -> None:
    """It has the id of the same run, but fewer entries than were acknowledged."""
    path, log = tmp_path / NAME, tmp_path / f"{NAME}-wal"
    async with opened(tmp_path) as store:
        await said(store, "a")
        epoch = (await record(store)).epoch
        older = path.read_bytes(), log.read_bytes()
        await said(store, "b")
        kill(store)
    path.write_bytes(older[0])
    log.write_bytes(older[1])
    async with opened(tmp_path) as store:
        known = await record(store)
        assert (known.head, known.epoch != epoch) == (1, True)


async def test_a_removed_log_is_detected(tmp_path: Path) -> None:
    path = tmp_path / NAME
    epoch = await spoken(tmp_path, "a")
    async with opened(tmp_path) as store:
        without = path.read_bytes()
        await said(store, "b")
        kill(store)
    path.write_bytes(without)
    async with opened(tmp_path) as store:
        known = await record(store)
        assert (known.head, known.epoch != epoch) == (1, True)


async def test_a_torn_log_gives_new_epochs(tmp_path: Path) -> None:
    """The process was killed, and the disk lost half of a page of the log."""
    path, log = tmp_path / NAME, tmp_path / f"{NAME}-wal"
    async with opened(tmp_path) as store:
        await said(store, "a")
        epoch = (await record(store)).epoch
        await said(store, "b")
        whole = path.read_bytes(), log.read_bytes()
        kill(store)
    path.write_bytes(whole[0])
    log.write_bytes(whole[1][:-2_000])
    async with opened(tmp_path) as store:
        known = await record(store)
        assert (known.head, known.epoch != epoch) == (1, True)
        assert [outcome.seq for outcome in await said(store, "c")] == [2]


async def test_a_new_journal_at_the_same_path_has_other_epochs(tmp_path: Path) -> None:
    epoch = await spoken(tmp_path, "a")
    moved(tmp_path)
    assert await spoken(tmp_path, "a") != epoch


async def test_a_full_disk_does_not_damage_the_marker(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        os.close(store._writer._mark._file)
        with (tmp_path / f"{NAME}-mark").open("rb") as read_only:
            store._writer._mark._file = os.dup(read_only.fileno())
        assert [outcome.seq for outcome in await said(store, "a")] == [1]
    store = await open_sqlite(tmp_path / NAME)
    await store.aclose()
