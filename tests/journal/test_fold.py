"""The folded form is unchanged for every text that people write, at a linear cost."""

import re
import sys
import unicodedata
from itertools import groupby
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_chat.journal import fold
from trio_chat.journal.fold import CGJ, NON_STARTERS_MAX, RUN_CHARS_MIN, fold_text, legacy_fold, stream_safe

EVERY_CHARACTER = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
ACUTE, BELOW = "\u0301", "\u0316"  # of the classes 230 and 220
# Marks of many classes, marks that decompose to two or have no class themselves, and other characters.
MARKS = "\u0301\u0316\u0345\u0334\u05b0\u0f71\u0f73\u0f75\u0f81\u0344\u0308\uff9e\uff9f\u3099" + CGJ
OTHERS = "aAéǅ猫ガｶ\u1faf\u0390İ \n.¨👋\u200d"


def expanded(runs: list[tuple[str, int]]) -> str:
    return "".join(characters * times for characters, times in runs)


texts = st.lists(st.sampled_from(MARKS + OTHERS), max_size=80).map("".join)
long_texts = st.lists(
    st.tuples(st.text(st.sampled_from(MARKS + OTHERS), min_size=1, max_size=4), st.integers(1, 40)),
    max_size=5,
).map(expanded)


def runs(text: str) -> list[int]:
    """Return the lengths of the runs of non-starters in a decomposed text."""
    decomposed = unicodedata.normalize("NFKD", text)
    return [
        len(list(run)) for marks, run in groupby(decomposed, lambda c: unicodedata.combining(c) > 0) if marks
    ]


def before(text: str) -> str:
    """Return the form as it was before runs were cut."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.replace("i\u0307", "i")


def by_the_annex(text: str) -> str:
    """Apply the Stream-Safe Text Process literally."""
    made = ""
    non_starter_count = 0
    for char in text:
        classes = [unicodedata.combining(part) for part in unicodedata.normalize("NFKD", char)]
        starters = [place for place, each in enumerate(classes) if each == 0]
        initial = starters[0] if starters else len(classes)
        if non_starter_count + initial > 30:
            made += CGJ
            non_starter_count = 0
        made += char
        if starters:
            non_starter_count = len(classes) - 1 - starters[-1]
        else:
            non_starter_count += len(classes)
    return made


@given(texts | long_texts | st.text())
@example("\u1faf" + ACUTE * 27)
@example("\u1faf" + ACUTE * 28)
@example("\u1faf" + "\u0344" * 14)
@example("猫" + "\uff9e" * 31)
@example("\u0344" * 16)
@example("a" + "\u0f73" * 16 + CGJ + ACUTE * 31)
def test_runs_are_cut_where_uax_15_cuts_them(text: str) -> None:
    assert stream_safe(text) == by_the_annex(text)


@given(texts | long_texts | st.text())
def test_a_text_without_a_long_run_is_folded_as_before(text: str) -> None:
    if max(runs(text), default=0) <= NON_STARTERS_MAX:
        assert stream_safe(text) == text
        assert fold_text(text) == before(text)


@given(texts | long_texts | st.text())
@example("a" + ACUTE * 40 + BELOW * 40)
@example("é" + BELOW * 40)
@example("\u0390" + BELOW * 40 + "\u0345" * 3)
def test_the_legacy_form_is_the_old_one_at_linear_cost(text: str) -> None:
    assert legacy_fold(text) == before(text)


@given(st.lists(texts | long_texts, max_size=4))
def test_texts_are_folded_together_as_each_by_itself(said: list[str]) -> None:
    assert fold_text("\n".join(said)) == "\n".join(map(fold_text, said))
    assert legacy_fold("\n".join(said)) == "\n".join(map(legacy_fold, said))


@pytest.mark.parametrize("folded", [fold_text, legacy_fold])
@pytest.mark.parametrize(
    "text",
    [
        (ACUTE + BELOW) * 1_000,
        "é" + ACUTE * 1_000 + BELOW * 1_000,
        "猫" + "\uff9e\u0316" * 600,
        "\u0344" * 2_000,
        "".join(map(chr, range(0x36F, 0x2FF, -1))) * 18,
    ],
)
def test_no_long_run_out_of_order_is_ever_sorted_by_insertion(
    folded: object, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPython moves a mark back over every mark of a higher class; the test counts those moves."""
    moves = 0

    def counting(form: str, given: str) -> str:
        nonlocal moves
        if form == "NFKC":
            moves += insertions(given)
        return unicodedata.normalize(form, given)  # type: ignore[arg-type]  # one of its forms

    monkeypatch.setattr(fold, "normalize", counting)
    fold._non_starters.cache_clear()
    assert callable(folded)
    folded(text)
    assert moves <= len(text) * NON_STARTERS_MAX


def insertions(text: str) -> int:
    """Return how many positions the marks of a text move when they are sorted by insertion."""
    moves = 0
    run: list[int] = []
    for char in "".join(unicodedata.normalize("NFKD", char) for char in text):
        place = unicodedata.combining(char)
        if place:
            moves += sum(each > place for each in run)
            run.append(place)
        else:
            run.clear()
    return moves


def test_no_non_starter_is_missed() -> None:
    """Check every character: a run that is missed would be sorted by insertion."""
    for char in EVERY_CHARACTER:
        initial, trailing, length = fold._non_starters.__wrapped__(char)
        if initial:
            assert fold._POSSIBLE.fullmatch(char), ascii(char)
            assert unicodedata.combining(char) or char in fold._HIDDEN, ascii(char)
            assert initial == length <= 2, ascii(char)
        else:
            assert trailing <= 3, ascii(char)
    assert 3 + 2 * (RUN_CHARS_MIN - 1) <= NON_STARTERS_MAX


def test_no_piece_begins_with_a_composing_character() -> None:
    seconds = {unicodedata.normalize("NFD", char)[1:2] for char in EVERY_CHARACTER}
    seconds |= set(map(chr, range(0x1161, 0x1176))) | set(map(chr, range(0x11A8, 0x11C3)))
    for char in EVERY_CHARACTER:
        first = unicodedata.normalize("NFKD", char)[0]
        if first in seconds or unicodedata.combining(first):
            assert fold._PIECE.findall("x" * fold.PIECE_CHARS + char) == ["x" * fold.PIECE_CHARS + char]


@pytest.mark.parametrize("text", ["\ufdfa" * 1_365, "猫" * 1_365, "x\u0301" * 1_300, "\u0301\u0316" * 1_024])
def test_a_text_is_folded_in_small_pieces(text: str) -> None:
    pieces = list(fold._pieces(text))
    assert max(map(len, pieces)) <= fold.PIECE_CHARS + NON_STARTERS_MAX + 1
    assert "".join(fold.fold_pieces(text)) == fold_text(text)


@given(
    st.lists(st.text(st.sampled_from(MARKS + OTHERS + "각\u1161\u11a8ｱﾡￂ"), max_size=6), max_size=12).map(
        "".join
    )
)
def test_a_text_is_folded_in_pieces_as_at_once(text: str) -> None:
    with patch.object(fold, "_PIECE", re.compile(fold._PIECE.pattern.replace("256", "2"))):
        with patch.object(fold, "PIECE_CHARS", 2):
            assert fold_text(text) == ascii_or(text)


def ascii_or(text: str) -> str:
    return text.lower() if text.isascii() else fold._folded(by_the_annex(text))


def test_case_folding_makes_no_run_longer() -> None:
    for char in EVERY_CHARACTER:
        folded = unicodedata.normalize("NFKC", char).casefold()
        if folded != char:
            assert max(runs(folded), default=0) <= max(runs(char), default=0), ascii(char)
            assert _trailing(folded) <= _trailing(char), ascii(char)


def _trailing(text: str) -> int:
    decomposed = unicodedata.normalize("NFKD", text)
    return (
        len(decomposed)
        - 1
        - max((place for place, char in enumerate(decomposed) if not unicodedata.combining(char)), default=-1)
    )


def test_a_query_matches_a_long_run_from_its_beginning_and_not_cut_elsewhere() -> None:
    said = fold_text("a" + ACUTE * 40)
    assert fold_text("A" + ACUTE * 35) in said
    assert fold_text(ACUTE * 35) not in said, "á takes one of the first 30"
    assert fold_text(ACUTE * 10) in said
