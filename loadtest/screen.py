"""Write to standard output, which may be closed before the run ends."""

import os
import select
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import IO, Any

from rich.console import Console

__all__ = ["ReportOutput", "wait_writable"]


class ReportOutput(Console):
    """A console that becomes quiet when its output is closed (`| head`) or the disk is full.

    The run continues: its exit status is the verdict, and it may still have a report to write to a file.
    """

    failure: OSError | None = None
    """The write that failed; None also if the reader closed the pipe, which is not an error."""

    @classmethod
    def standard(cls, *, error: bool = False) -> "ReportOutput":
        """Return a console on standard output or standard error; unencodable characters become `?`."""
        stream = sys.stderr if error else sys.stdout
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
        return cls(stderr=error)

    def print(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().print(*args, **kwargs)
        except OSError as error:
            self.failure = error
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        self.quiet = True
        with suppress(OSError), open(os.devnull, "w") as nothing:
            # Otherwise the rest of the buffer would fail again when Python exits.
            os.dup2(nothing.fileno(), self.file.fileno())


def wait_writable(file: IO[str]) -> None:
    """Wait until a pipe or terminal takes a line without blocking, or is closed.

    Returns at once for a file without a descriptor, as in a test. Handlers of signals run meanwhile.
    """
    with suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(file.fileno(), select.POLLOUT)
        poll.poll()
