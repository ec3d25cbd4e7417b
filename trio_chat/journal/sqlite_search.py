"""Search the file: find the segments of each room that may contain a text, the newest first.

A text of three characters or more is searched in the chunks that the index returns, and in the entries that
are not indexed yet. A shorter text is searched in all entries.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trio_chat.errors import StoreError
from trio_chat.journal.search import (
    Query,
    SearchBounds,
    SearchSlice,
    Segment,
    SegmentLines,
    Steps,
    decode_texts,
    scan,
)
from trio_chat.journal.sqlite_index import expression, line_at, lines_between
from trio_chat.journal.store import Position, never

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

__all__ = ["search"]

# For one transaction, during which the log cannot be written back.
SLICE = SearchBounds(20_000, 4 << 20)
SEGMENT_BYTES = 16 << 10  # of entries that are in no chunk


def search(
    db: sqlite3.Connection,
    rooms: dict[str, int],
    query: Query,
    below: Position | None,
    hits_max: int,
    is_over: Callable[[], bool] = never,
) -> Steps[SearchSlice]:
    """Search rooms for a text, each up to a number, inside a transaction."""
    segments = (_Room(db, key, through, below).segments(query) for key, through in rooms.items())
    return scan(segments, query, below, hits_max, SLICE, is_over)


class _Room:
    """One room of a search: the entries above `_after` up to `_through` are searched."""

    def __init__(self, db: sqlite3.Connection, key: str, through: int, below: Position | None) -> None:
        self._db = db
        self._key = key
        row: tuple[int, int, int, int] = db.execute(
            "SELECT id, first - 1, indexed, head FROM rooms WHERE key = ?", (key,)
        ).fetchone() or (0, 0, 0, 0)
        self._id, self._after, self._indexed, head = row
        self._through = min(through, head)
        if below is not None and below.room == key:
            self._through = min(through, below.seq - 1)
        elif below is not None:
            self._through = min(self._through, self._newest(below.latest(key)))

    def _newest(self, latest: int) -> int:
        """Return the newest number whose entry is not later than `latest`, rounded up to the end of a
        chunk."""
        newer = self._db.execute(
            "SELECT first FROM chunks WHERE room = ? AND began > ? ORDER BY began, first LIMIT 1",
            (self._id, latest),
        ).fetchone()
        if newer is not None:
            return int(newer[0]) - 1
        low, high = max(self._after, self._indexed), self._through
        while low < high:
            middle = (low + high + 1) // 2
            line = line_at(self._db, self._id, middle)
            if line is None:
                raise StoreError(f"the file is damaged: entry {middle} is missing")
            if decode_texts([line])[0].at > latest:
                high = middle - 1
            else:
                low = middle
        return low

    def segments(self, query: Query) -> Iterator[Segment]:
        """Yield the segments that may contain the text, the newest first."""
        match = expression(self._id, query)
        if match is None:
            yield from self._all(self._after)
        else:
            yield from self._all(max(self._after, self._indexed))
            yield from self._chunks(match)

    def _all(self, after: int) -> Iterator[Segment]:
        """Yield all entries above a number, some batches at a time."""
        through = self._through
        if through <= after:
            return
        rows = self._db.execute(
            "SELECT first, payloads FROM batches WHERE room = :room AND last > :after AND first <= :through"
            " AND last <= coalesce((SELECT last FROM batches WHERE room = :room AND last >= :through"
            " ORDER BY last LIMIT 1), :through)"
            " ORDER BY last DESC",
            {"room": self._id, "after": after, "through": through},
        )
        parts: list[list[bytes]] = []
        size = first = 0
        for start, joined in rows:
            first = max(start, after + 1)
            parts.append(joined.split(b"\n")[first - start : through + 1 - start])
            size += len(joined)
            if size >= SEGMENT_BYTES:
                yield self._segment(first, parts)
                parts, size = [], 0
        if parts:
            yield self._segment(first, parts)

    def _segment(self, first: int, parts: list[list[bytes]]) -> Segment:
        lines = [line for part in reversed(parts) for line in part]
        (newest,) = decode_texts(lines[-1:])
        return Segment(
            Position(newest.at, self._key, first + len(lines) - 1), partial(SegmentLines, first, lines)
        )

    def _chunks(self, match: str) -> Iterator[Segment]:
        """Yield the chunks that the index returns."""
        rows = self._db.execute(
            # CROSS: use the index first. It returns row ids in order, which is the order of a room's numbers.
            "SELECT chunks.first, chunks.last, chunks.ended FROM words CROSS JOIN chunks"
            " ON chunks.id = words.rowid WHERE words MATCH ? AND chunks.room = ?"
            " AND chunks.last > ? AND chunks.first <= ? ORDER BY words.rowid DESC",
            (match, self._id, self._after, self._through),
        )
        for start, end, ended in rows:
            first, last = max(start, self._after + 1), min(end, self._through)
            newest = Position(ended, self._key, last)
            yield Segment(newest, partial(self._lines, first, last))

    def _lines(self, first: int, last: int) -> SegmentLines:
        return SegmentLines(first, lines_between(self._db, self._id, first, last))
