"""Run as an unprivileged user, since file modes do not apply to root."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["UNPRIVILEGED_UID", "as_unprivileged_user", "unprivileged_directory"]

UNPRIVILEGED_UID = 65_534


@contextmanager
def as_unprivileged_user() -> Iterator[None]:
    """Run the block as a user to whom file modes apply: an unprivileged user if this is root."""
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
    """Make a directory for `as_unprivileged_user`: pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(os.path.realpath(name))
        if not os.geteuid():
            os.chown(path, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
        yield path
        path.chmod(0o700)
