"""Remove whole rooms: their entries, topics, refs, their part of the index, and the rooms themselves.

All of this is one transaction. The next message in a room of that name starts a new room, with number 1 and a
new epoch, so a client cannot resume with a number of the removed room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.connect import open_reader, open_writer, snapshot
from trio_chat.journal.admin.prune import PruneResult, RoomPruned, delete_entries, vacuum_file
from trio_chat.journal.sqlite_file import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from trio_chat.journal.admin.connect import Progress

__all__ = ["remove_rooms"]

_decode_refs = msgspec.json.Decoder(list[tuple[int, str, int]]).decode
_encode_refs = msgspec.json.Encoder().encode


def remove_rooms(
    path: Path,
    keys: Sequence[str],
    *,
    dry_run: bool = False,
    vacuum: bool = False,
    progress: Progress | None = None,
) -> PruneResult:
    """Remove the rooms with these keys; with `dry_run` only return what would be removed.

    An interrupt undoes everything; while the file is rewritten it ends only the rewriting.

    Raises:
        JournalToolError: A room is not in the journal, or the file cannot be read or changed.
    """
    size = path.stat().st_size if path.exists() else 0
    if dry_run:
        with open_reader(path) as db, snapshot(db):
            return PruneResult([room for _, room in _find(db, keys)], size, size, vacuumed=False)
    vacuumed = False
    with open_writer(path) as db:
        with transaction(db):
            found = _find(db, keys)
            delete_entries(db, found, progress)
            _remove(db, [id for id, _ in found])
        if vacuum:
            vacuumed = vacuum_file(db)
    return PruneResult([room for _, room in found], size, path.stat().st_size, vacuumed)


def _find(db: sqlite3.Connection, keys: Sequence[str]) -> list[tuple[int, RoomPruned]]:
    found = []
    for key in dict.fromkeys(keys):
        row = db.execute("SELECT id, shown, first, head FROM rooms WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise JournalToolError(f"there is no room {key} in the journal")
        id, shown, first, head = row
        found.append((id, RoomPruned(shown, min(first, head + 1), head)))
    return found


def _remove(db: sqlite3.Connection, ids: list[int]) -> None:
    """Delete the remaining rows of rooms whose entries are deleted.

    A later room may get the same id, so no row with it may stay.
    """
    rooms = [(id,) for id in ids]
    for table in ("batches", "chunks", "refs"):
        db.executemany(f"DELETE FROM {table} WHERE room = ?", rooms)
    db.executemany("DELETE FROM rooms WHERE id = ?", rooms)
    removed = set(ids)
    for row, refs in db.execute("SELECT id, refs FROM fresh ORDER BY id").fetchall():
        triples = _decode_refs(refs)
        kept = [triple for triple in triples if triple[0] not in removed]
        if not kept:
            db.execute("DELETE FROM fresh WHERE id = ?", (row,))
        elif len(kept) < len(triples):
            db.execute("UPDATE fresh SET refs = ? WHERE id = ?", (_encode_refs(kept), row))
