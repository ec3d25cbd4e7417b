"""Fold texts for comparison: unify compatibility forms (NFKC), and capitals and small letters of every script
(case folding).

NFKC sorts each run of combining marks, and CPython uses insertion sort for it: a text of 4 KiB whose marks
come in descending order takes 10 ms. So each run is cut first, as in Unicode's Stream-Safe Text Process (UAX
#15, section 13): a combining grapheme joiner (CGJ) is inserted after every 30 non-starters, and the cost is
linear. No script has such long runs. The joiner stays in the folded text: a query that cuts a longer run at
another position does not match it. All other texts are folded as without the limit.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING
from unicodedata import combining, normalize

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CGJ", "NON_STARTERS_MAX", "fold_pieces", "fold_text", "legacy_fold", "stream_safe"]

CGJ = "\u034f"
NON_STARTERS_MAX = 30

# A run of more than 30 non-starters contains 14 or more characters that begin with a non-starter: a character
# decomposes to at most two non-starters, and the character before the run ends in at most three.
RUN_CHARS_MIN = 14
# Characters without a combining class that decompose to characters with one.
_HIDDEN = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")
# No letter or digit is a non-starter, except for two of the hidden ones. The pattern also matches other text.
_POSSIBLE = re.compile("[\\W\uff9e\uff9f]")
_POSSIBLE_RUN = re.compile(f"[\\W\uff9e\uff9f]{{{RUN_CHARS_MIN}}}")

# A text is folded in pieces of at most some 0.1 ms each: one character may become 18. No piece begins with a
# character that may compose with the previous character: a mark, or a vowel or final consonant of Hangul, in
# any width.
PIECE_CHARS = 256
_PIECE = re.compile(
    f"(?s:.{{1,{PIECE_CHARS}}})(?:[^\\w\0-\x7f]|[\u1161-\u11ff\u3131-\u318e\ud7b0-\ud7ff\uff9e-\uffdc])*"
)


def fold_text(text: str) -> str:
    """Return the form in which a text is compared."""
    if text.isascii():
        return text.lower()
    return "".join(fold_pieces(text))


def fold_pieces(text: str) -> Iterator[str]:
    """Yield the folded text in pieces, each of which takes little time."""
    return map(_folded, _pieces(text))


def legacy_fold(text: str) -> str:
    """Return the folded text without the limit on runs, as older servers have indexed it, in linear time."""
    if text.isascii():
        return text.lower()
    return _folded(_sorted(text) if _may_have_long_run(text) else text)


def stream_safe(text: str) -> str:
    """Return a text with a CGJ in every run of more than 30 non-starters."""
    return "".join(_pieces(text))


def _folded(text: str) -> str:
    folded = normalize("NFKC", normalize("NFKC", text).casefold())
    # İ folds to an i with a dot above, which no Turk would type to find it.
    return folded.replace("i\u0307", "i")


def _pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that are folded each by itself, with a CGJ in every long run."""
    for piece in _PIECE.findall(text) if len(text) > PIECE_CHARS else (text,):
        if _may_have_long_run(piece):
            yield from _cut(piece)
        else:
            yield piece


def _may_have_long_run(text: str) -> bool:
    # A long run has a character at one of every fourteen places: few texts are looked at any further.
    sample = text[RUN_CHARS_MIN - 1 :: RUN_CHARS_MIN]
    return (
        _POSSIBLE.search(sample) is not None
        and (any(map(combining, sample)) or not _HIDDEN.isdisjoint(sample))
        and _POSSIBLE_RUN.search(text) is not None
    )


@lru_cache(maxsize=4_096)
def _non_starters(char: str) -> tuple[int, int, int]:
    """Return how many non-starters the decomposition of a character begins with, ends in, and its length."""
    classes = [combining(part) for part in normalize("NFKD", char)]
    starters = [place for place, each in enumerate(classes) if not each]
    if not starters:
        return len(classes), len(classes), len(classes)
    return starters[0], len(classes) - 1 - starters[-1], len(classes)


def _cut(text: str) -> Iterator[str]:
    """Yield a text after the Stream-Safe Text Process, in pieces that begin with a CGJ."""
    parts: list[str] = []
    count = 0
    for char in text:
        initial, trailing, length = _non_starters(char)
        if count + initial > NON_STARTERS_MAX:
            if len(parts) >= PIECE_CHARS:
                yield "".join(parts)
                parts.clear()
            parts.append(CGJ)
            count = 0
        parts.append(char)
        count = count + length if initial == length else trailing
    yield "".join(parts)


def _sorted(text: str) -> str:
    """Decompose a text and sort its runs as NFKD does, but not by insertion."""
    decomposed = "".join([normalize("NFKD", char) for char in text])
    parts: list[str] = []
    for _, run in groupby(decomposed, lambda char: combining(char) > 0):
        parts += sorted(run, key=combining)  # starters are of one class: they stay as they are
    return "".join(parts)
