"""The errors of a journal's disk that end a server with the status for a temporary error."""

import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trio_chat.errors import CannotStart, JournalUnavailable, StoreError
from trio_chat.journal import sqlite_file
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.server.process import default_journal

PASSING = [errno.ENOSPC, errno.EDQUOT, errno.EIO]
LASTING = [errno.EROFS, errno.EACCES, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG]


def raises(number: int) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "journal.db")

    return fail


@pytest.mark.parametrize("number", PASSING + LASTING)
async def test_the_systems_error_is_reported_and_sets_the_status(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_chat.journal.claim.JournalDescriptor", raises(number))
    path = tmp_path / "journal.db"
    with pytest.raises(CannotStart) as caught:
        await open_sqlite(path)
    assert str(caught.value).startswith(f"cannot keep a journal in {path}: {os.strerror(number)}")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == (75 if number in PASSING else 2)


@pytest.mark.parametrize("number", PASSING + LASTING)
def test_the_default_path_fails_in_the_same_way(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_chat.server.process.Path.mkdir", raises(number))
    with pytest.raises(
        CannotStart, match=f"cannot create the journal's directory: journal.db: {os.strerror(number)}"
    ) as caught:
        default_journal()
    assert caught.value.exit_status == (75 if number in PASSING else 2)


def sqlite_error(code: int, text: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "system", "status", "told"),
    [
        (sqlite3.SQLITE_IOERR_WRITE, errno.EDQUOT, 75, "Disk quota exceeded; free some space there or"),
        (sqlite3.SQLITE_IOERR_FSYNC, errno.EIO, 75, "Input/output error; check the disk"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, errno.ENOSPC, 75, "No space left on device; free some space"),
        (
            sqlite3.SQLITE_CANTOPEN,
            errno.ENOSPC,
            75,
            "No space left on device; free some space or some inodes",
        ),
        (sqlite3.SQLITE_CANTOPEN, errno.EROFS, 2, "Read-only file system; make it writable"),
        (sqlite3.SQLITE_READONLY_DBMOVED, errno.EROFS, 2, "Read-only file system; make it writable"),
        (sqlite3.SQLITE_FULL, 0, 75, "SQLite's words"),
        (sqlite3.SQLITE_IOERR_READ, 0, 75, "SQLite's words"),
        (sqlite3.SQLITE_BUSY, 0, 75, "SQLite's words"),
        (sqlite3.SQLITE_BUSY, errno.EROFS, 75, "SQLite's words"),
        (sqlite3.SQLITE_CANTOPEN, 0, 2, "SQLite's words"),
        (sqlite3.SQLITE_READONLY, 0, 2, "SQLite's words"),
        (sqlite3.SQLITE_CORRUPT, errno.EIO, 2, "SQLite's words"),
    ],
)
async def test_an_ambiguous_sqlite_error_is_explained(
    code: int, system: int, status: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system:
        monkeypatch.setattr(tempfile, "TemporaryFile", raises(system))
    path = tmp_path / "journal.db"
    with pytest.raises(CannotStart) as caught, sqlite_file.as_start_error(path):
        raise sqlite_error(code, "SQLite's words")
    assert str(caught.value).startswith(f"cannot keep a journal in {path}: {told}")
    assert caught.value.exit_status == status
    assert isinstance(caught.value, JournalUnavailable) == (status == 75)
    assert os.listdir(tmp_path) == [], "what was tried leaves nothing"


async def test_an_error_without_a_cause_is_reported_unchanged(tmp_path: Path) -> None:
    with (
        pytest.raises(CannotStart, match="the words") as caught,
        sqlite_file.as_start_error(tmp_path / "journal.db"),
    ):
        raise StoreError("the words")
    assert caught.value.exit_status == 2
