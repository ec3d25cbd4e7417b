"""Open the file for its owner: to read it beside a server, or to change it while no server runs.

A reading connection cannot write entries. It still opens the file for writing where that is allowed. Then
SQLite removes its files beside the journal at the end, and writes back the log of a killed server, as the
next server would.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trio_chat.errors import JournalToolError, StoreError
from trio_chat.journal.claim import Claim
from trio_chat.journal.lock import JournalDescriptor, is_locked
from trio_chat.journal.log_origin import check_log
from trio_chat.journal.placement import may_write
from trio_chat.journal.sqlite_file import as_store_error, connect, prepare, raise_if_not_journal, version_of
from trio_chat.journal.sqlite_marker import marker_path

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Progress",
    "as_tool_error",
    "interruptible",
    "is_in_use",
    "open_reader",
    "open_writer",
    "snapshot",
    "was_interrupted",
]

Progress = Callable[[int, int], None]
"""Called with the work done and the total, at least ten times a second."""

# SQLite's errors when it cannot create the index of a log.
_NO_ROOM = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}

LOCK_CHECKS = 1_000  # these take some milliseconds

STEPS_BETWEEN_CHECKS = 200_000  # of SQLite's virtual machine: a few milliseconds until Ctrl-C has an effect


@contextmanager
def as_tool_error(path: Path) -> Iterator[None]:
    """Raise errors of the disk and the file as `JournalToolError`, and an interrupted statement as
    `KeyboardInterrupt`."""
    try:
        with as_store_error():
            yield
    except StoreError as error:
        raise_if_not_journal(path, error)
        raise JournalToolError(f"{path}: {error}") from error
    except sqlite3.OperationalError as error:
        if not was_interrupted(error):
            raise
        raise KeyboardInterrupt from None


def was_interrupted(error: sqlite3.Error) -> bool:
    """Return whether Ctrl-C ended a statement. Errors raised by Python itself have no code."""
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT


@contextmanager
def open_reader(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection that only reads; this also works on read-only media.

    Raises:
        JournalToolError: There is no file, it cannot be read, or it changed during an unlocked read.
        CannotStart: The file is not a journal, has a newer version, or its log belongs to another file.
    """
    with as_tool_error(path):
        file = _descriptor(path)
        try:
            _refuse_another_name(file)
            if not file.is_locked():
                check_log(file)
            before = file.stamp()
            db, frozen = _open(file)
            with closing(db):
                if not version_of(db, path):
                    raise JournalToolError(f"cannot read {path}: the file is empty")
                interruptible(db)
                yield db
            if frozen and (file.is_locked() or file.stamp() != before):
                raise JournalToolError(
                    f"cannot read {path}: it changed meanwhile, so the result may be wrong; try again"
                )
        finally:
            file.close()


def _descriptor(path: Path) -> JournalDescriptor:
    try:
        return JournalDescriptor(Path(os.path.realpath(path)))
    except (FileNotFoundError, NotADirectoryError):
        raise JournalToolError(f"there is no journal {path}") from None


def _refuse_another_name(file: JournalDescriptor) -> None:
    """Raise `JournalToolError` when a server uses the file under another name: the log with the newest
    entries is beside that name."""
    for _ in range(LOCK_CHECKS):  # a server that starts or stops holds only one of the two locks for a moment
        if not file.is_locked() or _is_marked(file):
            return
    raise JournalToolError(
        f"cannot read {file.path}: a server uses it under another name (a hard link or a bind mount),"
        " where its log is; use that name"
    )


def _is_marked(file: JournalDescriptor) -> bool:
    """Return whether the server that uses the file uses it under this name."""
    try:
        return is_locked(marker_path(file.path))
    except PermissionError:
        # Only its owner may open the marker. The log has the same mode as the journal.
        return os.path.exists(f"{file.path}-wal")


def _open(file: JournalDescriptor) -> tuple[sqlite3.Connection, bool]:
    """Open a connection that reads; return it, and whether it ignores the log and takes no locks."""
    frozen = _has_to_be_frozen(file)
    try:
        return _connect(file.path, frozen=frozen), frozen
    except sqlite3.OperationalError as error:
        # The disk is full, so the log's index cannot be created. Without a log it is not needed.
        no_room = getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM
        if frozen or not no_room or _has_log(file) or file.is_locked():
            raise
        return _connect(file.path, frozen=True), True


def _connect(path: Path, *, frozen: bool) -> sqlite3.Connection:
    db = connect(path, frozen=frozen)
    try:
        db.execute("PRAGMA query_only = ON")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # SQLite opens the file only now
    except BaseException:
        db.close()
        raise
    return db


def _has_log(file: JournalDescriptor) -> bool:
    log = f"{file.path}-wal"
    return os.path.exists(log) and os.path.getsize(log) > 0


def _has_to_be_frozen(file: JournalDescriptor) -> bool:
    """Return whether the file must be read without log and locks: nothing can be created beside it, and no
    server writes to it.

    SQLite reads a journal through an index of its log. It creates the index beside the file and removes it
    again; where the file is not writable the index would be left behind.

    Raises:
        JournalToolError: The log must be read too, and has no index.
    """
    directory = may_write(file.path.parent)
    if directory and may_write(file.path):
        return False
    if _has_log(file):
        if not directory and not os.path.exists(f"{file.path}-shm"):
            raise JournalToolError(
                f"cannot read {file.path}: its log {file.path}-wal has no index, and none can be created;"
                " copy both to a directory that you may write to, and read that copy"
            )
        return False
    return not file.is_locked()


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """Read everything in the block at one moment. Until the end of the block the server's log only grows."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


@contextmanager
def open_writer(path: Path, *, create: bool = False) -> Iterator[sqlite3.Connection]:
    """Yield a connection that writes, under the lock that keeps servers out; at the end all is on the disk.

    A journal of an older version is migrated to the current version.

    Raises:
        JournalToolError: There is no file and `create` is false.
        CannotStart: The file is in use, is not a journal, or has a newer version.
    """
    with as_tool_error(path):
        claim = _claim(path, create=create)
        try:
            with closing(connect(claim.path)) as db:
                prepare(db, claim.path, "full")
                claim.check()
                interruptible(db)
                given = _entries_given(db)
                yield db
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                claim.marker.subtract_entries(given - _entries_given(db))
        finally:
            claim.close()


def _claim(path: Path, *, create: bool) -> Claim:
    try:
        return Claim(path, create=create)
    except (FileNotFoundError, NotADirectoryError):
        if create:
            raise
        raise JournalToolError(f"there is no journal {path}") from None


def _entries_given(db: sqlite3.Connection) -> int:
    """Return how many numbers the rooms have assigned, as the marker counts them."""
    count: int = db.execute("SELECT coalesce(sum(head), 0) FROM rooms").fetchone()[0]
    return count


def interruptible(db: sqlite3.Connection) -> None:
    """Let Ctrl-C end a long statement: Python raises in the progress handler, and SQLite then stops."""
    db.set_progress_handler(lambda: 0, STEPS_BETWEEN_CHECKS)


def is_in_use(path: Path) -> bool:
    """Return whether a server, or a command that changes the journal, uses it now."""
    try:
        file = JournalDescriptor(Path(os.path.realpath(path)))
    except OSError:
        return False
    try:
        return file.is_locked()
    finally:
        file.close()
