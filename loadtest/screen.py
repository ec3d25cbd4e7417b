"""Standard output, which may end before the run does."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any

from rich.console import Console

__all__ = ["ReportOutput"]


class ReportOutput(Console):
    """A console that goes quiet when nobody reads any more (`| head`), or the disk is full.

    The run goes on: its exit status is its verdict, and a report may be wanted.
    """

    failure: OSError | None = None
    """The write that failed; None, too, where the reader closed the pipe, which is no news to anyone."""

    @classmethod
    def standard(cls, *, error: bool = False) -> "ReportOutput":
        """Return one on standard output, or on standard error; a character without a code is shown as `?`."""
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
            # What is still in the buffer of the file would fail once more when Python ends.
            os.dup2(nothing.fileno(), self.file.fileno())
