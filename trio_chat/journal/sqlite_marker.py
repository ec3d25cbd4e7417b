"""Beside the journal's file: a mark by which its next server knows it again.

`epoch` names the history of a room, and clients come back with a number in it. Should the file hold an older
history than what they were shown, its numbers would be given a second time, and they would miss what was said
under them. So who opens the file asks: is it the one that was used last, and is all of it there?

- *Another file, or an older one.* Each run of a server has an id, which is in the file and in the mark. The
  mark also has the file's inode, and how many entries it has been given, brought up to date with each commit.
  If the ids or the inodes differ, or the file holds less than the mark says, it is a copy (restored by
  whatever means), or its log was taken away, or the mark is missing: there are new epochs.
- *A machine that went down.* With durability `normal` the last commits may be lost with it. If the last run
  did not stop cleanly and the machine has booted since (or cannot tell), there are new epochs. The death of
  the process loses nothing, and with `full` neither does that of the machine: the epochs stay.

What this does not see: file and mark taken back together *and in place*, as by the snapshot of a whole disk,
or of a virtual machine. Who does that deletes the mark before the server starts.

While a server runs the mark is locked as well. The lock that keeps a second server out is on the journal
itself (see `lock.py`), whatever its name; that on the mark tells under which name the server has the
journal, because SQLite's log lies beside that one only.

A server overwrites the mark. So it opens only a file that can be nothing else: no symlink, a regular file,
under this one name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from trio_chat.errors import CannotStart, JournalInUse

__all__ = [
    "LastRun",
    "MarkerContent",
    "RunMarker",
    "mark_of",
    "new_epochs_because",
    "read_boot_id",
    "read_marked",
]

_LINE = "trio-chat {run} {inode} {entries:020}\n"
_MARK = re.compile(r"trio-chat (\S+) (\d+) (\d{20})\n")


class MarkerContent(Struct, frozen=True):
    """What a mark says: the run, and the inode and the entries of the file."""

    run: str
    inode: int
    entries: int


class LastRun(Struct, frozen=True):
    """What a file says of the last run that used it; `run` is empty in one that is new."""

    run: str
    boot: str
    durability: str
    stopped: bool


def new_epochs_because(
    last: LastRun, marked: MarkerContent | None, inode: int, entries: int, boot: str
) -> str:
    """Why the history in a file may not be the one that clients know; empty when it is."""
    if not last.run:
        return ""
    if marked is None:
        return "there is no mark beside it"
    if (marked.run, marked.inode) != (last.run, inode):
        return "it is a copy"
    if entries < marked.entries:
        return "what was said last is not in it"
    if not last.stopped and last.durability != "full" and not (boot and boot == last.boot):
        return "the machine went down, and with it what was said last, perhaps"
    return ""


def mark_of(journal: Path) -> Path:
    """Return the path of a journal's mark."""
    return Path(f"{journal}-mark")


def read_boot_id() -> str:
    """What is another one each time the machine boots; empty where there is no such thing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class RunMarker:
    """The mark's file, locked from `__init__` to `close`; `marked` is what the last run left in it."""

    def __init__(self, journal: Path) -> None:
        """Open and lock the mark of a journal, whose path is without symlinks.

        Raises:
            JournalInUse: Another server has it.
            CannotStart: Something else is in its place.
            OSError: It cannot be opened.
        """
        path = mark_of(journal)
        self._file = _open(path)
        try:
            status = os.fstat(self._file)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise _is_not_ours(path)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.marked = _parse(os.pread(self._file, 1_000, 0))
        except BlockingIOError:
            os.close(self._file)
            raise JournalInUse(f"another server is using the journal {journal}") from None
        except BaseException:
            os.close(self._file)
            raise
        self._at = 0

    def begin(self, run: str, inode: int, entries: int) -> None:
        """A run begins: from here on the mark is its, also should the machine go down."""
        line = _LINE.format(run=run, inode=inode, entries=entries).encode()
        self._at = len(line) - 21
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, line, 0)
        os.fsync(self._file)

    def count(self, entries: int) -> None:
        """So many entries are in the file. A full disk is no reason to complain: they are there."""
        with suppress(OSError):
            os.pwrite(self._file, b"%020d" % entries, self._at)

    def removed(self, entries: int) -> None:
        """Count so many entries less, if any: they were removed on purpose, with their rooms.

        Call it when the file is on the disk without them. The mark of the last run stays that run's.
        """
        if self.marked is not None and entries > 0:
            marked = self.marked
            self.begin(marked.run, marked.inode, max(marked.entries - entries, 0))

    def close(self) -> None:
        """End the lock. What was marked stays."""
        os.close(self._file)


def read_marked(journal: Path) -> MarkerContent | None:
    """Return what the mark of a journal says; None where there is none.

    Raises:
        OSError: It cannot be read.
    """
    try:
        file = os.open(mark_of(journal), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _parse(os.read(file, 1_000))
    finally:
        os.close(file)


def _parse(data: bytes) -> MarkerContent | None:
    found = _MARK.fullmatch(data.decode(errors="replace"))
    return MarkerContent(found[1], int(found[2]), int(found[3])) if found else None


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _is_not_ours(path) from error
        raise


def _is_not_ours(path: Path) -> CannotStart:
    return CannotStart(f"cannot use {path}: got a symlink or something else, expected a file; move it away")
