"""Searches: the folded form, the trigrams, and the order in which segments are scanned."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_chat.journal.fold import fold_text
from trio_chat.journal.search import TRIGRAMS_MAX, Query, SearchBounds, Segment, SegmentLines, Steps, scan
from trio_chat.journal.store import Position, never
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Said

# Texts of several scripts, with marks, escaped in JSON, and characters that fold to several characters.
CHARACTERS = 'ab İIıißſẞΣσςéÉe\u0301\u0307\u0308ﬁ①Ａ猫ねｶ\u3099\uac00\u1100\u1161👋🏽\u200d"\\\n\t\x7f*(:\0'
LONG_RUN = "\u0316\u0301" * 17
texts = (
    st.text(st.sampled_from(CHARACTERS), max_size=12)
    | st.text(max_size=5)
    | st.lists(st.sampled_from([*CHARACTERS, LONG_RUN, "\uff9e" * 33, "ﷺ" * 150]), max_size=4).map("".join)
)
T = TypeVar("T")


def all_steps(steps: Steps[T]) -> T:
    """Run all steps of a search."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("ADA", "ada"),
        ("istanbul", "İSTANBUL"),
        ("İstanbul", "istanbul"),
        ("strasse", "Straße"),
        ("STRAẞE", "strasse"),
        ("ΟΔΥΣΣΕΥΣ", "Οδυσσεύς".replace("ύ", "υ")),
        ("ada", "Ａｄａ"),
        ("fi", "oﬃce"),
        ("caf\u00e9", "cafe\u0301"),
        ("猫", "三匹の猫がいる"),
        ("ガ", "ｶﾞ"),
        ("👋🏽", "hi 👋🏽!"),
        ('"a" OR b*', 'so: "A" or B*.'),
    ],
)
def test_texts_that_fold_to_the_same_form_match(wanted: str, text: str) -> None:
    assert Query(wanted).text in fold_text(text)


@pytest.mark.parametrize(("wanted", "text"), [("cafe", "café"), ("ab", "a b"), ("a OR b", "b"), ("a*", "ab")])
def test_texts_that_fold_to_other_forms_do_not_match(wanted: str, text: str) -> None:
    assert Query(wanted).text not in fold_text(text)


@given(st.lists(texts, min_size=1, max_size=4), texts)
@example(["\n\u0301a"], "\u0301a")  # an escaped newline ends in an n, which would combine with the mark
@example(["\u0307"], "\u0307")
@example(['"'], '"')
@example(["said", "Lobby", "a"], "said")
def test_the_test_of_raw_payloads_misses_no_hit(said: list[str], text: str) -> None:
    payloads = [encode(Said("Lobby", seq, 5, "ada", each)) for seq, each in enumerate(said, 1)]
    expected = [seq for seq, each in enumerate(said, 1) if fold_text(text) in fold_text(each)]
    folds = {
        seq: None if fold_text(each) == each else fold_text(each)
        for seq, each in enumerate(said, 1)
        if not each.isascii()
    }
    for lines in (SegmentLines(1, payloads), SegmentLines(1, payloads, folds)):
        hits = all_steps(Query(text).hits("lobby", lines))
        assert [(hit.position.seq, hit.position.at, hit.payload) for hit in hits] == [
            (seq, 5, payloads[seq - 1]) for seq in expected
        ]


@given(texts, texts, texts)
def test_a_matching_text_contains_all_trigrams_of_the_query(before: str, text: str, after: str) -> None:
    wanted = Query(text)
    whole = fold_text(before + text + after)
    if wanted.text in whole:
        assert all(trigram in whole and len(trigram) == 3 for trigram in wanted.trigrams)


def test_a_long_query_uses_a_sample_of_its_trigrams() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 1_000)))
    trigrams = Query(text).trigrams
    assert 20 < len(trigrams) <= TRIGRAMS_MAX
    assert trigrams[0] == text[:3]
    assert text.index(trigrams[-1]) > 900, "from the whole text"
    assert Query("aaaa").trigrams == ["aaa"]
    assert Query("aa").trigrams == []


# --- the order of the scan ---------------------------------------------------------------------------


ALL = SearchBounds(10**9, 10**9)


class SegmentStore:
    """Rooms whose entries all have the text `x`, in segments of given times; it records each scan."""

    def __init__(self, **rooms: list[list[int]]) -> None:
        self.rooms = rooms
        self.looked: list[tuple[str, int]] = []

    def scan(
        self,
        hits_max: int = 99,
        bounds: SearchBounds = ALL,
        below: Position | None = None,
        is_over: Callable[[], bool] = never,
    ) -> tuple[list[str], Position | None]:
        rooms = [self._stretches(room, stretches) for room, stretches in self.rooms.items()]
        steps = scan((iter(stretches) for stretches in rooms), Query("x"), below, hits_max, bounds, is_over)
        found = all_steps(steps)
        return [f"{hit.position.room}{hit.position.seq}" for hit in found.hits], found.rest

    def _stretches(self, room: str, stretches: list[list[int]]) -> list[Segment]:
        made = []
        seq = 1
        for times in stretches:

            def load(first: int = seq, times: list[int] = times) -> SegmentLines:
                self.looked.append((room, first))
                payloads = [encode(Said(room, first + n, at, "ada", "x")) for n, at in enumerate(times)]
                return SegmentLines(first, payloads)

            made.append(Segment(Position(times[-1], room, seq + len(times) - 1), load))
            seq += len(times)
        return made[::-1]


def test_hits_of_all_rooms_are_sorted_newest_first() -> None:
    rooms = SegmentStore(a=[[1, 5], [9, 9]], b=[[2, 3], [4, 8]], c=[[9]])
    found, rest = rooms.scan()
    assert found == ["a4", "a3", "c1", "b4", "a2", "b3", "b2", "b1", "a1"]
    assert rest is None


def test_a_scan_stops_when_it_has_enough_hits() -> None:
    rooms = SegmentStore(a=[[1, 5], [9, 9]], b=[[2, 3], [4, 8]])
    assert rooms.scan(hits_max=3) == (["a4", "a3", "b4"], Position(8, "b", 4))
    assert rooms.looked == [("a", 3), ("b", 3)]


def test_at_the_limit_a_scan_returns_where_to_continue() -> None:
    rooms = SegmentStore(a=[[1, 5], [9, 9]], b=[[2, 3], [4, 8]])
    found, rest = rooms.scan(bounds=SearchBounds(3, 10**9))
    assert found == ["a4", "a3", "b4"]
    assert rest == Position(5, "a", 3), "after every entry before that segment"
    assert rooms.scan(bounds=SearchBounds(1, 1)) == (["a4", "a3"], Position(8, "b", 5)), (
        "one stretch always is"
    )


def test_a_scan_out_of_time_has_scanned_at_least_one_segment() -> None:
    """Otherwise the next page would make no progress."""
    rooms = SegmentStore(a=[[1, 5], [9, 9]], b=[[2, 3], [4, 8]])
    assert rooms.scan(is_over=lambda: True) == (["a4", "a3"], Position(8, "b", 5))
    assert rooms.scan(is_over=lambda: True, below=Position(8, "b", 5)) == (["b4"], Position(5, "a", 3))
    assert rooms.scan(is_over=lambda: len(rooms.looked) >= 5) == (["a4", "a3", "b4"], Position(5, "a", 3))


def test_a_scan_progresses_even_if_many_segments_begin_before_its_position() -> None:
    """This happens if many rooms have entries with the same time."""
    rooms = SegmentStore(a=[[1, 5, 9]], b=[[2, 3]], c=[[1], [9, 9, 9]])
    assert rooms.scan(bounds=SearchBounds(1, 10**9), below=Position(3, "b", 3)) == (
        ["b2", "b1", "a1"],
        Position(1, "c", 2),
    )
    assert rooms.scan(below=Position(3, "b", 3)) == (["b2", "b1", "a1", "c1"], None)
