"""Prune old entries once, on request; a server prunes by itself if it has a limit (`--keep`).

It does in one transaction what a server does in steps: first each room's `first` moves, then the entries
before it are deleted, from the index first. This does not make the file smaller, and deleted texts stay
readable in its unused pages, until the file is rewritten.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from msgspec import Struct

from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.connect import open_reader, open_writer, snapshot, was_interrupted
from trio_chat.journal.admin.seek import first_since
from trio_chat.journal.sqlite_file import transaction
from trio_chat.journal.sqlite_index import SearchIndex
from trio_chat.journal.sqlite_retention import Retention
from trio_chat.journal.store import RetentionRule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trio_chat.journal.admin.connect import Progress

__all__ = ["PruneResult", "PruneRule", "RoomPruned", "delete_entries", "prune", "vacuum_file"]

STEPS_BETWEEN_REPORTS = 20


class PruneRule(Struct, frozen=True):
    """Which entries to prune: in these rooms (by key; all rooms by default), entries older than a time in ms,
    and entries beyond the newest `keep_entries`; 0 is no limit."""

    rooms: Sequence[str] = ()
    before_ms: int = 0
    keep_entries: int = 0


class RoomPruned(Struct, frozen=True):
    """The pruned entries of one room: `first` to `last`."""

    room: str
    first: int
    last: int


class PruneResult(Struct, frozen=True):
    """The pruned rooms, and the size of the file before and after; `vacuumed` if the file was rewritten."""

    rooms: list[RoomPruned]
    bytes_before: int
    bytes_after: int
    vacuumed: bool


def prune(
    path: Path,
    rule: PruneRule,
    *,
    dry_run: bool = False,
    vacuum: bool = False,
    progress: Progress | None = None,
) -> PruneResult:
    """Prune old entries; with `dry_run` only return what would be pruned.

    An interrupt undoes everything; while the file is rewritten it ends only the rewriting.

    Raises:
        JournalToolError: A room is not in the journal, or the file cannot be read or changed.
    """
    size = os.path.getsize(path) if os.path.exists(path) else 0
    if dry_run:
        with open_reader(path) as db, snapshot(db):
            return PruneResult([pruned for _, pruned in _find(db, rule)], size, size, vacuumed=False)
    vacuumed = False
    with open_writer(path) as db:
        with transaction(db):
            found = _find(db, rule)
            delete_entries(db, found, progress)
        if vacuum:
            vacuumed = vacuum_file(db)
    return PruneResult([pruned for _, pruned in found], size, path.stat().st_size, vacuumed)


def _find(db: sqlite3.Connection, rule: PruneRule) -> list[tuple[int, RoomPruned]]:
    rooms = {
        key: rest for key, *rest in db.execute("SELECT key, id, shown, first, head FROM rooms ORDER BY key")
    }
    for key in rule.rooms:
        if key not in rooms:
            raise JournalToolError(f"there is no room {key} in the journal")
    found = []
    for key in dict.fromkeys(rule.rooms) if rule.rooms else rooms:
        id, shown, first, head = rooms[key]
        start = first_since(db, id, first, head, rule.before_ms) if rule.before_ms else first
        if rule.keep_entries:
            start = max(start, head + 1 - rule.keep_entries)
        if start > first:
            found.append((id, RoomPruned(shown, first, start - 1)))
    return found


def delete_entries(
    db: sqlite3.Connection, found: list[tuple[int, RoomPruned]], progress: Progress | None
) -> None:
    """Delete these entries of the rooms with these ids; call it inside a transaction."""
    db.executemany("UPDATE rooms SET first = ? WHERE id = ?", [(pruned.last + 1, id) for id, pruned in found])
    total = _rows(db, found)
    forgetting = Retention(RetentionRule(), SearchIndex())  # as a server finishes an earlier run's work
    steps = 0
    while forgetting.step(db, 0):
        steps += 1
        if progress is not None and not steps % STEPS_BETWEEN_REPORTS:
            progress(total - _rows(db, found), total)


def _rows(db: sqlite3.Connection, found: list[tuple[int, RoomPruned]]) -> int:
    """Return how many rows are still to be deleted."""
    count = "SELECT count(*) FROM batches WHERE room = ? AND last <= ?"
    return sum(db.execute(count, (id, pruned.last)).fetchone()[0] for id, pruned in found)


def vacuum_file(db: sqlite3.Connection) -> bool:
    """Rewrite the file, which makes it smaller; return false if it was interrupted."""
    try:
        # The index keeps deleted texts, marked as deleted, until its parts are merged.
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
        db.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if not was_interrupted(error):
            raise
        return False
    return True
