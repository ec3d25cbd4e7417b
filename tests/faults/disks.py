"""Disks that a test fills, takes away and gives back, under a server that is a process of its own.

A `SmallDisk` is a few MiB in memory, mounted where nobody else sees it: in a mount namespace that lives as
long as the block does, so that a server may be killed and another one find what the first has left. Not every
machine lets a test do so; where it may not, the test is skipped, and says why. What any machine can do is to
forbid a process to write any further into its files (`no_more_writes`).
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

__all__ = ["SmallDisk", "no_more_writes", "small_disk", "writes_again"]

BALLAST = "ballast"
MOUNT = 'mount -t tmpfs -o size="$1",mode=700 tmpfs "$0" && echo mounted && exec cat'
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'


class SmallDisk:
    """`path` is where it is for those who run `inside`, and `seen` where it is for the test."""

    def __init__(self, path: Path, holder: int) -> None:
        self.path = path
        self.seen = Path(f"/proc/{holder}/root{path}")
        self._enter = ["nsenter", f"--target={holder}", "--user", "--preserve-credentials", "--mount"]

    def inside(self, command: list[str]) -> list[str]:
        """The command to run another where the disk is; it is that one, and no child of it."""
        return [*self._enter, *command]

    def fill(self, *, leaves: int = 0) -> None:
        """Until nothing fits on it any more, or only so many bytes."""
        with (self.seen / BALLAST).open("wb", buffering=0) as file:
            with suppress(OSError):
                while True:
                    file.write(bytes(4_096))
            file.truncate(max(0, file.tell() - leaves))

    def free(self) -> None:
        os.unlink(self.seen / BALLAST)

    def forbid_opening(self) -> None:
        """What is opened from now on can be read and not written. A kernel makes a whole file system so only
        when nobody has a file of it open for writing, or when the disk breaks."""
        self._run("sh", "-c", READ_ONLY, str(self.path))

    def allow_opening(self) -> None:
        self._run("umount", str(self.path))

    def _run(self, *command: str) -> None:
        subprocess.run(self.inside(list(command)), check=True, capture_output=True, timeout=PATIENCE_S)


@contextmanager
def small_disk(path: Path, size: str = "2m") -> Iterator[SmallDisk]:
    """A disk of that size; skips the test where none can be mounted. All on it is gone with the block."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, str(path), size]
    try:
        holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare(1) here: nothing can be mounted for a test alone")
    with holder:
        assert holder.stdout is not None and holder.stderr is not None
        if holder.stdout.readline() != "mounted\n":
            pytest.skip(f"a test may mount nothing here: {holder.stderr.readline().strip()}")
        try:
            yield SmallDisk(path, holder.pid)
        finally:
            holder.kill()


def no_more_writes(process: int) -> None:
    """Whatever the process writes into its files is refused, from now on."""
    _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (0, most))


def writes_again(process: int) -> None:
    _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (most, most))
