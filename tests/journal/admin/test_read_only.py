"""Read-only media, and files that only others may write: what only reads works there, and leaves nothing."""

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.journal.admin.journals import TIME, say, small, text_of
from tests.journal.test_sqlite import NAME, opened
from tests.users import UNPRIVILEGED_UID, unprivileged, unprivileged_directory
from trio_chat.errors import CannotStart, JournalToolError
from trio_chat.journal.admin import connect
from trio_chat.journal.admin.atomic_file import whole_file
from trio_chat.journal.admin.backup import backup
from trio_chat.journal.admin.check import check
from trio_chat.journal.admin.connect import reading
from trio_chat.journal.admin.export import export
from trio_chat.journal.admin.info import info
from trio_chat.journal.admin.prune import Old, prune
from trio_chat.journal.lock import JournalDescriptor
from trio_chat.journal.sqlite_marker import mark_of


@pytest.fixture
def directory() -> Iterator[Path]:
    with unprivileged_directory() as path:
        yield path


def owned(directory: Path) -> None:
    """Give all files in the directory to the user of `unprivileged`."""
    if not os.geteuid():
        for path in directory.iterdir():
            os.chown(path, UNPRIVILEGED_UID, UNPRIVILEGED_UID)


def closed(path: Path, what: str) -> None:
    """Forbid writing: to the file, to its directory, or to both."""
    if what != "directory":
        path.chmod(0o400)
    if what != "file":
        path.parent.chmod(0o500)


@pytest.mark.parametrize("what", ["file", "directory", "both"])
def test_what_only_reads_works_where_nothing_can_be_written(directory: Path, what: str) -> None:
    path = small(directory / NAME)
    expected, copy = text_of(path), directory.with_name(f"{directory.name}-copy")
    owned(directory)
    with unprivileged():
        closed(path, what)
        before = sorted(os.listdir(directory))
        assert info(path).entries == 5
        assert check(path).findings == []
        assert text_of(path) == expected
        assert len(prune(path, Old(keep_entries=1), dry_run=True).rooms) == 1
        try:
            assert backup(path, copy) == copy.stat().st_size
            assert text_of(copy) == expected
        finally:
            copy.unlink(missing_ok=True)
        assert sorted(os.listdir(directory)) == before, "no log and no index is left there"


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_log_that_was_left_is_read_too(directory: Path, tmp_path: Path, what: str) -> None:
    """As a snapshot of a server's disk has it, or what a killed server left."""
    trio.run(snapshot_of_a_server, tmp_path, directory)
    path, index = directory / NAME, directory / f"{NAME}-shm"
    owned(directory)
    with unprivileged():
        closed(path, what)
        assert b'"hello"' in text_of(path)
        directory.chmod(0o700)
        index.unlink()
        closed(path, "directory")
        with pytest.raises(
            JournalToolError, match=r"its log .*-wal has no index, and none can be created; copy"
        ):
            info(path)


async def snapshot_of_a_server(running: Path, directory: Path) -> None:
    """Copy all files of a server that has just committed "hello"."""
    async with opened(running) as store:
        await store.commit([say("hello")], TIME)
        for name in os.listdir(running):
            shutil.copy(running / name, directory)


@contextmanager
def full_disk() -> Iterator[None]:
    """Forbid this process to make any file longer than a few bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_a_journal_without_a_log_is_read_as_it_is(tmp_path: Path) -> None:
    """To copy it to another disk is what is wanted then."""
    path = small(tmp_path / NAME)
    expected = text_of(path)
    with full_disk():
        assert info(path).entries == 5
        assert check(path).findings == []
        assert text_of(path) == expected
    assert text_of(path) == expected


def test_on_a_full_disk_a_log_without_an_index_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "running").mkdir()
    trio.run(snapshot_of_a_server, tmp_path / "running", tmp_path)
    (tmp_path / f"{NAME}-shm").unlink()
    with full_disk(), pytest.raises(JournalToolError, match="disk I/O error"):
        info(tmp_path / NAME)
    assert b'"hello"' in text_of(tmp_path / NAME)


async def test_beside_a_server_a_view_that_is_read_only_shows_what_was_said_last(directory: Path) -> None:
    async with opened(directory) as store:
        owned(directory)
        with unprivileged():
            closed(directory / NAME, "directory")
            found = info(directory / NAME)
            assert (found.entries, found.log_bytes, found.state) == (0, 0, "in use")
        await store.commit([say("hello")], TIME)
        with unprivileged():
            for name in os.listdir(directory):
                (directory / name).chmod(0o400)
            closed(directory / NAME, "directory")
            assert b'"hello"' in b"".join(export(directory / NAME))
            assert info(directory / NAME).state == "in use"


async def test_beside_a_server_a_user_who_may_read_the_journal_and_not_the_mark_reads_it(
    directory: Path,
) -> None:
    path, link = directory / NAME, directory / "link.db"
    os.close(os.open(path, os.O_CREAT))
    os.chmod(path, 0o644)  # the log and its index get the same
    os.chmod(directory, 0o755)
    async with opened(directory) as store:
        await store.commit([say("hello")], TIME)
        os.chmod(mark_of(path), 0)
        os.link(path, link)
        os.close(os.open(mark_of(link), os.O_CREAT, 0))
        with unprivileged():
            assert b'"hello"' in b"".join(export(path))
            with pytest.raises(JournalToolError, match="by another name"):
                info(link)


@pytest.mark.parametrize("looks", [1, 50])
def test_a_server_that_starts_meanwhile_is_not_taken_for_one_by_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """It locks the file first, then the mark."""
    path = small(tmp_path / NAME)
    left = looks

    def is_marked(_: JournalDescriptor) -> bool:
        nonlocal left
        left -= 1
        return not left

    monkeypatch.setattr(connect, "_is_marked", is_marked)
    server = JournalDescriptor(path)
    server.lock()
    assert info(path).entries == 5
    assert left == 0
    server.close()


def test_a_file_that_is_changed_while_it_is_read_as_it_is_is_told(directory: Path) -> None:
    """By a server that sees the same directory by another mount, on which it may write."""
    path = small(directory / NAME)
    owned(directory)
    with unprivileged():
        closed(path, "directory")
        with (
            pytest.raises(
                JournalToolError, match="was changed while it was read: what was read may be wrong"
            ),
            reading(path) as db,
        ):
            db.execute("SELECT * FROM rooms").fetchall()
            os.utime(path, ns=(0, 0))
        with pytest.raises(JournalToolError, match="was changed while it was read"), reading(path):
            server = JournalDescriptor(path)
            server.lock()
        server.close()
        with reading(path) as db:
            assert db.execute("SELECT count(*) FROM rooms").fetchall() == [(2,)]


def test_a_file_that_cannot_even_be_read_is_one_line(directory: Path) -> None:
    path = small(directory / NAME)
    owned(directory)
    with unprivileged():
        path.chmod(0)
        for command in (info, check, text_of):
            with pytest.raises(JournalToolError, match=f"{path}: Permission denied"):
                command(path)
        directory.chmod(0)
        for command in (info, check, text_of):
            with pytest.raises(JournalToolError, match=f"{path}: Permission denied"):
                command(path)
        with pytest.raises(CannotStart, match="cannot write to the directory of the journal"):
            prune(path, Old(keep_entries=1))
        with pytest.raises(JournalToolError, match="Permission denied"):
            backup(path, directory / "copy.db")
        directory.chmod(0o700)


def test_a_server_that_has_the_file_by_another_name_is_told(tmp_path: Path) -> None:
    """Its log lies beside that name: without it, what was said last would be missing."""
    path, link = small(tmp_path / NAME), tmp_path / "link.db"
    os.link(path, link)
    server = JournalDescriptor(path)
    server.lock()
    for command in (info, check, text_of):
        with pytest.raises(JournalToolError, match=f"cannot read {link}: a server uses it by another name"):
            command(link)
    with pytest.raises(JournalToolError, match="by another name"):
        backup(link, tmp_path / "copy.db")
    server.close()
    assert info(link).entries == 5


async def test_beside_its_server_a_journal_is_read_by_its_own_name_and_by_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / NAME)
    async with opened(tmp_path) as store:
        await store.commit([say("hello")], TIME)
        for name in (NAME, "link.db"):
            found = info(tmp_path / name)
            assert (found.entries, found.state, found.log_bytes > 0) == (1, "in use", True)


def test_a_file_is_not_put_in_the_place_of_a_journal_in_use(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    server = JournalDescriptor(path)
    server.lock()
    with pytest.raises(JournalToolError, match="is a journal in use; choose another file"):
        with whole_file(path, replace=True):
            pytest.fail("it would take the journal's place")
    server.close()
    assert info(path).entries == 5


def test_a_symlink_that_leads_nowhere_is_there_already(tmp_path: Path) -> None:
    path, link = small(tmp_path / NAME), tmp_path / "link.db"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(JournalToolError, match="is there already; --force replaces it"):
        backup(path, link)
    assert link.is_symlink()


def test_a_copy_is_not_put_beside_a_log_that_was_left_there(tmp_path: Path) -> None:
    """SQLite would take it for the copy's."""
    path, copy = small(tmp_path / NAME), tmp_path / "copy.db"
    (tmp_path / "copy.db-wal").write_bytes(b"of another file")
    with pytest.raises(JournalToolError, match="is a journal that is in use, or was when its server died"):
        backup(path, copy)
    assert not copy.exists()
