"""Standard output that is closed or full, or cannot encode a character."""

import io
import sys

import pytest

from loadtest.screen import ReportOutput


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
