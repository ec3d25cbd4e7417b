"""A file that appears under its name when it is whole and on the disk; until then, and when it comes to
nothing, what was there stays. Nobody else may read it."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.connect import is_in_use, owning

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["whole_file"]


@contextmanager
def whole_file(to: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty file beside `to`, to be filled in the block; at its end it is `to`. Raises `JournalToolError`
    when that is there and not to be replaced."""
    if os.path.isdir(to):
        raise JournalToolError(f"{to} is a directory")
    if os.path.exists(to) and not os.path.isfile(to):
        raise JournalToolError(
            f"{to} is not a regular file; `-` is standard output"
        )  # a device or a pipe stays
    if os.path.lexists(to) and not replace:
        raise JournalToolError(f"{to} is there already; --force replaces it")
    if is_in_use(to):
        raise JournalToolError(f"{to} is a journal in use; choose another file")
    folder = to.absolute().parent
    with owning(to):
        descriptor, name = mkstemp(prefix=f".{to.name}.", dir=folder)
        try:
            os.close(descriptor)
            yield Path(name)
            _flush(name)
            os.replace(name, to)
            _flush(folder)
        except BaseException:
            for left in (
                "",
                "-wal",
                "-shm",
                "-journal",
            ):  # the last three are SQLite's, if it was interrupted
                with suppress(OSError):
                    os.unlink(name + left)
            raise


def _flush(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
