"""Delete entries beyond the retention limits, in small steps.

All rooms are checked once a minute. First a room's `first` moves: from then on clients no longer see the
entries before it. Then, in as many steps as necessary, those entries are deleted: first from the index, which
needs their text for that; then the batches of which no entry is kept; then the refs. Refs are not ordered by
time, so a room's refs are scanned only when enough of them are stale. Until then a stale ref has no effect:
it counts as unknown.

The space is reused for new entries; the file does not get smaller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_chat.journal.search import decode_texts
from trio_chat.journal.store import is_recent

if TYPE_CHECKING:
    import sqlite3

    from trio_chat.journal.sqlite_file import OpenRoom
    from trio_chat.journal.sqlite_index import SearchIndex
    from trio_chat.journal.store import RetentionRule

__all__ = ["Retention"]

EVERY_MS = 60_000
# For one step of some milliseconds: rooms checked, bytes of payloads read and removed from the index (which
# takes as long as adding them), batches deleted, refs scanned.
ROOMS_AT_ONCE = 50
BYTES_AT_ONCE = 64 << 10
BATCHES_AT_ONCE = 100
REFS_AT_ONCE = 1_000
STALE_REFS_MIN = 1_000


class Retention:
    """The progress of the deletion; it starts again after an error, and when a server starts."""

    def __init__(self, keep: RetentionRule, index: SearchIndex) -> None:
        self._keep = keep
        self._index = index
        self._firsts: dict[str, int] = {}  # the new `first` of the rooms that the last step checked
        self._pass_began_ms: int | None = None  # the `now_ms` at which the last pass began
        self._room: int | None = None  # the last finished room of the pass, None between passes
        self._refs: tuple[str, int] | None = None  # in the next room: the last scanned ref, and the `first`

    def reset(self) -> None:
        """Start again, since a step may not have been committed."""
        self._room, self._pass_began_ms, self._refs = None, None, None

    def step(self, db: sqlite3.Connection, now_ms: int) -> bool:
        """Do some of the due work, inside a transaction; return whether there is more."""
        self._firsts.clear()
        if self._room is None:
            # Without limits there is only the unfinished work of an earlier run.
            is_done = not self._keep and self._pass_began_ms is not None
            if is_done or is_recent(self._pass_began_ms, now_ms, EVERY_MS):
                return False
            self._pass_began_ms = now_ms
            self._room = 0
        rows = db.execute(
            "SELECT id, key, first, head, refs_from FROM rooms WHERE id > ? ORDER BY id LIMIT ?",
            (self._room, ROOMS_AT_ONCE),
        ).fetchall()
        for room, key, first, head, refs_from in rows:
            first, all_found = self._move(db, room, first, head, now_ms)
            self._firsts[key] = first
            if not (
                all_found
                and self._forget_chunks(db, room, first)
                and _forget_batches(db, room, first)
                and self._forget_refs(db, room, first, head, refs_from)
            ):
                return True
            self._room = room
        if not rows:
            self._room = None
        return bool(rows)

    def update_rooms(self, rooms: dict[str, OpenRoom]) -> None:
        """Update the open rooms that the last step has checked; call it after the commit."""
        for key, first in self._firsts.items():
            if (room := rooms.get(key)) is not None:
                room.first = first

    def _move(
        self, db: sqlite3.Connection, room: int, first: int, head: int, now_ms: int
    ) -> tuple[int, bool]:
        """Move a room's `first`; return it, and whether all old entries were found."""
        was = first
        all_found = True
        if self._keep.entries:
            first = max(first, head + 1 - self._keep.entries)
        if self._keep.age_ms:
            size = 0
            rows = db.execute(
                "SELECT last, payloads FROM batches WHERE room = ? AND last >= ? ORDER BY last", (room, first)
            )
            for last, payloads in rows:
                # All entries of a batch have the same time.
                (newest,) = decode_texts([payloads[payloads.rfind(b"\n") + 1 :]])
                if newest.at >= now_ms - self._keep.age_ms:
                    break
                if size >= BYTES_AT_ONCE:
                    all_found = False
                    break
                first = last + 1
                size += len(payloads) + 200  # many small batches also take time
        if first != was:
            db.execute("UPDATE rooms SET first = ? WHERE id = ?", (first, room))
        return first, all_found

    def _forget_chunks(self, db: sqlite3.Connection, room: int, first: int) -> bool:
        size = 0
        while size < BYTES_AT_ONCE:
            oldest = _oldest_chunk(db, room)
            if oldest is None or oldest[2] >= first:
                return True
            chunk, start, last = oldest
            size += self._index.remove_chunk(db, chunk, room, start, last)
        return False

    def _forget_refs(self, db: sqlite3.Connection, room: int, first: int, head: int, refs_from: int) -> bool:
        if self._refs is None:
            if first - refs_from < max(STALE_REFS_MIN, (head + 1 - first) // 4):
                return True
            self._refs = "", first
        after, forgotten = self._refs
        keys = db.execute(
            "SELECT key FROM refs WHERE room = ? AND key > ? ORDER BY key LIMIT ?",
            (room, after, REFS_AT_ONCE),
        ).fetchall()
        if not keys:
            db.execute("UPDATE rooms SET refs_from = ? WHERE id = ?", (forgotten, room))
            self._refs = None
            return True
        (last,) = keys[-1]
        db.execute(
            "DELETE FROM refs WHERE room = ? AND key > ? AND key <= ? AND seq < ?",
            (room, after, last, forgotten),
        )
        self._refs = last, forgotten
        return False


def _forget_batches(db: sqlite3.Connection, room: int, first: int) -> bool:
    """Delete batches without kept entries, except those needed to remove the oldest chunk from the index."""
    oldest = _oldest_chunk(db, room)
    below = min(first, oldest[1]) if oldest else first
    rows = db.execute(
        "SELECT last, length(payloads) FROM batches WHERE room = ? AND last < ? ORDER BY last LIMIT ?",
        (room, below, BATCHES_AT_ONCE),
    )
    deleted = size = 0
    for last, length in rows:
        deleted = last
        size += length
        if size >= 4 * BYTES_AT_ONCE:  # larger than the other limit, since their payloads are not read
            break
    if deleted:
        db.execute("DELETE FROM batches WHERE room = ? AND last <= ?", (room, deleted))
    return not deleted


def _oldest_chunk(db: sqlite3.Connection, room: int) -> tuple[int, int, int] | None:
    oldest: tuple[int, int, int] | None = db.execute(
        "SELECT id, first, last FROM chunks WHERE room = ? ORDER BY began, first LIMIT 1", (room,)
    ).fetchone()
    return oldest
