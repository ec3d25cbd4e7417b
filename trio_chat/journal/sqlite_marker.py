"""The marker file beside the journal, by which the next server recognizes the journal.

An `epoch` names the history of a room, and clients resume with a number in it. If the file holds an older
history than clients have seen, its numbers are assigned again, and the clients would miss the new entries
with those numbers. So each start checks whether the file is the one that was used last, and whether it is
complete.

- *Another file, or an older file.* Each run of a server has an id, stored in the file and in the marker. The
  marker also has the file's inode and the number of entries, updated with each commit. If the ids or the
  inodes differ, or the file has fewer entries than the marker says, then the file was restored from a copy,
  its log was removed, or the marker is missing: all rooms get new epochs.
- *A crash of the machine.* With durability `normal` the last commits may be lost then. If the last run did
  not stop cleanly and the machine has rebooted since (or cannot tell), all rooms get new epochs. The death of
  the process loses nothing, and with `full` a crash of the machine loses nothing either: the epochs stay.

The marker does not detect that file and marker were restored together *and in place*, as by the snapshot of a
disk or a virtual machine. After such a restore, delete the marker before the server starts.

While a server runs the marker is locked too. The lock that keeps out a second server is on the journal itself
(see `lock.py`), whatever its name. The lock on the marker shows under which name the server uses the journal,
because SQLite's log is beside that name only.

A server overwrites the marker. So it opens only a regular file without symlinks and with a single name.
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
    "marker_path",
    "new_epochs_reason",
    "read_boot_id",
    "read_marker",
]

_LINE = "trio-chat {run} {inode} {entries:020}\n"
_MARK = re.compile(r"trio-chat (\S+) (\d+) (\d{20})\n")


class MarkerContent(Struct, frozen=True):
    """The content of a marker: the id of the run, and the inode and the number of entries of the file."""

    run: str
    inode: int
    entries: int


class LastRun(Struct, frozen=True):
    """The last run that used a file, as the file describes it; `run` is empty in a new file."""

    run: str
    boot: str
    durability: str
    stopped: bool


def new_epochs_reason(
    last: LastRun, marked: MarkerContent | None, inode: int, entries: int, boot: str
) -> str:
    """Return why the history in a file may differ from the history that clients know; empty if it does
    not."""
    if not last.run:
        return ""
    if marked is None:
        return "looks restored (no marker file)"
    if (marked.run, marked.inode) != (last.run, inode):
        return "looks restored (the marker file is of another file)"
    if entries < marked.entries:
        return "looks restored (the newest entries are missing)"
    if not last.stopped and last.durability != "full" and not (boot and boot == last.boot):
        return "the machine crashed, and the newest entries may be lost"
    return ""


def marker_path(journal: Path) -> Path:
    """Return the path of a journal's marker."""
    return Path(f"{journal}-mark")


def read_boot_id() -> str:
    """Return an id that changes each time the machine boots; empty if the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class RunMarker:
    """The marker file, locked from `__init__` to `close`; `content` is the content left by the last run."""

    def __init__(self, journal: Path) -> None:
        """Open and lock the marker of a journal; the journal's path is without symlinks.

        Raises:
            JournalInUse: Another server has locked it.
            CannotStart: The path is not a regular file.
            OSError: It cannot be opened.
        """
        path = marker_path(journal)
        self._file = _open(path)
        try:
            status = os.fstat(self._file)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise _not_a_file(path)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.content = _parse(os.pread(self._file, 1_000, 0))
        except BlockingIOError:
            os.close(self._file)
            raise JournalInUse(f"a server is using the journal {journal}; stop it first") from None
        except BaseException:
            os.close(self._file)
            raise
        self._at = 0

    def begin(self, run: str, inode: int, entries: int) -> None:
        """Begin a run: write the marker for it, and wait until it is on the disk."""
        line = _LINE.format(run=run, inode=inode, entries=entries).encode()
        self._at = len(line) - 21
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, line, 0)
        os.fsync(self._file)

    def set_entries(self, entries: int) -> None:
        """Update the number of entries. A full disk is ignored: the entries themselves are in the file."""
        with suppress(OSError):
            os.pwrite(self._file, b"%020d" % entries, self._at)

    def subtract_entries(self, entries: int) -> None:
        """Reduce the number of entries, if rooms were removed on purpose.

        Call it when the removal is on the disk. The marker keeps the id of the last run.
        """
        if self.content is not None and entries > 0:
            marked = self.content
            self.begin(marked.run, marked.inode, max(marked.entries - entries, 0))

    def close(self) -> None:
        """Release the lock. The content stays."""
        os.close(self._file)


def read_marker(journal: Path) -> MarkerContent | None:
    """Return the content of a journal's marker, or None if there is no marker.

    Raises:
        OSError: It cannot be read.
    """
    try:
        file = os.open(marker_path(journal), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
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
            raise _not_a_file(path) from error
        raise


def _not_a_file(path: Path) -> CannotStart:
    return CannotStart(f"cannot use {path}: got a symlink or something else, expected a file; move it away")
