"""Check where a journal is: other users must not be able to replace its files, and it should have one name.

A server trusts the files beside the journal: SQLite replays the log, and the marker decides about the epochs.
A user who may delete and create files there can replace both, and the journal too. The sticky bit prevents
others from deleting and renaming files, but not from creating them first.
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
    """Check the directory of a journal and those above it; `path` is absolute and without symlinks.

    Log a warning when any user may write to the directory and it has the sticky bit, and when any user may
    replace a directory above it.

    Raises:
        CannotStart: Any user may write to the directory, and it has no sticky bit.
        OSError: The directory does not exist.
    """
    directory = path.parent
    mode = os.stat(directory).st_mode
    if mode & stat.S_IWOTH:
        if not mode & stat.S_ISVTX:
            raise CannotStart(
                f"cannot use the journal {path}: any user may replace files in its directory;"
                f" run `chmod o-w {directory}`, or move the journal to another directory"
            )
        log.warning(
            "any user may create files beside the journal %s; keep it in a directory of its own", path
        )
    for above in directory.parents:
        mode = os.stat(above).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            log.warning("any user may replace directories in %s, and with them the journal %s", above, path)


def check_writable(path: Path) -> None:
    """Check that the journal, if it exists, and its directory are writable.

    Raises:
        CannotStart: One of them is read-only, or belongs to another user.
    """
    if not may_write(path.parent):
        raise CannotStart(f"cannot write to the directory of the journal {path}; it may be read-only")
    if path.exists() and not may_write(path):
        raise CannotStart(f"cannot write to the journal {path}; it may be read-only")


def may_write(path: Path) -> bool:
    """Return whether this user may write to a file or directory, and its file system is not read-only."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def warn_of_links(journal: JournalDescriptor) -> None:
    """Log a warning when the file has hard links: SQLite finds its log only beside the name it used."""
    if journal.links > 1:
        log.warning(
            "the journal %s has %d names (hard links): always use the same name,"
            " or the newest entries are lost after a crash",
            journal.path,
            journal.links,
        )
