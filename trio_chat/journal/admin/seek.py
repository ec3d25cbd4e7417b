"""Find the numbers of a room by time; the times of its entries never decrease."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from trio_chat.errors import JournalToolError
from trio_chat.wire.codec import decode_entry

if TYPE_CHECKING:
    import sqlite3

__all__ = ["first_since", "time_of"]


def first_since(db: sqlite3.Connection, room: int, first: int, head: int, at_ms: int) -> int:
    """Return the first number from `first` to `head` whose entry is not older than `at_ms`, or `head` + 1."""
    return first + bisect_left(range(first, head + 1), at_ms, key=lambda seq: time_of(db, room, seq))


def time_of(db: sqlite3.Connection, room: int, seq: int) -> int:
    """Return the time of a kept entry. Raises `JournalToolError` if the entry is missing."""
    row = db.execute(
        "SELECT first, payloads FROM batches WHERE room = ? AND last >= ? ORDER BY last LIMIT 1", (room, seq)
    ).fetchone()
    try:
        if row is None:
            raise IndexError
        at: int = decode_entry(row[1].split(b"\n")[seq - row[0]]).at
    except (IndexError, ValueError) as error:
        raise JournalToolError(
            f"the file is damaged at entry {seq} of a room; run `trio-chat journal check` for details"
        ) from error
    return at
