"""The progress bar: shown on a terminal, and nowhere else."""

import io
import sys

import pytest

from trio_chat.cli import bar as bar_module
from trio_chat.cli.bar import bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_the_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(bar_module, "BETWEEN_S", 0)
    with bar("copying") as tell:
        assert tell is not None and terminal.getvalue() == "", "short work shows no bar"
        tell(25, 100)
        assert " 25%" in terminal.getvalue()
        tell(100, 100)
    assert "copying" in terminal.getvalue() and "100%" in terminal.getvalue()


def test_frequent_reports_are_drawn_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(bar_module, "BETWEEN_S", 1_000)
    with bar("copying") as tell:
        assert tell is not None
        for done in range(100):
            tell(done, 100)
        assert " 50%" not in terminal.getvalue()
        tell(100, 100)
        assert "100%" in terminal.getvalue(), "the end is always drawn"


@pytest.mark.parametrize("hidden", [False, True])
def test_there_is_no_bar_without_a_terminal(hidden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal() if hidden else io.StringIO())
    with bar("copying", hidden=hidden) as tell:
        assert tell is None
