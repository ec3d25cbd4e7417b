"""The sole right to change a journal: what a server has while it runs, and a command while it changes the
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
    """A journal's lock and its mark, from `__init__` to `close`; `path` is the file's own, without symlinks.

    Close every connection to the file before (see `lock.py`).
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        """Lock the file; with `create` make an empty one where there is none.

        Raises:
            JournalInUse: A server, or a command that changes it, has the journal.
            CannotStart: It is no journal, or of a newer version, or read-only, or other users could replace
                it, or its log is not of it; nothing is touched.
            FileNotFoundError: There is none, and none is to be made.
            OSError: The disk refuses.
            sqlite3.Error: The file does.
        """
        self.path = Path(os.path.realpath(path))
        check_directory(self.path)
        check_writable(self.path)
        self.file = JournalDescriptor(self.path, create=create)
        try:
            self.file.lock()
            check_log(self.file)
            with closing(connect(self.path)) as db:
                version_of(db, self.path)  # what is not ours is left without so much as a mark beside it
            warn_of_links(self.file)
            self.mark = RunMarker(self.path)
        except BaseException:
            self.file.close()
            raise

    def check(self) -> None:
        """Check, once SQLite has opened the file, that it is the one that is locked.

        Raises:
            CannotStart: It is not.
        """
        if not self.file.is_at(self.path):
            raise CannotStart(f"another file was put where the journal was: {self.path}; try again")

    def close(self) -> None:
        """Release the lock. What was marked stays."""
        self.mark.close()
        self.file.close()
