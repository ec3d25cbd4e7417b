"""The file, opened by its owner: to read it beside a server, or to change it in a server's stead.

Who reads cannot write. Yet he opens it for writing, where he may: so nothing is left lying beside it when
he has done, and the log of a server that was killed is written back, as the next server would.
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
from trio_chat.journal.sqlite_file import connect, prepare, refuse_others, storing, version_of
from trio_chat.journal.sqlite_marker import mark_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Progress",
    "changing",
    "interruptible",
    "is_in_use",
    "moment",
    "owning",
    "reading",
    "was_interrupted",
]

Progress = Callable[[int, int], None]
"""Told how much is done, and of how much in all; called some ten times a second, or oftener."""

# What SQLite says where it cannot create the index of a log.
_NO_ROOM = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}

LOOKS = 1_000  # some milliseconds

STEPS_BETWEEN_LOOKS = 200_000  # of SQLite's machine, a few milliseconds: so soon is Ctrl-C heard


@contextmanager
def owning(path: Path) -> Iterator[None]:
    """What the disk and the file do wrong comes out as `JournalToolError`, and an interrupted statement as
    what interrupted it."""
    try:
        with storing():
            yield
    except StoreError as error:
        refuse_others(path, error)
        raise JournalToolError(f"{path}: {error}") from error
    except sqlite3.OperationalError as error:
        if not was_interrupted(error):
            raise
        raise KeyboardInterrupt from None


def was_interrupted(error: sqlite3.Error) -> bool:
    """Whether a statement ended because Python raised in it. Python's own complaints have no code."""
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection that reads, also on read-only media.

    Raises:
        NotDone: There is no file, or it cannot be read, or it changed meanwhile though it should not.
        CannotStart: It is no journal, or of a newer version, or its log is not of it.
    """
    with owning(path):
        file = _descriptor(path)
        try:
            _refuse_another_name(file)
            if not file.is_locked():
                check_log(file)
            before = file.stamp()
            db, frozen = _open(file)
            with closing(db):
                if not version_of(db, path):
                    raise JournalToolError(f"{path} is empty")
                interruptible(db)
                yield db
            if frozen and (file.is_locked() or file.stamp() != before):
                raise JournalToolError(
                    f"{path} was changed while it was read: what was read may be wrong; try again"
                )
        finally:
            file.close()


def _descriptor(path: Path) -> JournalDescriptor:
    try:
        return JournalDescriptor(Path(os.path.realpath(path)))
    except (FileNotFoundError, NotADirectoryError):
        raise JournalToolError(f"there is no journal {path}") from None


def _refuse_another_name(file: JournalDescriptor) -> None:
    """Raise `JournalToolError` when a server has the file by another name: its log, with the newest entries,
    lies there."""
    for _ in range(LOOKS):  # a server that starts or stops has one lock before the other
        if not file.is_locked() or _is_marked(file):
            return
    raise JournalToolError(
        f"cannot read {file.path}: a server uses it by another name (a hard link or a bind mount),"
        " where its log is; use that name"
    )


def _is_marked(file: JournalDescriptor) -> bool:
    """Return whether the server that has the file has it by this name."""
    try:
        return is_locked(mark_of(file.path))
    except PermissionError:
        return os.path.exists(
            f"{file.path}-wal"
        )  # the mark is its owner's, and the log has the journal's mode


def _open(file: JournalDescriptor) -> tuple[sqlite3.Connection, bool]:
    """Open a connection that reads, and return whether it reads the file as it is."""
    frozen = _has_to_be_frozen(file)
    try:
        return _connect(file.path, frozen=frozen), frozen
    except sqlite3.OperationalError as error:
        # A full disk: the index cannot be created there either. Without a log it is not needed.
        no_room = getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM
        if frozen or not no_room or _has_log(file) or file.is_locked():
            raise
        return _connect(file.path, frozen=True), True


def _connect(path: Path, *, frozen: bool) -> sqlite3.Connection:
    db = connect(path, frozen=frozen)
    try:
        db.execute("PRAGMA query_only = ON")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # only now SQLite opens the file
    except BaseException:
        db.close()
        raise
    return db


def _has_log(file: JournalDescriptor) -> bool:
    log = f"{file.path}-wal"
    return os.path.exists(log) and os.path.getsize(log) > 0


def _has_to_be_frozen(file: JournalDescriptor) -> bool:
    """Return whether the file can only be read as it is: nothing can be created beside it, and nobody writes.

    SQLite reads a journal through an index of its log, which it creates beside the file and removes again;
    where the file cannot be written it would leave that behind.

    Raises:
        NotDone: The log has to be read as well, and has no index.
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
def moment(db: sqlite3.Connection) -> Iterator[None]:
    """All that is read in the block is of one moment. While it lasts a server's log only grows."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


@contextmanager
def changing(path: Path, *, create: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection that writes, and the lock that keeps every server out; one of an older version becomes
    one of this. At the end all is on the disk.

    Raises `JournalToolError` where there is no file and none is to be made, and `CannotStart` as a server
    does: the file is in use, no journal, or of a newer version.
    """
    with owning(path):
        claim = _claim(path, create=create)
        try:
            with closing(connect(claim.path)) as db:
                prepare(db, claim.path, "full")
                claim.check()
                interruptible(db)
                given = _entries_given(db)
                yield db
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                claim.mark.removed(given - _entries_given(db))
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
    """Return how many numbers the rooms have given to entries, as the mark counts them."""
    count: int = db.execute("SELECT coalesce(sum(head), 0) FROM rooms").fetchone()[0]
    return count


def interruptible(db: sqlite3.Connection) -> None:
    """Let Ctrl-C end a statement that takes long: Python raises in the call, SQLite then gives up."""
    db.set_progress_handler(lambda: 0, STEPS_BETWEEN_LOOKS)


def is_in_use(path: Path) -> bool:
    """Return whether a server, or a command that changes the journal, has it now."""
    try:
        file = JournalDescriptor(Path(os.path.realpath(path)))
    except OSError:
        return False
    try:
        return file.is_locked()
    finally:
        file.close()
