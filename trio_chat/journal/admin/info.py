"""Read a journal's state, size and rooms."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct

from trio_chat.journal.admin.connect import is_in_use, open_reader, snapshot
from trio_chat.journal.admin.seek import time_of
from trio_chat.journal.sqlite_file import server_id_of, version_of

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["JournalInfo", "RoomInfo", "info"]


class RoomInfo(Struct, frozen=True, kw_only=True):
    """A room: it keeps the numbers `first` to `head`, in `bytes` of entries; `newest` is a time in ms."""

    room: str
    epoch: str
    first: int
    head: int
    entries: int
    bytes: int
    newest: int
    topic: str


class JournalInfo(Struct, frozen=True, kw_only=True):
    """A journal: the sizes of its file and log in bytes, times in ms since 1970 (0 without entries), and its
    rooms, those with the most entries first. `state` is a text: whether the journal is in use, or how the
    last run ended. `server_id` is empty until a server has opened the journal."""

    path: str
    bytes: int
    log_bytes: int
    version: int
    durability: str
    state: str
    server_id: str
    entries: int
    oldest: int
    newest: int
    rooms: list[RoomInfo]


def info(path: Path) -> JournalInfo:
    """Return the state of a journal at one moment; a server may be using it."""
    in_use = is_in_use(path)
    with open_reader(path) as db, snapshot(db):
        run, durability, stopped = db.execute("SELECT run, durability, stopped FROM about").fetchone()
        rooms = _rooms(db)
        log = f"{os.path.realpath(path)}-wal"
        return JournalInfo(
            path=os.fsencode(path).decode("utf-8", "replace"),  # JSON has only characters
            bytes=path.stat().st_size,
            log_bytes=os.stat(log).st_size if os.path.exists(log) else 0,
            version=version_of(db, path),
            durability=durability,
            state=_state(run, in_use=in_use, stopped=bool(stopped)),
            server_id=server_id_of(db),
            entries=sum(room.entries for room in rooms),
            oldest=_oldest(db),
            newest=max((room.newest for room in rooms if room.entries), default=0),
            rooms=rooms,
        )


def _state(run: str, *, in_use: bool, stopped: bool) -> str:
    if in_use:
        return "in use"
    if not run:
        return "no server has used it yet"
    return "stopped in good order" if stopped else "its last server did not stop in good order"


def _rooms(db: sqlite3.Connection) -> list[RoomInfo]:
    sizes = dict(db.execute("SELECT room, sum(length(payloads)) FROM batches GROUP BY room"))
    rows = db.execute(
        "SELECT id, shown, epoch, first, head, at, topic FROM rooms ORDER BY head + 1 - first DESC, key"
    )
    return [
        RoomInfo(
            room=shown,
            epoch=epoch,
            first=first,
            head=head,
            entries=head + 1 - first,
            bytes=sizes.get(id, 0),
            newest=at,
            topic=topic,
        )
        for id, shown, epoch, first, head, at, topic in rows
    ]


def _oldest(db: sqlite3.Connection) -> int:
    firsts = db.execute("SELECT id, first FROM rooms WHERE first <= head").fetchall()
    return min((time_of(db, id, first) for id, first in firsts), default=0)
