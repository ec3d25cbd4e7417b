"""Forget what is old, once, by hand; a server does so by itself when it is told how long to keep (`--keep`).

What it does is what a server does, at one go: the numbers move, then what stands before them goes, out of
the index first. All in one transaction. The file does not get smaller by that, and what was said can still
be found in its unused pages, until it is written anew.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from msgspec import Struct

from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.connect import changing, moment, reading, was_interrupted
from trio_chat.journal.admin.seek import first_since
from trio_chat.journal.sqlite_file import transaction
from trio_chat.journal.sqlite_index import SearchIndex
from trio_chat.journal.sqlite_retention import Retention
from trio_chat.journal.store import RetentionRule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trio_chat.journal.admin.connect import Progress

__all__ = ["Old", "Pruned", "RoomPruned", "forget", "prune", "vacuum_file"]

STEPS_BETWEEN_WORDS = 20


class Old(Struct, frozen=True):
    """What is to go: of these rooms (by their keys; all without any) what was said before a time in ms, and
    what is not among the newest so many; 0 is no bound."""

    rooms: Sequence[str] = ()
    before_ms: int = 0
    keep_entries: int = 0


class RoomPruned(Struct, frozen=True):
    """Of a room the entries `first` to `last` went."""

    room: str
    first: int
    last: int


class Pruned(Struct, frozen=True):
    """What went, and how large the file was and is; `vacuumed` when it was written anew."""

    rooms: list[RoomPruned]
    bytes_before: int
    bytes_after: int
    vacuumed: bool


def prune(
    path: Path, old: Old, *, dry_run: bool = False, vacuum: bool = False, progress: Progress | None = None
) -> Pruned:
    """Forget what is old; with `dry_run` only tell what that is. Raises `JournalToolError`.

    When interrupted nothing was forgotten; while the file is written anew an interruption ends only that.
    """
    size = os.path.getsize(path) if os.path.exists(path) else 0
    if dry_run:
        with reading(path) as db, moment(db):
            return Pruned([gone for _, gone in _find(db, old)], size, size, vacuumed=False)
    vacuumed = False
    with changing(path) as db:
        with transaction(db):
            found = _find(db, old)
            forget(db, found, progress)
        if vacuum:
            vacuumed = vacuum_file(db)
    return Pruned([gone for _, gone in found], size, path.stat().st_size, vacuumed)


def _find(db: sqlite3.Connection, old: Old) -> list[tuple[int, RoomPruned]]:
    rooms = {
        key: rest for key, *rest in db.execute("SELECT key, id, shown, first, head FROM rooms ORDER BY key")
    }
    for key in old.rooms:
        if key not in rooms:
            raise JournalToolError(f"there is no room {key} in the journal")
    found = []
    for key in dict.fromkeys(old.rooms) if old.rooms else rooms:
        id, shown, first, head = rooms[key]
        start = first_since(db, id, first, head, old.before_ms) if old.before_ms else first
        if old.keep_entries:
            start = max(start, head + 1 - old.keep_entries)
        if start > first:
            found.append((id, RoomPruned(shown, first, start - 1)))
    return found


def forget(db: sqlite3.Connection, found: list[tuple[int, RoomPruned]], progress: Progress | None) -> None:
    """Forget these entries of the rooms with these ids, inside a transaction."""
    db.executemany("UPDATE rooms SET first = ? WHERE id = ?", [(gone.last + 1, id) for id, gone in found])
    total = _rows(db, found)
    forgetting = Retention(RetentionRule(), SearchIndex())  # as a server that finishes what another began
    steps = 0
    while forgetting.step(db, 0):
        steps += 1
        if progress is not None and not steps % STEPS_BETWEEN_WORDS:
            progress(total - _rows(db, found), total)


def _rows(db: sqlite3.Connection, found: list[tuple[int, RoomPruned]]) -> int:
    """How many rows are still to go, of all that is to."""
    count = "SELECT count(*) FROM batches WHERE room = ? AND last <= ?"
    return sum(db.execute(count, (id, gone.last)).fetchone()[0] for id, gone in found)


def vacuum_file(db: sqlite3.Connection) -> bool:
    """Write the file anew, which makes it smaller; return whether it was done and not interrupted."""
    try:
        # What was taken out of the index is still in it, and noted as gone, until its parts are merged.
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
        db.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if not was_interrupted(error):
            raise
        return False
    return True
