"""Where a journal may lie: in a directory in which other users cannot replace its files, and under one name.

A server trusts what lies beside the journal: SQLite replays the log, and the mark decides on the epochs. A
user who may delete and create files there can replace both, and the journal too. The sticky bit keeps
others from deleting and renaming, but not from being first to create.
"""

from __future__ import annotations

import logging
import os
import stat
from typing import TYPE_CHECKING

from trio_chat.errors import CannotStart

if TYPE_CHECKING:
    from pathlib import Path

    from trio_chat.journal.lock import JournalDescriptor

__all__ = ["check_directory", "check_writable", "may_write", "warn_of_links"]

log = logging.getLogger("trio_chat.journal")


def check_directory(path: Path) -> None:
    """Check the directory of a journal, whose path is absolute and without symlinks, and those above it.

    Warn when any user may write to the directory and it has the sticky bit, and when a directory above it
    may be replaced.

    Raises:
        CannotStart: Any user may write to the directory, and it has no sticky bit.
        OSError: There is no such directory.
    """
    directory = path.parent
    mode = os.stat(directory).st_mode
    if mode & stat.S_IWOTH:
        if not mode & stat.S_ISVTX:
            raise CannotStart(
                f"cannot use the journal {path}: any user may replace files in its directory;"
                f" run `chmod o-w {directory}`, or keep it elsewhere"
            )
        log.warning(
            "any user may create files beside the journal %s; keep it in a directory of its own", path
        )
    for above in directory.parents:
        mode = os.stat(above).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            log.warning("any user may replace directories in %s, and with them the journal %s", above, path)


def check_writable(path: Path) -> None:
    """Check that the journal, if it is there, and its directory can be written to.

    Raises:
        CannotStart: One of them cannot: read-only media, or another user's.
    """
    if not may_write(path.parent):
        raise CannotStart(f"cannot write to the directory of the journal {path}; it may be read-only")
    if path.exists() and not may_write(path):
        raise CannotStart(f"cannot write to the journal {path}; it may be read-only")


def may_write(path: Path) -> bool:
    """Return whether this user may write to a file or directory, and its file system is not read-only."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def warn_of_links(journal: JournalDescriptor) -> None:
    """Warn when the file has several names: SQLite's log lies beside one, and is not found by another."""
    if journal.links > 1:
        log.warning(
            "the journal %s has %d names (hard links): always use the same one,"
            " else what was said last before a crash is lost",
            journal.path,
            journal.links,
        )
