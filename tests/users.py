"""Run as an unprivileged user, since file modes do not apply to root."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["UNPRIVILEGED_UID", "unprivileged", "unprivileged_directory"]

UNPRIVILEGED_UID = 65_534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run the block as an unprivileged user if the tests run as root, so that file modes apply."""
    if os.geteuid():
        yield
        return
    os.seteuid(UNPRIVILEGED_UID)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def unprivileged_directory() -> Iterator[Path]:
    """Make a directory that `unprivileged` can use: pytest's directories are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(os.path.realpath(name))
        if not os.geteuid():
            os.chown(path, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
        yield path
        path.chmod(0o700)
