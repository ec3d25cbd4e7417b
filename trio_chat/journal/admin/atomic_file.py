"""Files that get their name only when they are complete and on the disk.

Until then, and after a failure, the old file stays. Only the owner may read the new file.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.connect import as_tool_error, is_in_use

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["atomic_file"]


@contextmanager
def atomic_file(to: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty file beside `to`, to be filled in the block; at the end of the block it replaces `to`.

    Raises:
        JournalToolError: `to` exists and `replace` is false, or `to` cannot be replaced.
    """
    if os.path.isdir(to):
        raise JournalToolError(f"cannot write {to}: it is a directory")
    if os.path.exists(to) and not os.path.isfile(to):  # a device or a pipe must not be replaced
        raise JournalToolError(f"cannot write {to}: it is not a regular file; use `-` for standard output")
    if os.path.lexists(to) and not replace:
        raise JournalToolError(f"cannot write {to}: it exists already; use --force to replace it")
    if is_in_use(to):
        raise JournalToolError(f"cannot write {to}: it is a journal in use; choose another file")
    folder = to.absolute().parent
    with as_tool_error(to):
        descriptor, name = mkstemp(prefix=f".{to.name}.", dir=folder)
        try:
            os.close(descriptor)
            yield Path(name)
            _flush(name)
            os.replace(name, to)
            _flush(folder)
        except BaseException:
            for left in ("", "-wal", "-shm", "-journal"):  # an interrupted SQLite leaves the last three
                with suppress(OSError):
                    os.unlink(name + left)
            raise


def _flush(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
