"""Prepare the standard streams of the process for every command.

Three rules hold for all commands, however they are started:

- A closed descriptor is opened on the null device, so that none of our files and sockets gets its number.
  Writing to a closed standard output still fails, as it would without this.
- A failed write to standard output raises `OutputError`. Data that cannot be written is dropped, so the
  interpreter does not report it a second time when it ends.
- A failed write to standard error is dropped: a broken log ends no command. A reader that stops reading
  delays one line by `STUCK_S`, and never the loop of a server for longer.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from trio_chat.errors import OutputClosed, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["STUCK_S", "DiagnosticsFile", "OutputFile", "open_missing", "standard_error", "standard_output"]

STUCK_S = 1.0
# A pipe that poll() calls writable takes this much without blocking.
_AT_ONCE = select.PIPE_BUF
# Writing to a closed standard output fails, since this file can only be read.
_MISSING_FLAGS = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)


class OutputFile(io.FileIO):
    """Standard output. A failed write raises `OutputError`, and `has_failed` is set."""

    has_failed = False

    def write(self, data: Any, /) -> int:
        while True:
            try:
                written = super().write(data)
            except BrokenPipeError as error:
                self.has_failed = True
                raise OutputClosed("the reader of standard output closed it") from error
            except OSError as error:
                self.has_failed = True
                reason = "it is closed" if error.errno == errno.EBADF else error.strerror
                raise OutputError(f"cannot write to standard output: {reason}") from error
            if written is not None:
                return written
            select.select([], [self], [])  # another program made the shared terminal or pipe non-blocking


class DiagnosticsFile(io.FileIO):
    """Standard error. Data that it does not take is dropped."""

    _is_stuck = False

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        for start in range(0, len(view), _AT_ONCE):
            if not self._wait_writable():
                break
            try:
                super().write(view[start : start + _AT_ONCE])
            except OSError:
                break
        return len(view)

    def _wait_writable(self) -> bool:
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        # After a dropped line the next ones get no time until the reader reads again.
        self._is_stuck = not poll.poll(0 if self._is_stuck else STUCK_S * 1_000)
        return not self._is_stuck


def open_missing() -> None:
    """Open standard input, output and error on the null device where they are closed."""
    for descriptor, flags in enumerate(_MISSING_FLAGS):
        try:
            os.fstat(descriptor)
        except OSError:
            # `open` takes the lowest free number: this one, as the lower ones are open by now.
            os.set_inheritable(os.open(os.devnull, flags), True)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)


@contextmanager
def standard_error() -> Iterator[None]:
    """Open the streams that are closed, and drop what standard error does not take while the block runs.

    A stream that is not the interpreter's own, as in a test, is left alone.
    """
    open_missing()
    before = sys.stderr
    if before is sys.__stderr__:
        sys.stderr = _text(DiagnosticsFile(2, "wb", closefd=False), before, line_buffering=True)
    try:
        yield
    finally:
        sys.stderr = before


@contextmanager
def standard_output() -> Iterator[None]:
    """Let a failed write to standard output raise `OutputError` while the block runs.

    The end of the block raises it, too, if buffered output cannot be written and no earlier write has failed.
    A stream that is not the interpreter's own, as in a test, is left alone.
    """
    before = sys.stdout
    if before is not sys.__stdout__:
        yield
        return
    file = OutputFile(1, "wb", closefd=False)
    sys.stdout = _text(file, before)
    try:
        yield
    finally:
        try:
            _flush(file)
        finally:
            sys.stdout = before


def _text(
    file: io.FileIO, replaced: io.TextIOWrapper | object, *, line_buffering: bool = False
) -> io.TextIOWrapper:
    """Return a text stream on `file` with the encoding of the replaced one.

    A character that the encoding lacks is written as an escape: a path or a topic may hold any.
    """
    encoding = getattr(replaced, "encoding", "utf-8")
    handler = getattr(replaced, "errors", "strict")
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding,
        "backslashreplace" if handler == "strict" else handler,
        line_buffering=line_buffering or file.isatty(),
    )


def _flush(file: OutputFile) -> None:
    had_failed = file.has_failed
    try:
        sys.stdout.flush()
    except OutputError:
        with suppress(OSError), open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), file.fileno())
        sys.stdout.flush()
        if not had_failed:
            raise
