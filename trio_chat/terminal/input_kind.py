"""Tell what standard input is: a terminal, lines, or nothing to read."""

import os
import stat
from enum import Enum

__all__ = ["InputKind", "input_kind"]


class InputKind(Enum):
    """What is at the other end of a descriptor."""

    TERMINAL = "terminal"
    """A terminal that this process may read from."""
    LINES = "lines"
    """A pipe, a socket or a file, whose end comes some day."""
    NONE = "none"
    """/dev/null, a closed descriptor, or a terminal that belongs to another job: there is nothing to read."""


def input_kind(fd: int) -> InputKind:
    """Return what `fd` is just now. Reads nothing."""
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
    """Return whether a read from this terminal would not stop the process (SIGTTIN)."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # not the terminal of this session, which stops no reader
        return True
