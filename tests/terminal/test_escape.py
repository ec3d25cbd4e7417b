"""Text from a peer never controls the terminal."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.terminal.escape import escape, escape_json

# The Unicode categories of controls, formats, surrogates, and line and paragraph separators.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = "\u200c\u200d"
any_text = st.text(st.characters(codec=None) | st.sampled_from("\x1b\x07\x9b\x9d\r\n\u202e\u2066\u200e"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ascii ~", "plain, ascii ~"),
        ("Ünïcödé 漢字 🦆 فارسی", "Ünïcödé 漢字 🦆 فارسی"),
        ("\x1b[2Jgone", "^[[2Jgone"),
        ("\x1b]0;title\x07", "^[]0;title^G"),
        ("\x9b2J", "<U+009B>2J"),
        ("\x9d0;title\x9c", "<U+009D>0;title<U+009C>"),
        ("\rada: hi", "^Mada: hi"),
        ("two\nlines\tand a tab", "two^Jlines^Iand a tab"),
        ("\x7f\x00", "^?^@"),
        ("\u202efdp.exe", "<U+202E>fdp.exe"),
        ("\u2066a\u2069", "<U+2066>a<U+2069>"),
        ("\u200e\u200f\u061c", "<U+200E><U+200F><U+061C>"),
        ("a\u200bda", "a<U+200B>da"),
        ("\u2028\u2029", "<U+2028><U+2029>"),
        ("\U000e0041", "<U+E0041>"),
        ("\ud83d", "<U+D83D>"),
        ("👩\u200d🚀 می\u200cخواهم", "👩\u200d🚀 می\u200cخواهم"),
    ],
)
def test_terminal_controls_are_made_visible(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(any_text)
def test_escaped_text_is_one_printable_line(text: str) -> None:
    shown = escape(text)
    shown.encode()
    assert shown.splitlines() in ([], [shown])
    left = {char for char in shown if unicodedata.category(char) in UNSEEN} - set(JOINERS)
    # Visible signs of other scripts, although Unicode counts them as formats.
    assert all(unicodedata.category(char) == "Cf" and char not in "\u202d\u200b" for char in left), left
    assert escape(shown) == shown


@given(any_text)
def test_escaped_json_is_equal_and_printable(text: str) -> None:
    line = json.dumps({"text": text}, ensure_ascii=False)
    escaped = escape_json(line)
    escaped.encode()
    assert json.loads(escaped) == {"text": text}
    assert escape(escaped) == escaped


def test_every_direction_and_every_control_is_escaped() -> None:
    controls = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))]
    directions = [*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), *"\u200e\u200f\u061c"]
    for char in controls + directions:
        assert char not in escape(f"a{char}b")
