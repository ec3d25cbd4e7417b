"""The lock on the journal's file: it holds for every name and process, and is released at the end."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.journal.test_memory import said
from tests.journal.test_sqlite import NAME, opened
from trio_chat.errors import CannotStart, JournalInUse, StoreError
from trio_chat.journal import lock
from trio_chat.journal.admin.backup import backup
from trio_chat.journal.admin.check import check
from trio_chat.journal.admin.export import export
from trio_chat.journal.admin.info import info
from trio_chat.journal.lock import JournalDescriptor, is_locked
from trio_chat.journal.sqlite import open_sqlite

HOLD = """
import sys
from pathlib import Path
from trio_chat.journal.lock import JournalDescriptor
JournalDescriptor(Path(sys.argv[1])).lock()
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    path.write_bytes(b"")
    return path


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def descriptors_of(path: Path) -> int:
    """Return how many descriptors this process has of the file."""
    wanted = os.stat(path)
    count = 0
    for name in os.listdir("/dev/fd"):
        try:
            found = os.fstat(int(name))
        except OSError:
            continue  # the descriptor of the listing itself
        count += (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)
    return count


def has_lock_of_sqlite(path: Path) -> bool:
    """Return whether another process sees SQLite's lock on the file."""
    look = (
        "import fcntl, struct, sys\n"
        "shared = 0x40000002, 510\n"  # the bytes that SQLite's readers lock
        "request = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, *shared, 0)\n"
        "with open(sys.argv[1], 'r+b') as file:\n"
        "    print(struct.unpack('hhqqi4x', fcntl.fcntl(file, fcntl.F_GETLK, request))[0] != fcntl.F_UNLCK)\n"
    )
    done = subprocess.run([sys.executable, "-c", look, str(path)], capture_output=True, check=True)
    return done.stdout == b"True\n"


async def test_sqlite_keeps_its_locks_while_the_servers_process_inspects_the_journal(
    tmp_path: Path,
) -> None:
    path, link = tmp_path / NAME, tmp_path / "link.db"
    async with opened(tmp_path) as store:
        await said(store, "a")
        os.link(path, link)
        assert has_lock_of_sqlite(path)
        info(path)
        assert check(path).findings == []
        assert b"".join(export(path))
        backup(path, tmp_path / "copy.db")
        for name in (path, link):
            with pytest.raises(JournalInUse):
                await open_sqlite(name)
        assert has_lock_of_sqlite(path)
    assert not has_lock_of_sqlite(path)


async def test_a_read_that_outlives_the_store_keeps_the_descriptor_but_not_the_lock(tmp_path: Path) -> None:
    path = tmp_path / NAME
    async with opened(tmp_path) as store:
        await said(store, "a")
        with store._readers._connection() as db:
            await store.aclose()
            with closing(JournalDescriptor(path)) as next_server:
                next_server.lock()
            assert db.execute("SELECT head FROM rooms").fetchall() == [(1,)]
            assert has_lock_of_sqlite(path)
    assert not has_lock_of_sqlite(path) and descriptors_of(path) == 0


async def test_a_connection_that_could_not_be_opened_does_not_keep_the_descriptor(tmp_path: Path) -> None:
    path, moved = tmp_path / NAME, tmp_path / "moved.db"
    async with opened(tmp_path) as store:
        with store._readers._connection():
            os.rename(path, moved)
            with pytest.raises(StoreError, match="unable to open"), store._readers._connection():
                pytest.fail("the file is not there")
            os.rename(moved, path)
    assert descriptors_of(path) == 0


def test_a_hard_link_has_the_same_lock(path: Path) -> None:
    link = path.with_name("link.db")
    os.link(path, link)
    with closing(JournalDescriptor(path)) as first, closing(JournalDescriptor(link)) as second:
        assert first.links == second.links == 2
        first.lock()
        assert second.is_locked()
        with pytest.raises(JournalInUse, match=f"a server is using the journal {link}"):
            second.lock()


def test_another_process_is_refused_until_it_is_killed(path: Path) -> None:
    link = path.with_name("link.db")
    os.link(path, link)
    with closing(JournalDescriptor(link)) as file:
        with held_by_another_process(path) as process:
            assert file.is_locked()
            with pytest.raises(JournalInUse):
                file.lock()
            process.send_signal(signal.SIGKILL)
            process.wait(60)
            assert not file.is_locked()
            file.lock()
        assert file.is_locked()


def test_closing_releases_the_lock_while_others_have_the_file_open(path: Path) -> None:
    holder, reader = JournalDescriptor(path), JournalDescriptor(path)
    holder.lock()
    assert is_locked(path), "as another process would see it"
    holder.close()
    assert not is_locked(path)
    holder.close()
    assert descriptors_of(path) == 1, "a second close does not take the reader's share"
    with closing(JournalDescriptor(path)) as next_holder:
        next_holder.lock()
        reader.close()
        assert is_locked(path)


def test_all_users_in_a_process_share_one_descriptor(path: Path) -> None:
    files = [JournalDescriptor(path) for _ in range(5)]
    for file in files:
        assert descriptors_of(path) == 1
        assert not file.is_locked()
    for file in files[1:]:
        file.close()
        assert descriptors_of(path) == 1
    files[0].close()
    assert descriptors_of(path) == 0


def test_a_refused_lock_leaves_no_descriptor_behind(path: Path) -> None:
    with closing(JournalDescriptor(path)) as holder:
        holder.lock()
        for _ in range(20):
            with closing(JournalDescriptor(path)) as other, pytest.raises(JournalInUse):
                other.lock()
        assert descriptors_of(path) == 1


def test_no_child_inherits_the_descriptor(path: Path) -> None:
    with closing(JournalDescriptor(path)) as file:
        file.lock()
        own = os.stat(path)
        (descriptor,) = (
            int(name)
            for name in os.listdir("/dev/fd")
            if os.path.exists(f"/dev/fd/{name}") and os.path.samestat(os.stat(f"/dev/fd/{name}"), own)
        )
        assert not os.get_inheritable(descriptor)


def test_a_reader_that_tests_the_lock_does_not_keep_a_server_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers hold it for some microseconds: the server retries, and gets the lock after them."""
    reader = os.open(path, os.O_RDONLY)
    fcntl.flock(reader, fcntl.LOCK_SH)
    yields = 0

    def let_them_run() -> None:
        nonlocal yields
        yields += 1
        if yields == 3:
            fcntl.flock(reader, fcntl.LOCK_UN)

    monkeypatch.setattr(os, "sched_yield", let_them_run)
    with closing(JournalDescriptor(path)) as file:
        file.lock()
        assert yields == 3
    fcntl.flock(reader, fcntl.LOCK_SH)
    with closing(JournalDescriptor(path)) as file, pytest.raises(JournalInUse):
        file.lock()
    assert yields == 3 + lock.TRIES
    fcntl.flock(reader, fcntl.LOCK_EX)
    with closing(JournalDescriptor(path)) as file, pytest.raises(JournalInUse):
        file.lock()
    assert yields == 3 + lock.TRIES, "beside another server it is refused at once"
    os.close(reader)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_refuses_a_server_and_lets_readers_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with closing(JournalDescriptor(path)) as file:
        assert not file.is_locked()
        with pytest.raises(CannotStart) as raised:
            file.lock()
    assert str(raised.value) == (
        f"cannot lock the journal {path}: {os.strerror(code)}; keep it on a local file system that has flock"
    )


def test_a_new_file_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(JournalDescriptor(path, create=True)) as file:
        assert file.stamp()[0] == 0
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    with pytest.raises(FileNotFoundError):
        JournalDescriptor(path)


def test_what_is_not_a_regular_file_is_not_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for other, reason in ((fifo, "not a regular file"), (Path("/dev/null"), "not a regular file")):
        with pytest.raises(OSError, match=reason):
            JournalDescriptor(other, create=True)
    with pytest.raises(IsADirectoryError):
        JournalDescriptor(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "fifo2")
    with pytest.raises(OSError, match="symbolic links"):
        JournalDescriptor(link, create=True)


def test_a_replacement_file_is_not_the_same_file(path: Path) -> None:
    with closing(JournalDescriptor(path)) as file:
        assert file.is_at(path)
        path.rename(path.with_name("moved.db"))
        path.write_bytes(b"")
        assert not file.is_at(path) and file.is_at(path.with_name("moved.db"))


def test_the_lock_of_a_marker_is_detected(tmp_path: Path) -> None:
    mark = tmp_path / "journal.db-mark"
    assert not is_locked(mark), "there is no marker"
    with mark.open("wb") as file:
        assert not is_locked(mark)
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_locked(mark)
    assert not is_locked(mark)
