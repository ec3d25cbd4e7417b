"""Export a journal as text beside a running server, without blocking it.

A journal only grows at its end, so the heads of its rooms describe what it held at one moment. The heads are
read once, and the entries in short transactions, however slowly the text is read. So the server can write its
log back meanwhile. The server may prune entries before they are exported. Then the export fails with an error
rather than leave a gap.
"""

from __future__ import annotations

from contextlib import closing
from heapq import merge
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.connect import open_reader, snapshot
from trio_chat.journal.admin.export_format import (
    VERSION,
    EndLine,
    JournalLine,
    RefsLine,
    RoomLine,
    encode_line,
)
from trio_chat.journal.admin.seek import first_since
from trio_chat.journal.sqlite_file import server_id_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trio_chat.journal.admin.connect import Progress

__all__ = ["export"]

PAGE_BYTES = 1 << 20
REFS_AT_ONCE = 1_000

_decode_fresh = msgspec.json.Decoder(list[tuple[int, str, int]]).decode


class _Room(Struct, frozen=True):
    id: int
    shown: str
    epoch: str
    first: int
    head: int
    topic: str


def export(
    path: Path,
    *,
    rooms: Sequence[str] = (),
    since_ms: int = 0,
    with_refs: bool = False,
    progress: Progress | None = None,
) -> Iterator[bytes]:
    """Yield the text of these rooms (by key; all rooms by default), from `since_ms` on, in pieces.

    Raises:
        JournalToolError: The journal cannot be read, or an entry was pruned before it was exported.
    """
    with open_reader(path) as db:
        with snapshot(db):
            chosen = _choose(db, rooms)
            server_id = server_id_of(db) if with_refs and not rooms and not since_ms else ""
        total = sum(room.head + 1 - room.first for room in chosen)
        done = entries = 0
        yield encode_line(JournalLine(VERSION, with_refs, server_id)) + b"\n"
        for room in chosen:
            with snapshot(db):
                first, head = _first(db, room), room.head
                since = first_since(db, room.id, first, head, since_ms) if since_ms else first
            yield encode_line(RoomLine(room.shown, room.epoch, since, head, room.topic)) + b"\n"
            done += since - room.first
            for count, text in _entries(db, room, since):
                yield text
                done += count
                entries += count
                if progress is not None:
                    progress(done, total)
            if with_refs:
                yield from _refs(db, room, since)
        yield encode_line(EndLine(len(chosen), entries)) + b"\n"


def _choose(db: sqlite3.Connection, keys: Sequence[str]) -> list[_Room]:
    rows = db.execute("SELECT key, id, shown, epoch, first, head, topic FROM rooms ORDER BY key").fetchall()
    known = {key: _Room(*rest) for key, *rest in rows}
    for key in keys:
        if key not in known:
            raise JournalToolError(f"there is no room {key} in the journal")
    return [known[key] for key in dict.fromkeys(keys)] if keys else list(known.values())


def _first(db: sqlite3.Connection, room: _Room) -> int:
    first: int = db.execute("SELECT first FROM rooms WHERE id = ?", (room.id,)).fetchone()[0]
    return min(first, room.head + 1)


def _entries(db: sqlite3.Connection, room: _Room, seq: int) -> Iterator[tuple[int, bytes]]:
    """Yield the entries from `seq` on in pieces: how many entries, and their text."""
    while seq <= room.head:
        lines: list[bytes] = []
        size = 0
        with snapshot(db):
            kept = _first(db, room)
            rows = db.execute(
                "SELECT first, payloads FROM batches"
                " WHERE room = ? AND last >= ? AND first <= ? ORDER BY last",
                (room.id, seq, room.head),
            )
            with closing(rows):  # an open cursor would keep the log from being written back
                for first, payloads in rows:
                    at = seq + len(lines)
                    if first <= at:
                        lines += payloads.split(b"\n")[at - first : room.head + 1 - first]
                        size += len(payloads)
                    if first > at or size > PAGE_BYTES:
                        break
        if not lines:
            missing = f"entry {seq} of {room.shown}"
            if kept > seq:
                raise JournalToolError(f"{missing} was pruned before it could be exported; try again")
            raise JournalToolError(
                f"the file is damaged: {missing} is missing; run `trio-chat journal check` for details"
            )
        lines.append(b"")
        yield len(lines) - 1, b"\n".join(lines)
        seq += len(lines) - 1


def _refs(db: sqlite3.Connection, room: _Room, since: int) -> Iterator[bytes]:
    # Read the fresh refs first: refs moved later are among them, refs moved earlier are in the table already.
    with snapshot(db):
        rows = db.execute("SELECT refs FROM fresh ORDER BY id").fetchall()
    fresh = {key: seq for (refs,) in rows for id, key, seq in _decode_fresh(refs) if id == room.id}
    settled = ((key, seq) for key, seq in _settled(db, room.id) if key not in fresh)
    some: list[tuple[str, int]] = []
    for key, seq in merge(sorted(fresh.items()), settled):
        if since <= seq <= room.head:
            some.append((key, seq))
        if len(some) == REFS_AT_ONCE:
            yield encode_line(RefsLine(some)) + b"\n"
            some = []
    if some:
        yield encode_line(RefsLine(some)) + b"\n"


def _settled(db: sqlite3.Connection, room: int) -> Iterator[tuple[str, int]]:
    last = ""
    while True:
        with snapshot(db):
            rows: list[tuple[str, int]] = db.execute(
                "SELECT key, seq FROM refs WHERE room = ? AND key > ? ORDER BY key LIMIT ?",
                (room, last, REFS_AT_ONCE),
            ).fetchall()
        yield from rows
        if len(rows) < REFS_AT_ONCE:
            return
        last = rows[-1][0]
