"""Copy a journal while its server keeps running.

The copy shows the journal at one moment, the start of the copy. It is made in steps inside one read
transaction, so a commit does not restart it, as it otherwise would with SQLite. The server's log grows until
the copy is done. The copy gets its name only when it is complete, checked, and on the disk.

The marker file is not copied. So a server that starts on the copy gives its rooms new epochs: the original
may have continued.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.atomic_file import atomic_file
from trio_chat.journal.admin.connect import as_tool_error, interruptible, open_reader, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio_chat.journal.admin.connect import Progress

__all__ = ["backup", "temporary_backup"]

PAGES_AT_ONCE = 2_000  # 8 MiB: some ten milliseconds
CHUNK_BYTES = 1 << 20


def backup(path: Path, to: Path, *, replace: bool = False, progress: Progress | None = None) -> int:
    """Copy the journal to another file, and return the size of the copy in bytes.

    An error or an interrupt leaves the other file as it was.

    Raises:
        JournalToolError: The journal cannot be read, is damaged, or the copy cannot be written.
    """
    if os.path.exists(to) and os.path.exists(path) and os.path.samefile(to, path):
        raise JournalToolError(f"cannot back up to {to}: it is the journal itself")
    if os.path.exists(f"{to}-wal"):
        # SQLite would replay it as the log of the copy.
        raise JournalToolError(
            f"cannot back up to {to}: {to}-wal exists, so it is a journal in use, or its server was killed;"
            " move both away"
        )
    with open_reader(path) as db, atomic_file(to, replace=replace) as copy:
        _copy(db, copy, progress)
    return to.stat().st_size


@contextmanager
def temporary_backup(path: Path, *, progress: Progress | None = None) -> Iterator[Iterator[bytes]]:
    """Copy the journal to a temporary file, yield its bytes in chunks, and remove the file after the block.

    Raises:
        JournalToolError: As `backup`, or no temporary file can be created.
    """
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        raise JournalToolError(
            f"cannot create a temporary file: {error.strerror}; set TMPDIR to a writable directory"
        ) from error
    with as_tool_error(folder), tempfile.TemporaryDirectory(prefix="trio-chat-backup-", dir=folder) as inner:
        copy = Path(inner) / "journal.db"
        backup(path, copy, progress=progress)
        with copy.open("rb") as file:
            copy.unlink()  # so that no file is left if the process is killed while a slow reader reads
            yield iter(lambda: file.read(CHUNK_BYTES), b"")


def _copy(db: sqlite3.Connection, copy: Path, progress: Progress | None) -> None:
    def report(_: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    with closing(sqlite3.connect(copy, isolation_level=None)) as other:
        other.execute("PRAGMA synchronous = OFF")  # the finished file is flushed once
        with snapshot(db):
            db.execute("SELECT run FROM about").fetchone()  # the first read starts the snapshot
            db.backup(other, pages=PAGES_AT_ONCE, progress=report, sleep=0)
        interruptible(other)
        found = other.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise JournalToolError(
                f"cannot back up a damaged journal: {found}; run `trio-chat journal check` for details"
            )
