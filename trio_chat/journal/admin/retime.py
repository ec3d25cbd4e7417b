"""Correct the times of entries that are in the future, as a wrong clock leaves them.

Within a room `at` never decreases. So such entries are the room's newest, and every later entry got the same
time or a later one. They move back together, by as much as the newest is ahead of now, but not beyond the
newest entry that is not in the future. Their order stays, and their distances where they fit. Clients may
have stored the old times, so the room gets a new epoch. Texts, numbers and refs stay.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.connect import open_reader, open_writer, snapshot
from trio_chat.journal.admin.seek import first_since, time_of
from trio_chat.journal.sqlite_file import transaction
from trio_chat.wire.codec import decode_entry, encode

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from trio_chat.journal.admin.connect import Progress

__all__ = ["RoomRetimed", "retime"]

ROWS_BETWEEN_REPORTS = 100


class RoomRetimed(Struct, frozen=True):
    """A room whose entries `first` to `last` are moved back, the newest by `ahead_ms`; `last` is less than
    `first` if none are moved, and `ahead_ms` is 0 if the room needs no correction."""

    room: str
    first: int
    last: int
    ahead_ms: int


class _Future(Struct, frozen=True):
    """The future entries of one room: `start` to `head`, the newest at `newest_ms`."""

    id: int
    shown: str
    start: int
    head: int
    floor_ms: int
    newest_ms: int
    ahead_ms: int


def retime(
    path: Path, rooms: Sequence[str], now_ms: int, *, dry_run: bool = False, progress: Progress | None = None
) -> list[RoomRetimed]:
    """Move the entries of these rooms (by key) that are later than `now_ms` back, so that the newest is then.

    With `dry_run` only return what would change. All rooms are corrected, or none.

    Raises:
        JournalToolError: A room is not in the journal, or the file cannot be read or changed.
    """
    if dry_run:
        with open_reader(path) as db, snapshot(db):
            return [_report(future) for future in _find(db, rooms, now_ms)]
    with open_writer(path) as db, transaction(db):
        found = _find(db, rooms, now_ms)
        for future in found:
            if future.ahead_ms:
                _move_back(db, future, now_ms, progress)
        return [_report(future) for future in found]


def _report(future: _Future) -> RoomRetimed:
    return RoomRetimed(future.shown, future.start, future.head, future.ahead_ms)


def _find(db: sqlite3.Connection, rooms: Sequence[str], now_ms: int) -> list[_Future]:
    found = []
    for key in dict.fromkeys(rooms):
        row = db.execute("SELECT id, shown, head, at FROM rooms WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise JournalToolError(f"there is no room {key} in the journal")
        id, shown, head, newest_ms = row
        # Rows with pruned entries may still exist, and the index has their times.
        oldest = db.execute("SELECT min(first) FROM batches WHERE room = ?", (id,)).fetchone()[0]
        if oldest is None:
            oldest = head + 1
        start = first_since(db, id, oldest, head, now_ms + 1)
        floor_ms = time_of(db, id, start - 1) if start > oldest else 0
        if start <= head:
            newest_ms = max(newest_ms, time_of(db, id, head))
        found.append(_Future(id, shown, start, head, floor_ms, newest_ms, max(0, newest_ms - now_ms)))
    return found


def _move_back(db: sqlite3.Connection, future: _Future, now_ms: int, progress: Progress | None) -> None:
    at = future.floor_ms
    after = future.start - 1
    rows = 0
    while after < future.head:
        row = db.execute(
            "SELECT first, last, payloads FROM batches WHERE room = ? AND last > ? ORDER BY last LIMIT 1",
            (future.id, after),
        ).fetchone()
        if row is None or row[0] > after + 1:
            raise _damaged(after + 1, future)
        first, last, joined = row
        lines = joined.split(b"\n")
        for index in range(max(0, future.start - first), len(lines)):
            try:
                entry = decode_entry(lines[index])
            except (ValueError, RecursionError):
                raise _damaged(first + index, future) from None
            at = max(at, min(entry.at - future.ahead_ms, now_ms))
            lines[index] = encode(replace(entry, at=at))
        db.execute(
            "UPDATE batches SET payloads = ? WHERE room = ? AND last = ?",
            (b"\n".join(lines), future.id, last),
        )
        after = last
        rows += 1
        if progress is not None and not rows % ROWS_BETWEEN_REPORTS:
            progress(after + 1 - future.start, future.head + 1 - future.start)
    if future.start > future.head:  # no such entry is kept: only the time of the next entry is affected
        db.execute("UPDATE rooms SET at = ? WHERE id = ?", (now_ms, future.id))
        return
    _correct_index(db, future)
    epoch = secrets.token_urlsafe(9)
    db.execute("UPDATE rooms SET at = ?, epoch = ? WHERE id = ?", (at, epoch, future.id))


def _correct_index(db: sqlite3.Connection, future: _Future) -> None:
    """Give the chunks of the index the times of their first and last entries; their texts stay."""
    chunks = db.execute(
        "SELECT id, first, last FROM chunks WHERE room = ? AND last >= ?", (future.id, future.start)
    ).fetchall()
    for id, first, last in chunks:
        times = (time_of(db, future.id, first), time_of(db, future.id, last))
        db.execute("UPDATE chunks SET began = ?, ended = ? WHERE id = ?", (*times, id))


def _damaged(seq: int, future: _Future) -> JournalToolError:
    return JournalToolError(
        f"the file is damaged at entry {seq} of room {future.shown};"
        " run `trio-chat journal check` for details"
    )
