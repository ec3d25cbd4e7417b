"""The file, opened by its owner: to read it beside a server, or to change it in a server's stead.

Who reads cannot write. Yet he opens it for writing, where he may: so nothing is left lying beside it when
he has done, and the log of a server that was killed is written back, as the next server would.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trio_chat.errors import NotDone, StoreError
from trio_chat.journal.sqlite_file import connect, make_file, prepare, refuse_others, storing, version_of
from trio_chat.journal.sqlite_mark import Mark

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

STEPS_BETWEEN_LOOKS = 200_000  # of SQLite's machine, a few milliseconds: so soon is Ctrl-C heard


@contextmanager
def owning(path: Path) -> Iterator[None]:
    """What the disk and the file do wrong comes out as `NotDone`, and an interrupted statement as what
    interrupted it."""
    try:
        with storing():
            yield
    except StoreError as error:
        refuse_others(path, error)
        raise NotDone(f"{path}: {error}") from error
    except sqlite3.OperationalError as error:
        if not was_interrupted(error):
            raise
        raise KeyboardInterrupt from None


def was_interrupted(error: sqlite3.Error) -> bool:
    """Whether a statement ended because Python raised in it. Python's own complaints have no code."""
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads. Raises `NotDone` where there is no file, and `CannotStart` for one that is
    no journal or of a newer version."""
    if not path.exists():
        raise NotDone(f"there is no journal {path}")
    with owning(path):
        with closing(connect(path)) as db:
            db.execute("PRAGMA query_only = ON")
            if not version_of(db, path):
                raise NotDone(f"{path} is empty")
            interruptible(db)
            yield db


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

    Raises `NotDone` where there is no file and none is to be made, and `CannotStart` as a server does: the
    file is in use, no journal, or of a newer version.
    """
    if not create and not path.exists():
        raise NotDone(f"there is no journal {path}")
    with owning(path):
        path = Path(os.path.realpath(path))
        if path.exists():
            with closing(connect(path)) as db:
                version_of(db, path)
        mark = Mark(path)
        try:
            make_file(path)
            with closing(connect(path)) as db:
                prepare(db, path, "full")
                interruptible(db)
                given = _entries_given(db)
                yield db
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                mark.removed(given - _entries_given(db))
        finally:
            mark.close()


def _entries_given(db: sqlite3.Connection) -> int:
    """Return how many numbers the rooms have given to entries, as the mark counts them."""
    count: int = db.execute("SELECT coalesce(sum(head), 0) FROM rooms").fetchone()[0]
    return count


def interruptible(db: sqlite3.Connection) -> None:
    """Let Ctrl-C end a statement that takes long: Python raises in the call, SQLite then gives up."""
    db.set_progress_handler(lambda: 0, STEPS_BETWEEN_LOOKS)


def is_in_use(path: Path) -> bool:
    """Whether a server, or somebody else who changes it, has the journal now.

    The lock is taken for some microseconds to find out; a server that starts in just these is turned away.
    """
    try:
        mark = os.open(f"{os.path.realpath(path)}-mark", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(mark)
    return False
