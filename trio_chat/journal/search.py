"""How a search compares texts, and in which order it scans entries.

*Texts.* A text is found when an entry's text contains it, both in folded form (`fold.py`). There is no query
syntax, and there are no words: `cat` is found in `concatenate`, and 猫 anywhere in a text.

*Order.* A room's entries come in segments, the newest first, each with the position of its newest entry. The
next segment to scan is the one that may hold the newest entry of all rooms. So the hits are in order whenever
the search stops, and it can continue with only the position where it stopped.

*Bounds.* The limits count scanned entries, not hits: a text that nearly matches everywhere must not cost more
than a text that is found.

*Steps.* A search is a generator that yields after each step of about a tenth of a millisecond. The store that
runs the steps decides when other tasks run.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from trio_chat.journal.fold import fold_pieces, fold_text
from trio_chat.journal.store import Hit, Matches, Position, never

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

__all__ = [
    "THREAD_PAUSE_RATIO",
    "Query",
    "SearchBounds",
    "SearchPace",
    "SearchSlice",
    "Segment",
    "SegmentLines",
    "Steps",
    "decode_texts",
    "fold_in_steps",
    "in_slices",
    "scan",
]

TRIGRAMS_MAX = 32  # for a long text these are enough: each is one more list to intersect
PLACES_MAX = 4_096  # the positions in the text from which they are chosen
STEP_BYTES = 16 << 10  # of payloads or folded texts that are compared in one step
STEP_CHARS = 256  # of a text that is folded in one step
STEP_S = 0.00025  # how long steps run before other tasks run
PAUSE_RATIO = 4  # the pause after that, as a multiple: all searches together use a fifth of the time
THREAD_PAUSE_RATIO = 2  # the same for a thread, which does not hold the interpreter while SQLite works
SLICE_S = 0.02  # of work in one transaction, after its start
PAGE_S = 0.25  # of work for one page: folding costs up to a hundred times as much as scanning ASCII

T = TypeVar("T")
Steps = Generator[None, None, T]


class Text(Struct, gc=False):
    """The fields of an entry that a search reads."""

    at: int
    text: str


_decode_texts = msgspec.json.Decoder(list[Text]).decode


def decode_texts(lines: list[bytes]) -> list[Text]:
    """Return the texts and times of many entries: several times as fast as decoding them singly."""
    return _decode_texts(b"[" + b",".join(lines) + b"]")


class SearchPace:
    """The timing of a search: it runs steps for STEP_S, then pauses for a multiple of the time that took.

    `worked` is how long all steps have taken, by a clock that tests can replace by a counter of steps.
    """

    def __init__(self, clock: Callable[[], float], pause_ratio: float = PAUSE_RATIO) -> None:
        self._clock = clock
        self._pause_ratio = pause_ratio
        self._slice_end: float | None = None
        self.worked = 0.0
        self.pause_s = 0.0

    def take(self, steps: Steps[T]) -> T | None:
        """Run steps; return the search's result, or None while steps are left."""
        began = now = self._clock()
        try:
            while now - began < STEP_S:
                next(steps)
                now = self._clock()
            return None
        except StopIteration as stop:
            now = self._clock()
            result: T = stop.value
            return result
        finally:
            self.worked += now - began
            self.pause_s = self._pause_ratio * min(now - began, STEP_S)

    def begin_slice(self) -> None:
        self._slice_end = None

    def slice_is_over(self) -> bool:
        """Return whether the slice has used its time. The time begins with the first call: finding the start
        of a hundred rooms takes long, and is repeated in each slice."""
        if self._slice_end is None:
            self._slice_end = self.worked + SLICE_S
        return self.worked >= self._slice_end

    def page_is_over(self) -> bool:
        return self.worked >= PAGE_S


def fold_in_steps(text: str) -> Steps[str]:
    """Fold a text in steps."""
    if len(text) <= STEP_CHARS or text.isascii():
        return fold_text(text)
    parts: list[str] = []
    for piece in fold_pieces(text):
        parts.append(piece)
        yield
    return "".join(parts)


class SearchBounds(Struct, frozen=True):
    """The limits of a scan, in entries and in bytes of payloads; at least one segment is always scanned."""

    entries: int
    bytes: int


PAGE = SearchBounds(100_000, 32 << 20)  # for one page


class SegmentLines(Struct, frozen=True):
    """Payloads of one room, the first numbered `first`.

    `folds` maps numbers to the folded forms of the texts that are not ASCII; None stands for a text that is
    its own folded form. `folds` itself is None if the store keeps no folded forms.
    """

    first: int
    payloads: list[bytes]
    folds: Mapping[int, str | None] | None = None


class Query:
    """A text to search for; `folded` is its folded form if it is known."""

    def __init__(self, text: str, *, folded: str | None = None) -> None:
        self.text = fold_text(text) if folded is None else folded
        # The text as it is written in the JSON of payloads. A match there need not be in the entry's text.
        self._escaped = msgspec.json.encode(self.text)[1:-1]
        self._lower = self._escaped.lower() if self.text.isascii() else None

    @cached_property
    def trigrams(self) -> list[str]:
        """Three-character pieces that every matching entry contains; none for a text that is too short."""
        text = self.text
        step = -(-len(text) // PLACES_MAX)
        found = dict.fromkeys(text[start : start + 3] for start in range(0, len(text) - 2, step or 1))
        trigrams = [trigram for trigram in found if "\0" not in trigram]  # for SQLite it ends a text
        every = -(-len(trigrams) // TRIGRAMS_MAX) or 1
        return trigrams[::every]

    def hits(self, room: str, lines: SegmentLines) -> Steps[list[Hit]]:
        """Return the hits among a room's entries."""
        hits: list[Hit] = []
        folds = lines.folds
        for first, payloads in _groups(lines):
            joined = b"\n".join(payloads)
            if joined.isascii() if folds is None else not folds:
                # Often there is no match: one test of all payloads shows that.
                if self._lower is not None and self._lower in joined.lower():
                    entries = decode_texts(payloads)
                    for seq, (line, entry) in enumerate(zip(payloads, entries, strict=True), first):
                        if self.text in entry.text.lower():
                            hits.append(Hit(Position(entry.at, room, seq), line))
            elif folds is None:
                hits += yield from self._hits_folding(room, first, payloads)
            else:
                hits += yield from self._hits_folded(room, first, payloads, folds)
            yield
        return hits

    def _hits_folding(self, room: str, first: int, payloads: list[bytes]) -> Steps[list[Hit]]:
        """Return the hits among entries without kept folded forms."""
        hits: list[Hit] = []
        for seq, (line, entry) in enumerate(zip(payloads, decode_texts(payloads), strict=True), first):
            folded = yield from fold_in_steps(entry.text)
            if self.text in folded:
                hits.append(Hit(Position(entry.at, room, seq), line))
            if len(folded) > STEP_CHARS:
                yield
        return hits

    def _hits_folded(
        self, room: str, first: int, payloads: list[bytes], folds: Mapping[int, str | None]
    ) -> Steps[list[Hit]]:
        """Return the hits among entries with kept folded forms."""
        hits: list[Hit] = []
        size = 0
        for seq, line in enumerate(payloads, first):
            folded = folds.get(seq, "")
            if folded:
                found = self.text in folded
                size += len(folded)
            elif folded is None:
                found = self._escaped in line and self.text in decode_texts([line])[0].text
            else:
                found = self._lower is not None and self._lower in line.lower()
                found = found and self.text in decode_texts([line])[0].text.lower()
            if found:
                hits.append(Hit(Position(decode_texts([line])[0].at, room, seq), line))
            if size >= STEP_BYTES:
                size = 0
                yield
        return hits


def _groups(lines: SegmentLines) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the payloads in groups that one step compares, each with the number of its first entry."""
    payloads = lines.payloads
    start = size = 0
    for index, line in enumerate(payloads):
        size += len(line)
        if size >= STEP_BYTES:
            yield lines.first + start, payloads[start : index + 1]
            start, size = index + 1, 0
    if start < len(payloads):
        yield lines.first + start, payloads[start:]


class Segment(Struct, frozen=True):
    """Consecutive entries of one room; none of them is before the position `newest`."""

    newest: Position
    load: Callable[[], SegmentLines]


class SearchSlice(Struct, frozen=True):
    """The hits of one scan, the position to continue from, and how much was scanned."""

    hits: list[Hit]
    rest: Position | None
    entries: int
    bytes: int


def scan(
    rooms: Iterable[Iterator[Segment]],
    query: Query,
    below: Position | None,
    hits_max: int,
    bounds: SearchBounds,
    is_over: Callable[[], bool] = never,
) -> Steps[SearchSlice]:
    """Search rooms for a text after the position `below`, up to the bounds or until `is_over`.

    Each room is an iterator of its segments, the newest first; few of them may begin before the position.
    """
    hits: list[Hit] = []
    entries = size = 0
    heap: list[tuple[tuple[int, str, int], int, Hit | tuple[Segment, Iterator[Segment]]]] = []
    count = 0  # breaks ties
    for segments in rooms:
        for segment in segments:
            heap.append((segment.newest.order, count := count + 1, (segment, segments)))
            break
        yield
    heapify(heap)
    while heap:
        _, _, item = heappop(heap)
        if isinstance(item, Hit):
            hits.append(item)
            if len(hits) == hits_max:
                return SearchSlice(hits, item.position, entries, size)
            continue
        segment, segments = item
        newest = segment.newest
        if entries and (entries >= bounds.entries or size >= bounds.bytes or is_over()):
            return SearchSlice(hits, newest._replace(seq=newest.seq + 1), entries, size)
        lines = segment.load()
        # Segments that begin before the position come first and do not count: otherwise the search might stop
        # without progress.
        if below is None or newest.order > below.order:
            entries += len(lines.payloads)
            size += sum(map(len, lines.payloads))
        found = yield from query.hits(newest.room, lines)
        for hit in found:
            if below is None or hit.position.order > below.order:
                heappush(heap, (hit.position.order, count := count + 1, hit))
        for segment in segments:
            heappush(heap, (segment.newest.order, count := count + 1, (segment, segments)))
            break
    return SearchSlice(hits, None, entries, size)


async def in_slices(
    scan: Callable[[Position | None, int], Awaitable[SearchSlice | None]],
    pace: SearchPace,
    below: Position | None,
    limit: int,
) -> Matches:
    """Return a page of hits: call `scan` for the remaining hits after a position, until the page is full or
    over its bounds. When `scan` returns None the search is abandoned, and the page is empty."""
    hits: list[Hit] = []
    entries = size = 0
    while True:
        pace.begin_slice()
        found = await scan(below, limit + 1 - len(hits))  # one extra hit shows whether there are more
        if found is None:
            return Matches([], None)
        hits += found.hits
        if len(hits) > limit:
            return Matches(hits[:limit], hits[limit - 1].position)
        entries += found.entries
        size += found.bytes
        below = found.rest
        if below is None or entries >= PAGE.entries or size >= PAGE.bytes or pace.page_is_over():
            return Matches(hits, below)
