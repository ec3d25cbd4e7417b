"""What a search looks for, and in which order it looks.

*Texts.* A text is found when it stands in an entry's, both in their normal form: compatibility forms are one
(NFKC), and so are capitals and small letters of every script (case folding). There is no syntax, and there
are no words: `cat` is found in `concatenate`, and 猫 wherever it stands.

*Order.* A room's entries come in stretches, the newest first, each with the place of its newest entry. The
stretch that may hold the newest entry of all is looked at next, whatever its room. So what was found is in
order whenever one stops, and the place where one stopped is all that is needed to go on.

*Bounds.* What is looked at is counted, not what is found: a text that nearly matches everywhere must not cost
more than one that is found. It is read in slices, between which others have their turn.
"""

from __future__ import annotations

import unicodedata
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from trio_chat.journal.store import Hit, Matches, Place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

__all__ = ["Bounds", "Slice", "Stretch", "Wanted", "in_slices", "look", "normal", "read_texts"]

TRIGRAMS_MAX = 32  # of a long text these do: each is one more list to intersect


class Text(Struct, gc=False):
    """What a search reads of an entry."""

    at: int
    text: str


_decode_texts = msgspec.json.Decoder(list[Text]).decode


def read_texts(lines: list[bytes]) -> list[Text]:
    """The texts and times of entries, many at once: several times as fast as one by one."""
    return _decode_texts(b"[" + b",".join(lines) + b"]")


def normal(text: str) -> str:
    """The form in which texts are compared."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # İ folds to an i with a dot above, which no Turk would type to find it.
    return folded.replace("i\u0307", "i")


class Bounds(Struct, frozen=True):
    """How much is looked at, at most, in entries and in bytes of payloads; one stretch always is."""

    entries: int
    bytes: int


PAGE = Bounds(100_000, 32 << 20)  # for one answer


class Wanted:
    """A text to be found."""

    def __init__(self, text: str) -> None:
        self.text = normal(text)
        # Payloads are JSON, in which these characters are escaped; all others stand as they are. And a mark
        # that belongs to the character before it is no good beginning: escaped, a newline ends in an n.
        self._stands_in_payloads = (
            bool(self.text)
            and not unicodedata.combining(self.text[0])
            and not any(char in '"\\' or char < " " for char in self.text)
        )

    def trigrams(self) -> list[str]:
        """Three characters each, all of which stand in whatever holds the text; none of a text so short."""
        text = self.text
        trigrams = list(dict.fromkeys(text[start : start + 3] for start in range(len(text) - 2)))
        trigrams = [trigram for trigram in trigrams if "\0" not in trigram]  # to SQLite the end of a text
        every = -(-len(trigrams) // TRIGRAMS_MAX) or 1
        return trigrams[::every]

    def hits(self, room: str, first: int, lines: list[bytes]) -> list[Hit]:
        """Those of a room's entries, the first numbered `first`, that hold it."""
        # Often nothing does: one look at all of them tells it.
        if self._stands_in_payloads and self.text not in normal(b"\n".join(lines).decode()):
            return []
        entries = read_texts(lines)
        if self.text not in normal("\n".join([entry.text for entry in entries])):
            return []
        return [
            Hit(Place(entry.at, room, seq), line)
            for seq, (line, entry) in enumerate(zip(lines, entries, strict=True), first)
            if self.text in normal(entry.text)
        ]


class Stretch(Struct, frozen=True):
    """Entries of one room, one after the other: the first has the number `first`, none stands before the
    place `newest`."""

    newest: Place
    first: int
    load: Callable[[], list[bytes]]


class Slice(Struct, frozen=True):
    """What was found in one go, where to go on, and how much was looked at."""

    hits: list[Hit]
    rest: Place | None
    entries: int
    bytes: int


def look(
    rooms: Iterable[Iterator[Stretch]], wanted: Wanted, below: Place | None, hits_max: int, bounds: Bounds
) -> Slice:
    """Look for a text in rooms, behind the place `below`. Each room comes with its stretches, the newest
    first, of which few begin before that place."""
    hits: list[Hit] = []
    entries = size = 0
    heap: list[tuple[tuple[int, str, int], int, Hit | tuple[Stretch, Iterator[Stretch]]]] = []
    count = 0  # settles what is equal otherwise
    for stretches in rooms:
        for stretch in stretches:
            heap.append((stretch.newest.order, count := count + 1, (stretch, stretches)))
            break
    heapify(heap)
    while heap:
        _, _, item = heappop(heap)
        if isinstance(item, Hit):
            hits.append(item)
            if len(hits) == hits_max:
                return Slice(hits, item.place, entries, size)
            continue
        stretch, stretches = item
        newest = stretch.newest
        if entries >= bounds.entries or size >= bounds.bytes:
            return Slice(hits, newest._replace(seq=newest.seq + 1), entries, size)
        lines = stretch.load()
        # What begins before the place comes first and does not count: to stop right behind it leads nowhere.
        if below is None or newest.order > below.order:
            entries += len(lines)
            size += sum(map(len, lines))
        for hit in wanted.hits(newest.room, stretch.first, lines):
            if below is None or hit.place.order > below.order:
                heappush(heap, (hit.place.order, count := count + 1, hit))
        for stretch in stretches:
            heappush(heap, (stretch.newest.order, count := count + 1, (stretch, stretches)))
            break
    return Slice(hits, None, entries, size)


async def in_slices(
    look: Callable[[Place | None, int], Awaitable[Slice]], below: Place | None, limit: int
) -> Matches:
    """A page of what is found, by looking for so many hits behind a place, again and again."""
    hits: list[Hit] = []
    entries = size = 0
    while True:
        found = await look(below, limit + 1 - len(hits))  # one more: is there more?
        hits += found.hits
        if len(hits) > limit:
            return Matches(hits[:limit], hits[limit - 1].place)
        entries += found.entries
        size += found.bytes
        below = found.rest
        if below is None or entries >= PAGE.entries or size >= PAGE.bytes:
            return Matches(hits, below)
