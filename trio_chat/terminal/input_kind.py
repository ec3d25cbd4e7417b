"""Find out whether standard input is a terminal, a source of lines, or absent."""

import os
import stat
from enum import Enum

__all__ = ["InputKind", "input_kind"]


class InputKind(Enum):
    """The kind of file that a descriptor is."""

    TERMINAL = "terminal"
    """A terminal that this process may read."""
    LINES = "lines"
    """A pipe, a socket or a file: it has an end."""
    NONE = "none"
    """/dev/null, a closed descriptor, or a terminal that belongs to another job: nothing can be read."""


def input_kind(fd: int) -> InputKind:
    """Return what `fd` is connected to now, without reading from it."""
    try:
        status = os.fstat(fd)
    except OSError:
        return InputKind.NONE
    if os.isatty(fd):
        return InputKind.TERMINAL if _is_in_foreground(fd) else InputKind.NONE
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev:
        return InputKind.NONE
    return InputKind.LINES


def _is_in_foreground(fd: int) -> bool:
    """Return whether this process may read the terminal without being stopped by SIGTTIN."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # not the controlling terminal, so reading it never stops the process
        return True
