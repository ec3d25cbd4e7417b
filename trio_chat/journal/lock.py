"""The lock on a journal's file, which keeps out a second server whatever name it uses for the file.

The lock is an flock on the file itself: hard links, bind mounts and symlinks are names of one file, and
have one lock. The kernel releases it when the process dies, and no child inherits its descriptor.

SQLite has POSIX locks on the same file, and the kernel drops all locks of a process when the process closes
*any* descriptor of the file. So a process has at most one descriptor of a journal besides SQLite's. All users
share it, and the last user closes it. Close SQLite's connections first, then the `JournalDescriptor`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from typing import TYPE_CHECKING

from trio_chat.errors import CannotStart, JournalInUse

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["JournalDescriptor", "is_locked"]

TRIES = 1_000

_FileId = tuple[int, int]
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class _Shared:
    """The descriptors of one file in this process, and the number of their users. A second descriptor is
    rare: the path was replaced by another journal between the check and the opening."""

    __slots__ = ("descriptors", "locked", "users")

    def __init__(self) -> None:
        self.descriptors: list[int] = []
        self.users = 0
        self.locked = False


_shared: dict[_FileId, _Shared] = {}
_mutex = threading.Lock()


class JournalDescriptor:
    """A share of this process's descriptor of a journal; open it before SQLite and close it after SQLite."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open the file; with `create` make an empty file, readable only by its owner, if it does not exist.

        `path` is absolute and without symlinks.

        Raises:
            OSError: The file cannot be opened, or is not a regular file.
        """
        self.path = path
        self._locks = False
        self._closed = False
        with _mutex:
            found = _find(path)
            if found is None:
                descriptor = os.open(path, _FLAGS | (os.O_CREAT if create else 0), 0o600)
                status = os.fstat(descriptor)
                found = status.st_dev, status.st_ino
                _shared.setdefault(found, _Shared()).descriptors.append(descriptor)
            self.file_id = found
            self._file = _shared[found]
            self._file.users += 1

    def lock(self) -> None:
        """Lock the file until `close`.

        Raises:
            JournalInUse: The file is locked, in this process or in another.
            CannotStart: The file system does not support flock.
        """
        with _mutex:
            try:
                is_acquired = not self._file.locked and _acquire(self._file.descriptors[0])
            except OSError as error:
                # Without a lock, two servers would each overwrite acknowledged entries of the other.
                raise CannotStart(
                    f"cannot lock the journal {self.path}: {error.strerror or error};"
                    " keep it on a local file system that has flock"
                ) from error
            if not is_acquired:
                raise JournalInUse(f"a server is using the journal {self.path}; stop it first")
            self._locks = self._file.locked = True

    def is_locked(self) -> bool:
        """Return whether a server, or a command that changes the file, has locked it."""
        with _mutex:
            return self._file.locked or _is_held(self._file.descriptors[0])

    def is_at(self, path: Path) -> bool:
        """Return whether `path` still names this file."""
        status = os.stat(path)
        return (status.st_dev, status.st_ino) == self.file_id

    def stamp(self) -> tuple[int, int]:
        """Return the file's size and the time of its last change in ns; every write changes one of them."""
        status = os.fstat(self._file.descriptors[0])
        return status.st_size, status.st_mtime_ns

    @property
    def links(self) -> int:
        """The number of hard links to the file."""
        return os.fstat(self._file.descriptors[0]).st_nlink

    def close(self) -> None:
        """Release the lock, and close the descriptor unless it has other users; later calls do nothing."""
        with _mutex:
            if self._closed:
                return
            self._closed = True
            file = self._file
            if self._locks:
                file.locked = False
                fcntl.flock(file.descriptors[0], fcntl.LOCK_UN)
            file.users -= 1
            if not file.users:
                del _shared[self.file_id]
                for descriptor in file.descriptors:
                    os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a file that is no database, such as the mark, is there and locked.

    Raises:
        PermissionError: It is not known, since this user may not open it.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except PermissionError:
        raise
    except OSError:
        return False
    try:
        return _is_held(descriptor)
    finally:
        os.close(descriptor)


def _find(path: Path) -> _FileId | None:
    """Return the file's id if this process has it open. Raise `OSError` for what is not a regular file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    file_id = status.st_dev, status.st_ino
    return file_id if file_id in _shared else None


def _acquire(descriptor: int) -> bool:
    """Take the lock, unless another has it. Raise `OSError` where there is no such thing."""
    for _ in range(TRIES):
        if _try(descriptor, fcntl.LOCK_EX):
            return True
        if not _try(descriptor, fcntl.LOCK_SH):
            return False
        # Only readers have it, for some microseconds, to see whether it is free.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.sched_yield()
    return False


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_held(descriptor: int) -> bool:
    try:
        free = _try(descriptor, fcntl.LOCK_SH)
    except OSError:
        return False  # no server runs where there are no such locks
    if free:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return not free
