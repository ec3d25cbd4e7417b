"""The standard streams: a failed write has its error, and a stuck reader delays one line."""

import fcntl
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from trio_chat.cli import streams
from trio_chat.cli.streams import DiagnosticsFile, OutputFile, standard_error, standard_output
from trio_chat.errors import OutputClosed, OutputError

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no disk that is always full")


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Open a pipe that is full, whose writing end blocks."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(select.PIPE_BUF))
    except BlockingIOError:
        os.set_blocking(writing, True)
    try:
        yield reading, writing
    finally:
        for descriptor in (reading, writing):
            with suppress(OSError):  # a test has closed it
                os.close(descriptor)


@needs_full
def test_a_full_disk_is_an_output_error() -> None:
    with OutputFile(str(FULL), "wb") as file:
        with pytest.raises(OutputError, match=r"^cannot write to standard output: No space left on device$"):
            file.write(b"hello")
        assert file.has_failed


def test_a_closed_descriptor_is_an_output_error() -> None:
    read_only = os.open(os.devnull, os.O_RDONLY)
    with OutputFile(read_only, "wb") as file:
        with pytest.raises(OutputError, match=r"^cannot write to standard output: it is closed$"):
            file.write(b"hello")


def test_a_closed_pipe_is_an_error_of_its_own() -> None:
    with pipe() as (reading, writing):
        os.close(reading)
        with OutputFile(writing, "wb", closefd=False) as file, pytest.raises(OutputClosed):
            file.write(b"hello")


def test_a_pipe_that_another_program_made_non_blocking_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe() as (reading, writing):
        os.set_blocking(writing, False)

        def drain(*lists: list[Any]) -> None:
            assert lists == ([], [file], [])
            os.read(reading, 1 << 20)

        with OutputFile(writing, "wb", closefd=False) as file:
            monkeypatch.setattr(select, "select", drain)
            assert file.write(b"hello") == 5
        assert os.read(reading, 100) == b"hello"


@needs_full
def test_what_standard_error_does_not_take_is_dropped() -> None:
    with DiagnosticsFile(str(FULL), "wb") as file:
        assert file.write(b"hello") == 5


def test_a_stuck_reader_of_standard_error_delays_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Poll:
        """The system's poll, without a wait."""

        def __init__(self) -> None:
            self._poll = system_poll()
            self.register = self._poll.register

        def poll(self, timeout_ms: float) -> list[tuple[int, int]]:
            waits.append(timeout_ms)
            return self._poll.poll(0)

    system_poll = select.poll
    monkeypatch.setattr(select, "poll", Poll)
    with pipe() as (reading, writing), DiagnosticsFile(writing, "wb", closefd=False) as file:
        assert [file.write(b"dropped") for _ in range(3)] == [7, 7, 7]
        assert waits == [streams.STUCK_S * 1_000, 0, 0]
        held = fcntl.fcntl(writing, 1032) if sys.platform == "linux" else 1 << 20  # F_GETPIPE_SZ
        os.read(reading, held)
        long = b"x" * (select.PIPE_BUF + 1)
        assert file.write(long) == len(long)
        assert os.read(reading, held) == long
        assert waits[3:] == [0, streams.STUCK_S * 1_000]


@contextmanager
def output_to(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make a file descriptor 1 for the length of the block, and standard output the interpreter's own."""
    before = os.dup(1)
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1)
    os.close(file)
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", plain)
        patch.setattr(sys, "__stdout__", plain)
        try:
            yield
        finally:
            os.dup2(before, 1)
            os.close(before)


@needs_full
def test_buffered_output_that_cannot_be_written_is_an_error_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with output_to(FULL, monkeypatch), pytest.raises(OutputError), standard_output():
        sys.stdout.write("hello")


@needs_full
def test_a_failed_write_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with output_to(FULL, monkeypatch), standard_output():
        sys.stdout.write("hello")
        with pytest.raises(OutputError):
            sys.stdout.flush()


def test_a_character_without_a_code_is_shown_as_an_escape(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with output_to(tmp_path / "out", monkeypatch), standard_output():
        sys.stdout.write("Zürich \udcff")
    assert (tmp_path / "out").read_bytes() == rb"Z\xfcrich \udcff"


def test_streams_that_are_not_the_interpreters_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with standard_error(), standard_output():
        assert (sys.stdout, sys.stderr) == (out, err)
