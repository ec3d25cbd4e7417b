"""The exclusive right to change a journal: a server holds it while it runs, a command while it changes the
file."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from trio_chat.errors import CannotStart
from trio_chat.journal.lock import JournalDescriptor
from trio_chat.journal.log_origin import check_log
from trio_chat.journal.placement import check_directory, check_writable, warn_of_links
from trio_chat.journal.sqlite_file import connect, version_of
from trio_chat.journal.sqlite_marker import RunMarker

__all__ = ["Claim"]


class Claim:
    """The lock on a journal and its marker file, held from `__init__` to `close`.

    `path` is the real path of the file, without symlinks. Close every connection to the file before `close`
    (see `lock.py`).
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        """Lock the file; with `create` make an empty one if it does not exist.

        Raises:
            JournalInUse: A server, or a command that changes the journal, uses it.
            CannotStart: The file is not a journal, has a newer version, is read-only, could be replaced by
                other users, or its log belongs to another file. Nothing is changed then.
            FileNotFoundError: The file does not exist, and `create` is false.
            OSError: An error of the disk.
            sqlite3.Error: An error of the file.
        """
        self.path = Path(os.path.realpath(path))
        check_directory(self.path)
        check_writable(self.path)
        self.file = JournalDescriptor(self.path, create=create)
        try:
            self.file.lock()
            check_log(self.file)
            with closing(connect(self.path)) as db:
                version_of(db, self.path)  # a file that is not a journal gets no marker beside it
            warn_of_links(self.file)
            self.marker = RunMarker(self.path)
        except BaseException:
            self.file.close()
            raise

    def check(self) -> None:
        """Check, after SQLite has opened the file, that it is the file that is locked.

        Raises:
            CannotStart: The file was replaced.
        """
        if not self.file.is_at(self.path):
            raise CannotStart(f"the journal {self.path} was replaced while it was opened; try again")

    def close(self) -> None:
        """Release the lock. The content of the marker stays."""
        self.marker.close()
        self.file.close()
