"""Standard output that is closed or full, or cannot encode a character."""

import io
import os
import signal
import sys
from contextlib import suppress

import pytest

from loadtest.screen import ReportOutput, wait_writable


def test_a_full_disk_makes_the_console_quiet() -> None:
    with open("/dev/full", "w") as full:  # closing it does not fail
        screen = ReportOutput(file=full)
        screen.print("FINE")
        assert screen.quiet
        screen.print("more")


def test_unencodable_characters_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    ReportOutput.standard().print("phantom: “1 oooo…”", markup=False, highlight=False)
    sys.stdout.flush()
    assert out.getvalue() == b"phantom: ?1 oooo??\n"


def test_a_full_pipe_is_waited_for_while_signals_are_handled() -> None:
    """The handler reads from the pipe, so the wait ends after it and not before."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(65_536))
    handled: list[int] = []

    def drain(number: int, _: object) -> None:
        os.read(reader, 1 << 20)
        handled.append(number)

    before = signal.signal(signal.SIGALRM, drain)
    try:
        with open(writer, "w") as file:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            wait_writable(file)
            assert handled == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        os.close(reader)


def test_a_closed_pipe_and_a_file_without_a_descriptor_are_not_waited_for() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as file:
        wait_writable(file)
    wait_writable(io.StringIO())
