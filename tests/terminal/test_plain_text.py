"""Lines of program output lose their escape sequences and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.hub.names import check_text
from trio_chat.terminal.plain_text import plain_text


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("plain", "plain"),
        ("  spaces\tand tabs  ", "  spaces\tand tabs  "),
        ("\x1b[31mred\x1b[0m and \x1b[1;38;5;196mbold\x1b[m", "red and bold"),
        ("\x1b[2K\x1b[1Gat the left", "at the left"),
        ("\x1b[?25lhidden cursor\x1b[?25h", "hidden cursor"),
        ("\x1b]0;a title\x07after", "after"),
        ("\x1b]8;;http://example\x1b\\a link\x1b]8;;\x1b\\", "a link"),
        ("\x1bP+q544e\x1b\\after", "after"),
        ("\x1b(B\x1b)0\x1b7\x1b=\x1bMafter", "after"),
        ("\x9b31mred\x9d0;title\x9cafter", "redafter"),
        (" 10%\r 50%\r100%", " 10% 50%100%"),
        ("dos\r", "dos"),
        ("a\x00b\x07c\x08d\x7f", "a\u2400b\u2407c\u2408d\u2421"),
        ("\x0b\x0c\x1b", "\u240b\u240c\u241b"),
        ("\x85next", "\ufffdnext"),
        ("\x1b]0;no end", "0;no end"),
        ("\x1b[31", "31"),
        ("\x1b[31\x00m", "31\u2400m"),
        ("caf\ufffd \U0001f986 \u200d\u2028", "caf\ufffd \U0001f986 \u200d\u2028"),
        ("\x1b[0m", ""),
        ("/quit", "/quit"),
    ],
)
def test_a_line_keeps_its_text(line: str, text: str) -> None:
    assert plain_text(line) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n")))
def test_a_server_accepts_each_nonempty_line(line: str) -> None:
    if text := plain_text(line):
        check_text(text, 1_000_000, 1)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])))
def test_a_line_without_controls_is_unchanged(line: str) -> None:
    assert plain_text(line) == line


@pytest.mark.parametrize(
    "part", ["\x1b[", "\x1b[0", "\x1b]", "\x9d", "\x9b0 ", "\x1b]0;", "\x1b ", "\x1bP\x9c", "\x1b[0 0"]
)
def test_unfinished_sequences_take_linear_time(part: str) -> None:
    """In quadratic time, a million of them or one of a million characters would take hours."""
    assert len(plain_text(part * 300_000)) < 3_000_000
    assert len(plain_text("\x1b]" + "0" * 1_000_000)) == 1_000_000
    assert len(plain_text("\x1b[" + "0" * 1_000_000 + "\x00")) == 1_000_001
    assert len(plain_text("\x1b[" + "0" * 500_000 + " " * 500_000 + "\x00")) == 1_000_001
