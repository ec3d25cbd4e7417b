"""What a search looks for, and in which order it looks.

*Texts.* A text is found when it stands in an entry's, both in their normal form (`fold.py`). There is no
syntax, and there are no words: `cat` is found in `concatenate`, and 猫 wherever it stands.

*Order.* A room's entries come in stretches, the newest first, each with the place of its newest entry. The
stretch that may hold the newest entry of all is looked at next, whatever its room. So what was found is in
order whenever one stops, and the place where one stopped is all that is needed to go on.

*Bounds.* What is looked at is counted, not what is found: a text that nearly matches everywhere must not cost
more than one that is found.

*Steps.* A search is a generator that yields after each step, of a tenth of a millisecond or so. The store
that takes the steps decides when others have their turn.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from trio_chat.journal.fold import folding, normal
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
    "fold_in_steps",
    "in_slices",
    "normal",
    "read_texts",
    "scan",
]

TRIGRAMS_MAX = 32  # of a long text these do: each is one more list to intersect
PLACES_MAX = 4_096  # of which these are chosen
STEP_BYTES = 16 << 10  # of payloads or folded texts that are compared in one step
STEP_CHARS = 256  # of a text that is folded in one step
STEP_S = 0.00025  # steps are taken for so long before others have their turn
PAUSE_RATIO = 4  # … which lasts so many times as long: all searches together have a fifth of the time
THREAD_PAUSE_RATIO = 2  # … in a thread, which does not hold the interpreter while SQLite works
SLICE_S = 0.02  # of work in one transaction, behind what it takes to begin
PAGE_S = 0.25  # … and for one answer: folding costs up to a hundred times as much as looking through ASCII

T = TypeVar("T")
Steps = Generator[None, None, T]


class Text(Struct, gc=False):
    """What a search reads of an entry."""

    at: int
    text: str


_decode_texts = msgspec.json.Decoder(list[Text]).decode


def read_texts(lines: list[bytes]) -> list[Text]:
    """The texts and times of entries, many at once: several times as fast as one by one."""
    return _decode_texts(b"[" + b",".join(lines) + b"]")


class SearchPace:
    """How a search takes its steps: for STEP_S, then a pause that is so many times as long as that took.

    `worked` is how long all steps have taken, by a clock that tests can make count steps.
    """

    def __init__(self, clock: Callable[[], float], pause_ratio: float = PAUSE_RATIO) -> None:
        self._clock = clock
        self._pause_ratio = pause_ratio
        self._slice_end: float | None = None
        self.worked = 0.0
        self.pause_s = 0.0

    def take(self, steps: Steps[T]) -> T | None:
        """Take steps; return what they come to, or None while some are left."""
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
        """Return whether the slice has had its time, which begins when this is asked first: to find where a
        hundred rooms begin takes time, and is done again in the next slice."""
        if self._slice_end is None:
            self._slice_end = self.worked + SLICE_S
        return self.worked >= self._slice_end

    def page_is_over(self) -> bool:
        return self.worked >= PAGE_S


def fold_in_steps(text: str) -> Steps[str]:
    """Return the normal form of a text."""
    if len(text) <= STEP_CHARS or text.isascii():
        return normal(text)
    parts: list[str] = []
    for piece in folding(text):
        parts.append(piece)
        yield
    return "".join(parts)


class SearchBounds(Struct, frozen=True):
    """How much is looked at, at most, in entries and in bytes of payloads; one stretch always is."""

    entries: int
    bytes: int


PAGE = SearchBounds(100_000, 32 << 20)  # for one answer


class SegmentLines(Struct, frozen=True):
    """Payloads of one room, the first numbered `first`.

    `folds` has, by number, the normal forms of the texts that are not ASCII, None for a text that is its own.
    It is None where a store keeps no normal forms.
    """

    first: int
    payloads: list[bytes]
    folds: Mapping[int, str | None] | None = None


class Query:
    """A text to be found; `folded` is its normal form where that is known."""

    def __init__(self, text: str, *, folded: str | None = None) -> None:
        self.text = normal(text) if folded is None else folded
        # As it stands in payloads, which are JSON. What holds it there need not hold it in the text.
        self._escaped = msgspec.json.encode(self.text)[1:-1]
        self._lower = self._escaped.lower() if self.text.isascii() else None

    @cached_property
    def trigrams(self) -> list[str]:
        """Three characters each, all of which stand in whatever holds the text; none of a text so short."""
        text = self.text
        step = -(-len(text) // PLACES_MAX)
        found = dict.fromkeys(text[start : start + 3] for start in range(0, len(text) - 2, step or 1))
        trigrams = [trigram for trigram in found if "\0" not in trigram]  # to SQLite the end of a text
        every = -(-len(trigrams) // TRIGRAMS_MAX) or 1
        return trigrams[::every]

    def hits(self, room: str, lines: SegmentLines) -> Steps[list[Hit]]:
        """Return those of a room's entries that hold it."""
        hits: list[Hit] = []
        folds = lines.folds
        for first, payloads in _groups(lines):
            joined = b"\n".join(payloads)
            if joined.isascii() if folds is None else not folds:
                # Often nothing holds it: one look at all of them tells that.
                if self._lower is not None and self._lower in joined.lower():
                    entries = read_texts(payloads)
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
        """Return the hits among entries of which no normal form is kept."""
        hits: list[Hit] = []
        for seq, (line, entry) in enumerate(zip(payloads, read_texts(payloads), strict=True), first):
            folded = yield from fold_in_steps(entry.text)
            if self.text in folded:
                hits.append(Hit(Position(entry.at, room, seq), line))
            if len(folded) > STEP_CHARS:
                yield
        return hits

    def _hits_folded(
        self, room: str, first: int, payloads: list[bytes], folds: Mapping[int, str | None]
    ) -> Steps[list[Hit]]:
        """Return the hits among entries of which the normal forms are kept."""
        hits: list[Hit] = []
        size = 0
        for seq, line in enumerate(payloads, first):
            folded = folds.get(seq, "")
            if folded:
                found = self.text in folded
                size += len(folded)
            elif folded is None:
                found = self._escaped in line and self.text in read_texts([line])[0].text
            else:
                found = self._lower is not None and self._lower in line.lower()
                found = found and self.text in read_texts([line])[0].text.lower()
            if found:
                hits.append(Hit(Position(read_texts([line])[0].at, room, seq), line))
            if size >= STEP_BYTES:
                size = 0
                yield
        return hits


def _groups(lines: SegmentLines) -> Iterator[tuple[int, list[bytes]]]:
    """Yield so many payloads together as one step compares, and the number of the first."""
    payloads = lines.payloads
    start = size = 0
    for place, line in enumerate(payloads):
        size += len(line)
        if size >= STEP_BYTES:
            yield lines.first + start, payloads[start : place + 1]
            start, size = place + 1, 0
    if start < len(payloads):
        yield lines.first + start, payloads[start:]


class Segment(Struct, frozen=True):
    """Entries of one room, one after the other; none stands before the place `newest`."""

    newest: Position
    load: Callable[[], SegmentLines]


class SearchSlice(Struct, frozen=True):
    """What was found in one go, where to go on, and how much was looked at."""

    hits: list[Hit]
    rest: Position | None
    entries: int
    bytes: int


def scan(
    rooms: Iterable[Iterator[Segment]],
    wanted: Query,
    below: Position | None,
    hits_max: int,
    bounds: SearchBounds,
    is_over: Callable[[], bool] = never,
) -> Steps[SearchSlice]:
    """Look for a text in rooms, behind the place `below`, up to the bounds or until `is_over`. Each room
    comes with its stretches, the newest first, of which few begin before that place."""
    hits: list[Hit] = []
    entries = size = 0
    heap: list[tuple[tuple[int, str, int], int, Hit | tuple[Segment, Iterator[Segment]]]] = []
    count = 0  # settles what is equal otherwise
    for stretches in rooms:
        for stretch in stretches:
            heap.append((stretch.newest.order, count := count + 1, (stretch, stretches)))
            break
        yield
    heapify(heap)
    while heap:
        _, _, item = heappop(heap)
        if isinstance(item, Hit):
            hits.append(item)
            if len(hits) == hits_max:
                return SearchSlice(hits, item.place, entries, size)
            continue
        stretch, stretches = item
        newest = stretch.newest
        if entries and (entries >= bounds.entries or size >= bounds.bytes or is_over()):
            return SearchSlice(hits, newest._replace(seq=newest.seq + 1), entries, size)
        lines = stretch.load()
        # What begins before the place comes first and does not count: to stop right behind it leads nowhere.
        if below is None or newest.order > below.order:
            entries += len(lines.payloads)
            size += sum(map(len, lines.payloads))
        found = yield from wanted.hits(newest.room, lines)
        for hit in found:
            if below is None or hit.place.order > below.order:
                heappush(heap, (hit.place.order, count := count + 1, hit))
        for stretch in stretches:
            heappush(heap, (stretch.newest.order, count := count + 1, (stretch, stretches)))
            break
    return SearchSlice(hits, None, entries, size)


async def in_slices(
    scan: Callable[[Position | None, int], Awaitable[SearchSlice | None]],
    pace: SearchPace,
    below: Position | None,
    limit: int,
) -> Matches:
    """A page of what is found, by looking for so many hits behind a place, again and again. Where `scan`
    gives None the page is not wanted any more, and is empty."""
    hits: list[Hit] = []
    entries = size = 0
    while True:
        pace.begin_slice()
        found = await scan(below, limit + 1 - len(hits))  # one more: is there more?
        if found is None:
            return Matches([], None)
        hits += found.hits
        if len(hits) > limit:
            return Matches(hits[:limit], hits[limit - 1].place)
        entries += found.entries
        size += found.bytes
        below = found.rest
        if below is None or entries >= PAGE.entries or size >= PAGE.bytes or pace.page_is_over():
            return Matches(hits, below)
