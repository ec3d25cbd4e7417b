"""A copy of a journal, made while the server goes on.

The copy is of one moment: that at which it began. It is made in steps inside one transaction that reads, so
what is committed meanwhile does not begin it anew, as SQLite otherwise would; the server's log grows until
the copy is made. It appears under its name when it is whole, checked, and on the disk.

No mark comes with it, so a server that starts on it gives its rooms new epochs: the original may have gone
on.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.atomic_file import whole_file
from trio_chat.journal.admin.connect import interruptible, moment, owning, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio_chat.journal.admin.connect import Progress

__all__ = ["backup", "temporary_backup"]

PAGES_AT_ONCE = 2_000  # 8 MiB: some ten milliseconds
CHUNK_BYTES = 1 << 20


def backup(path: Path, to: Path, *, replace: bool = False, progress: Progress | None = None) -> int:
    """Copy the journal to another file, and return how large that is. Raises `JournalToolError`; then, and
    when interrupted, the other file is what it was."""
    if os.path.exists(to) and os.path.exists(path) and os.path.samefile(to, path):
        raise JournalToolError(f"{to} is the journal itself")
    if os.path.exists(f"{to}-wal"):
        # SQLite would take it for the copy's log.
        raise JournalToolError(f"{to} is a journal that is in use, or was when its server died: move it away")
    with reading(path) as db, whole_file(to, replace=replace) as copy:
        _copy(db, copy, progress)
    return to.stat().st_size


@contextmanager
def temporary_backup(path: Path, *, progress: Progress | None = None) -> Iterator[Iterator[bytes]]:
    """Copy the journal to a temporary file, and give its bytes in chunks; the file is gone after the block.

    Raises `JournalToolError`.
    """
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        raise JournalToolError(
            f"cannot make a temporary file: {error.strerror}; TMPDIR names a directory"
        ) from error
    with owning(folder), tempfile.TemporaryDirectory(prefix="trio-chat-backup-", dir=folder) as inner:
        copy = Path(inner) / "journal.db"
        backup(path, copy, progress=progress)
        with copy.open("rb") as file:
            copy.unlink()  # should the process be killed while somebody reads slowly, nothing is left
            yield iter(lambda: file.read(CHUNK_BYTES), b"")


def _copy(db: sqlite3.Connection, copy: Path, progress: Progress | None) -> None:
    def tell(_: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    with closing(sqlite3.connect(copy, isolation_level=None)) as other:
        other.execute("PRAGMA synchronous = OFF")  # it is flushed once, when it is whole
        with moment(db):
            db.execute("SELECT run FROM about").fetchone()  # from here on it is this moment
            db.backup(other, pages=PAGES_AT_ONCE, progress=tell, sleep=0)
        interruptible(other)
        found = other.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise JournalToolError(f"the journal is damaged, and a copy would be: {found}; `check` says more")
