"""Disks that a test fills, makes read-only and repairs, under a server in its own process.

A `SmallDisk` is a few MiB in memory, mounted in a private mount namespace. The namespace exists until the end
of the block, so a second server can read the files of a killed one. Not every machine allows a test to mount;
then the test is skipped with the reason. On any machine a test can forbid a process to write to its files
(`forbid_writes`).
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

__all__ = ["SmallDisk", "allow_writes", "forbid_writes", "small_disk"]

BALLAST = "ballast"
MOUNT = 'mount -t tmpfs -o size="$1",mode=700 tmpfs "$0" && echo mounted && exec cat'
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'


class SmallDisk:
    """A small disk: `path` is its path for processes started with `inside`, `seen` its path for the test."""

    def __init__(self, path: Path, holder: int) -> None:
        self.path = path
        self.seen = Path(f"/proc/{holder}/root{path}")
        self._enter = ["nsenter", f"--target={holder}", "--user", "--preserve-credentials", "--mount"]

    def inside(self, command: list[str]) -> list[str]:
        """Return the command that runs another in the disk's namespace; it replaces itself by that
        process."""
        return [*self._enter, *command]

    def fill(self, *, leaves: int = 0) -> None:
        """Fill the disk until no bytes are left, or only this many."""
        with (self.seen / BALLAST).open("wb", buffering=0) as file:
            with suppress(OSError):
                while True:
                    file.write(bytes(4_096))
            file.truncate(max(0, file.tell() - leaves))

    def free(self) -> None:
        os.unlink(self.seen / BALLAST)

    def forbid_opening(self) -> None:
        """Make files opened from now on read-only. A kernel makes a whole file system read-only only when no
        process has a file of it open for writing, or when the disk breaks."""
        self._run("sh", "-c", READ_ONLY, str(self.path))

    def allow_opening(self) -> None:
        self._run("umount", str(self.path))

    def _run(self, *command: str) -> None:
        subprocess.run(self.inside(list(command)), check=True, capture_output=True, timeout=PATIENCE_S)


@contextmanager
def small_disk(path: Path, size: str = "2m") -> Iterator[SmallDisk]:
    """Yield a disk of that size, deleted at the end of the block; skip the test if it cannot be mounted."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, str(path), size]
    try:
        holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    except FileNotFoundError:
        pytest.skip("cannot mount a private disk: no unshare(1) on this machine")
    with holder:
        assert holder.stdout is not None and holder.stderr is not None
        if holder.stdout.readline() != "mounted\n":
            pytest.skip(f"cannot mount a private disk: {holder.stderr.readline().strip()}")
        try:
            yield SmallDisk(path, holder.pid)
        finally:
            holder.kill()


def forbid_writes(process: int) -> None:
    """Make all writes of the process to its files fail from now on."""
    _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (0, most))


def allow_writes(process: int) -> None:
    _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (most, most))
