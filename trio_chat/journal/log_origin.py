"""Check that the log beside a journal belongs to the file: SQLite itself replays any log there.

A file that is used under several names (hard links, bind mounts), or that was replaced by an older file, may
have beside it the log of a killed server that later runs never saw. If SQLite replays it, it overwrites
acknowledged entries. And under another name the log of a killed server is not found.

Each run stores its id in the file, through the log, before it stores it in the marker. So the file and the
marker of a name agree, unless the last run used another name.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from trio_chat.errors import CannotStart
from trio_chat.journal.sqlite_file import connect
from trio_chat.journal.sqlite_marker import read_marker

if TYPE_CHECKING:
    from trio_chat.journal.lock import JournalDescriptor

__all__ = ["check_log"]

LOG_HEADER_BYTES = 32  # a log without a frame after its header has nothing to replay


def check_log(file: JournalDescriptor) -> None:
    """Check the log of a journal that no server is using; call it before SQLite opens the file.

    Raises:
        CannotStart: The log belongs to another file, or the file's log is beside another name.
    """
    log = f"{file.path}-wal"
    size = os.stat(log).st_size if os.path.exists(log) else None
    has_frames = size is not None and size > LOG_HEADER_BYTES
    if not has_frames and not (size is None and file.links > 1):
        return
    try:
        marked = read_marker(file.path)
        run, stopped = _last_run(file, with_log=False)
        if not run or (marked is not None and marked.run == run):
            return
        if has_frames:
            is_other = marked is not None and _last_run(file, with_log=True)[0] != marked.run
        else:
            is_other = not stopped
    except (OSError, sqlite3.Error):  # unknown, or not a journal: opening the file gives the better error
        return
    if is_other:
        raise CannotStart(
            f"cannot use the journal {file.path}: its log {log} was not written by the last run of a server,"
            " since the file was used under another name, or replaced; move the log away to start without it"
            if has_frames
            else f"cannot use the journal {file.path}: the last server used it under another name (a hard"
            " link) and was killed, so its log is beside that name; start the server with that name, or use a"
            " copy"
        )


def _last_run(file: JournalDescriptor, *, with_log: bool) -> tuple[str, bool]:
    """Return the id of the last run, and whether it stopped cleanly. Changes nothing."""
    with closing(connect(file.path, frozen=not with_log, read_only=True)) as db:
        run, stopped = db.execute("SELECT run, stopped FROM about").fetchone()
        return run, bool(stopped)
