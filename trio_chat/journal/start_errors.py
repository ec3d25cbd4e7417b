"""Why a server cannot keep its journal where it should, and whether that may pass by itself.

SQLite says "disk I/O error" or "unable to open database file" of many things, among them a quota, a lack of
inodes and a directory that is not there. What the system says of a file beside the journal tells them apart.
An error that may pass ends the server with another exit status, so that a supervisor starts it again.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from typing import TYPE_CHECKING

from trio_chat.errors import CannotStart, JournalUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from trio_chat.errors import StoreError

__all__ = ["may_pass", "start_error"]

TRIED_BYTES = 64 << 10  # of a file beside the journal: an empty one fits on a full disk

_HINTS = {
    errno.ENOSPC: "free some space or some inodes there",
    errno.EDQUOT: "free some space there or raise the quota",
    errno.EIO: "check the disk",
    errno.EROFS: "make it writable, or choose another place with --journal PATH",
}
_MAY_PASS = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
# SQLite's own, where the system finds nothing wrong any more. Busy: another program has the file open.
_SQLITE_MAY_PASS = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}
_SQLITE_MEANS_MANY = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
}


def may_pass(error: OSError) -> bool:
    """Return whether an error of the disk may be over when it is tried again."""
    return error.errno in _MAY_PASS


def start_error(path: Path, error: StoreError) -> CannotStart:
    """Return the error with which a server ends that cannot keep a journal at `path`."""
    cause = error.__cause__
    code = cause.sqlite_errorcode & 0xFF if isinstance(cause, sqlite3.Error) else sqlite3.SQLITE_OK
    found = cause if isinstance(cause, OSError) else None
    if code in _SQLITE_MEANS_MANY:
        found = _try_to_write(path.parent)
    if found is None:
        kind = JournalUnavailable if code in _SQLITE_MAY_PASS else CannotStart
        return kind(f"cannot keep a journal in {path}: {error}")
    hint = _HINTS.get(found.errno or 0, "")
    return (JournalUnavailable if may_pass(found) else CannotStart)(
        f"cannot keep a journal in {path}: {found.strerror or found}" + (f"; {hint}" if hint else "")
    )


def _try_to_write(directory: Path) -> OSError | None:
    """Write a file that is gone at once; return the error if that fails."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            os.posix_fallocate(file.fileno(), 0, TRIED_BYTES)
    except OSError as error:
        return error
    return None
