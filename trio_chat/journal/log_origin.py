"""Whether the log beside a journal is that of the file: SQLite itself replays whatever lies there.

A file that is used by several names (hard links, bind mounts), or that was replaced by an older one, may have
a log beside it that a killed server left and that other runs never saw. Replayed, it overwrites what they
have acknowledged. And the log of a killed server is not found by another name.

Each run notes its id in the file, by way of the log, before it notes it in the mark. So the file and the mark
of one name agree, unless that name was not the last one used.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from trio_chat.errors import CannotStart
from trio_chat.journal.sqlite_file import connect
from trio_chat.journal.sqlite_marker import read_marked

if TYPE_CHECKING:
    from trio_chat.journal.lock import JournalDescriptor

__all__ = ["check_log"]

LOG_HEADER_BYTES = 32  # without a frame behind it there is nothing to replay


def check_log(file: JournalDescriptor) -> None:
    """Check the log of a journal that no server uses just now; call it before SQLite opens the file.

    Raises:
        CannotStart: The log is not of this file, or the file's log lies beside another name.
    """
    log = f"{file.path}-wal"
    size = os.stat(log).st_size if os.path.exists(log) else None
    has_frames = size is not None and size > LOG_HEADER_BYTES
    if not has_frames and not (size is None and file.links > 1):
        return
    try:
        marked = read_marked(file.path)
        run, stopped = _last_run(file, with_log=False)
        if not run or (marked is not None and marked.run == run):
            return
        if has_frames:
            is_other = marked is not None and _last_run(file, with_log=True)[0] != marked.run
        else:
            is_other = not stopped
    except (OSError, sqlite3.Error):  # not known, or no journal: opening the file says what is wrong
        return
    if is_other:
        raise CannotStart(
            f"cannot use the journal {file.path}: its log {log} is not of the last run of a server:"
            " the file was used by another name, or replaced; move the log away to go on without it"
            if has_frames
            else f"cannot use the journal {file.path}: the last server used it by another name (a hard link)"
            " and was killed, so its log is beside that name; start a server by that name, or use a copy"
        )


def _last_run(file: JournalDescriptor, *, with_log: bool) -> tuple[str, bool]:
    """Return the id of the last run, and whether it stopped in good order. Changes nothing."""
    with closing(connect(file.path, frozen=not with_log, read_only=True)) as db:
        run, stopped = db.execute("SELECT run, stopped FROM about").fetchone()
        return run, bool(stopped)
