"""Another user for a while, since root may read and write everything."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["NOBODY", "as_nobody", "directory_of_nobody"]

NOBODY = 65_534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Run the block as a user to whom file modes apply: if this one is root, as `nobody`."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def directory_of_nobody() -> Iterator[Path]:
    """Make a directory for `as_nobody`: pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(os.path.realpath(name))
        if not os.geteuid():
            os.chown(path, NOBODY, NOBODY)
        yield path
        path.chmod(0o700)
