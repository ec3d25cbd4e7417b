"""Names and texts that are expensive to check: each rule of PRECIS and of Unicode's normal forms has its own.

Each name is a pattern that is repeated up to a length. The rules that look at a character's neighbours look
through the whole name, and a composing or reordering normal form may look back as far as there are marks.
"""

from __future__ import annotations

import unicodedata
from functools import cache

__all__ = ["ARABIC_DIGITS", "ODD_NAMES", "descending_marks", "odd_name", "odd_names", "ordinary_text"]

Pattern = tuple[str, str]
"""What a name begins with, and the unit that is repeated behind it."""

# Digits of Arabic alone have the wrong direction, and are refused before the rule that is expensive.
ARABIC_DIGITS = ("\u0628", "\u0660")
ODD_NAMES: dict[str, Pattern] = {
    "Arabic-Indic digits": ARABIC_DIGITS,
    "extended Arabic-Indic digits": ("", "\u06f0"),
    "katakana middle dots": ("\u30a2", "\u30fb"),
    "katakana middle dots alone": ("", "\u30fb"),
    "Hebrew geresh behind letters": ("", "\u05d0\u05f3"),
    "Hebrew gershayim behind letters": ("", "\u05d0\u05f4"),
    "Latin middle dots between l": ("", "l\u00b7"),
    "Greek numeral signs": ("\u03b1", "\u0375\u03b1"),
    "zero-width joiners": ("", "\u200d"),
    "zero-width joiners behind viramas": ("", "\u0915\u094d\u200d"),
    "zero-width non-joiners": ("\u0628", "\u200c\u0628"),
    "Greek that composes": ("", "\u03b1\u0313\u0300\u0345"),
    "Greek capitals that map to several letters": ("", "\u1f88"),
    "full-width letters": ("", "\uff21"),
    "final sigmas": ("", "\u03a3"),
    "Hangul jamo": ("", "\u1100\u1161\u11a8"),
    "mixed directions": ("", "\u05d0a"),
    "astral letters": ("", "\U00010400"),
}

_WORDS = "the quick brown fox jumps over that lazy dog and then there is the other thing with them "


def odd_name(pattern: Pattern, characters: int) -> str:
    """Return a name of so many characters, made of one pattern."""
    lead, unit = pattern
    return (lead + unit * (characters // len(unit) + 1))[:characters]


def odd_names(characters: int) -> list[str]:
    """Return a name of each pattern, and one of descending marks."""
    names = [odd_name(pattern, characters) for pattern in ODD_NAMES.values()]
    return [*names, "e" + descending_marks(characters - 1)]


@cache
def _marks() -> tuple[str, ...]:
    """Return the combining marks of two bytes each, those of the highest class first."""
    marks = [chr(code) for code in range(0x300, 0x370) if unicodedata.combining(chr(code))]
    return tuple(sorted(marks, key=unicodedata.combining, reverse=True))


def descending_marks(characters: int) -> str:
    """Return combining marks in descending order of their class.

    A normal form sorts them in ascending order, and the usual way to do so is quadratic on this.
    """
    marks = _marks()
    share = max(1, -(-characters // len(marks)))
    return "".join(mark * share for mark in marks)[:characters]


def ordinary_text(size: int, number: int = 0) -> str:
    """Return English words of so many bytes; the number makes texts differ."""
    head = f"{number} "
    return (head + _WORDS * (size // len(_WORDS) + 1))[:size]
