"""Explain why a server cannot use its journal, and whether a later start may succeed.

SQLite reports "disk I/O error" or "unable to open database file" for many causes, among them a quota, a lack
of inodes and a missing directory. Writing another file beside the journal gives the system's own error, which
tells them apart. A temporary error ends the server with another exit status, so that a supervisor restarts
it.
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

__all__ = ["is_temporary", "start_error"]

PROBE_FILE_BYTES = 64 << 10  # for the file beside the journal: an empty file fits on a full disk

_HINTS = {
    errno.ENOSPC: "free some space or some inodes there",
    errno.EDQUOT: "free some space there or raise the quota",
    errno.EIO: "check the disk",
    errno.EROFS: "make it writable, or choose another path with --journal PATH",
}
_MAY_PASS = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
# SQLite's own errors, if the system reports no error any more. Busy: another program has the file open.
_SQLITE_MAY_PASS = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}
_SQLITE_MEANS_MANY = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
}


def is_temporary(error: OSError) -> bool:
    """Return whether an error of the disk may be temporary."""
    return error.errno in _MAY_PASS


def start_error(path: Path, error: StoreError) -> CannotStart:
    """Return the error that ends a server whose journal at `path` cannot be opened."""
    cause = error.__cause__
    code = cause.sqlite_errorcode & 0xFF if isinstance(cause, sqlite3.Error) else sqlite3.SQLITE_OK
    found = cause if isinstance(cause, OSError) else None
    if code in _SQLITE_MEANS_MANY:
        found = _try_to_write(path.parent)
    if found is None:
        kind = JournalUnavailable if code in _SQLITE_MAY_PASS else CannotStart
        return kind(f"cannot keep a journal in {path}: {error}")
    hint = _HINTS.get(found.errno or 0, "")
    return (JournalUnavailable if is_temporary(found) else CannotStart)(
        f"cannot keep a journal in {path}: {found.strerror or found}" + (f"; {hint}" if hint else "")
    )


def _try_to_write(directory: Path) -> OSError | None:
    """Write a temporary file and remove it; return the error if that fails."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            os.posix_fallocate(file.fileno(), 0, PROBE_FILE_BYTES)
    except OSError as error:
        return error
    return None
