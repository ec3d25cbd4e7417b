"""Standard output that ends too soon, or has no code for what is said."""

import io
import sys

import pytest

from loadtest.screen import ReportOutput


def test_a_full_disk_makes_it_quiet() -> None:
    with open("/dev/full", "w") as full:  # closing it does not fail either
        screen = ReportOutput(file=full)
        screen.print("FINE")
        assert screen.quiet
        screen.print("more")


def test_what_has_no_code_is_shown_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    ReportOutput.standard().print("phantom: “1 oooo…”", markup=False, highlight=False)
    sys.stdout.flush()
    assert out.getvalue() == b"phantom: ?1 oooo??\n"
