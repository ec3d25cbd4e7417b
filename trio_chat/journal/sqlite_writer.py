"""The one connection that writes. All of it runs in a thread, one call at a time.

A batch is written as if none of its refs were known, which is true of nearly all: the numbers go on from
where the room stood, and only if a ref is there already is all of it undone and done again with a look at
each. In the same way a room's numbers are taken from memory and held against the file in the statement that
raises them. So a commit that failed, or that nobody waited for, needs no repair here: the next one finds out.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from functools import partial
from typing import TYPE_CHECKING

from trio_chat.errors import StoreError
from trio_chat.journal.sqlite_file import BUSY_MS, storing, transaction
from trio_chat.journal.store import Outcome
from trio_chat.wire.codec import decode_entry, encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio_chat.journal.sqlite_file import OpenRoom
    from trio_chat.journal.sqlite_mark import Mark
    from trio_chat.journal.store import Draft
    from trio_chat.wire.messages import Retitled, Said

__all__ = ["Writer"]

# A log so long has not been written back for a while, because somebody was always reading: then they wait.
WAL_BYTES_MAX = 64 << 20
READERS_GONE_MS = 200  # our own take less than one


class _Run:
    """What one batch adds to one room."""

    __slots__ = ("at", "head", "payloads", "room", "topic")

    def __init__(self, room: OpenRoom, now_ms: int) -> None:
        self.room = room
        self.head = room.head
        self.at = max(room.at, now_ms)
        self.topic = room.topic
        self.payloads: list[bytes] = []


class _RefKnownError(Exception):
    """One of the refs is in the file."""


class _MovedError(Exception):
    """The file holds more of a room than its `OpenRoom` says."""


class Writer:
    """Writes to a journal that was prepared for it; `close` ends the run."""

    def __init__(self, db: sqlite3.Connection, path: Path, mark: Mark, entries: int) -> None:
        self._db = db
        self._path = path
        self._wal = f"{path}-wal"
        self._inodes = (os.stat(path).st_ino, os.stat(self._wal).st_ino)
        self._mark = mark
        self._entries = entries
        self._long_wal = WAL_BYTES_MAX
        self._lock = threading.Lock()  # a commit that nobody waits for any more is still under way

    def commit(self, rooms: dict[str, OpenRoom], drafts: list[Draft], now_ms: int) -> list[Outcome]:
        """`Store.commit`. Raises `StoreError`; the rooms are then as they were."""
        look = False
        with self._lock, storing():
            for _ in range(3):
                try:
                    return self._commit(rooms, drafts, now_ms, look)
                except _RefKnownError:
                    look = True
                except _MovedError:
                    for room in rooms.values():
                        self._learn(room)
        raise AssertionError("a batch that was written with its rooms learnt and its refs looked up fits")

    def _commit(
        self, rooms: dict[str, OpenRoom], drafts: list[Draft], now_ms: int, look: bool
    ) -> list[Outcome]:
        runs = {key: _Run(room, now_ms) for key, room in rooms.items()}
        created: dict[str, int] = {}
        with transaction(self._db):
            for key, room in rooms.items():
                created[key] = room.id or self._create(room)
            refs: list[tuple[int, str, int]] = []
            find = partial(self._find, created, {}) if look else None
            outcomes = _number(runs, created, drafts, refs, find)
            runs = {key: run for key, run in runs.items() if run.payloads}
            self._insert(runs, created, refs, look)
            wal_bytes = self._check_there()
        for key, run in runs.items():
            room = run.room
            room.id = created[key]
            room.head, room.at, room.topic = run.head, run.at, run.topic
            self._entries += len(run.payloads)
        self._mark.count(self._entries)
        if wal_bytes > self._long_wal:
            self._shorten(wal_bytes)
        return outcomes

    def _create(self, room: OpenRoom) -> int:
        try:
            made = self._db.execute(
                "INSERT INTO rooms (key, shown, epoch, first, head, at, topic) VALUES (?, ?, ?, 1, 0, 0, '')",
                (room.key, room.shown, room.epoch),
            )
        except sqlite3.IntegrityError as error:
            raise _MovedError from error
        assert made.lastrowid, "a row has an id"
        return made.lastrowid

    def _insert(
        self, runs: dict[str, _Run], ids: dict[str, int], refs: list[tuple[int, str, int]], look: bool
    ) -> None:
        moved = self._db.executemany(
            "UPDATE rooms SET head = ?, at = ?, topic = ? WHERE id = ? AND head = ?",
            [(run.head, run.at, run.topic, ids[key], run.room.head) for key, run in runs.items()],
        )
        if moved.rowcount < len(runs):
            raise _MovedError
        self._db.executemany(
            "INSERT INTO batches (room, last, first, payloads) VALUES (?, ?, ?, ?)",
            [(ids[key], run.head, run.room.head + 1, b"\n".join(run.payloads)) for key, run in runs.items()],
        )
        # One that is found by a look may be there still, of an entry that is kept no longer.
        verb = "REPLACE" if look else "INSERT"
        try:
            self._db.executemany(f"{verb} INTO refs (room, key, seq) VALUES (?, ?, ?)", refs)
        except sqlite3.IntegrityError as error:
            raise _RefKnownError from error

    def _find(
        self, ids: dict[str, int], fresh: dict[tuple[str, str], int], run: _Run, draft: Draft
    ) -> Outcome | None:
        """What became of a draft whose ref is known; `fresh` are those of this batch."""
        room = run.room
        seq = fresh.get((draft.room, draft.key))
        if seq is not None:
            entry = decode_entry(run.payloads[seq - room.head - 1])
        else:
            row = self._db.execute(
                "SELECT seq FROM refs WHERE room = ? AND key = ?", (ids[draft.room], draft.key)
            ).fetchone()
            if row is None or row[0] < room.first:
                fresh[draft.room, draft.key] = run.head + 1
                return None
            seq = row[0]
            entry = self._entry(ids[draft.room], seq)
        return Outcome(seq if draft.same_as(entry) else 0, None)

    def _entry(self, room: int, seq: int) -> Said | Retitled:
        row = self._db.execute(
            "SELECT first, payloads FROM batches WHERE room = ? AND last >= ? ORDER BY last LIMIT 1",
            (room, seq),
        ).fetchone()
        if row is None or row[0] > seq:
            raise StoreError("the file is damaged: it knows a ref, and not its entry")
        first, joined = row
        entry: Said | Retitled = decode_entry(joined.split(b"\n")[seq - first])
        return entry

    def _learn(self, room: OpenRoom) -> None:
        """Take over what the file says of a room."""
        row = self._db.execute(
            "SELECT id, epoch, head, at, topic FROM rooms WHERE key = ?", (room.key,)
        ).fetchone()
        if row is not None:
            room.id, room.epoch, room.head, room.at, room.topic = row

    def _check_there(self) -> int:
        """How long the log is. Raises `StoreError` when what is written would go where nobody looks."""
        log = os.stat(self._wal)
        if (os.stat(self._path).st_ino, log.st_ino) != self._inodes:
            raise StoreError(f"another file is where the journal was: {self._path}")
        return log.st_size

    def _shorten(self, wal_bytes: int) -> None:
        """Write the log back and cut it off, when readers that never all paused have made it so long.

        Should one not end at all, the log grows, and this is tried again when it has grown by as much.
        """
        self._db.execute(f"PRAGMA busy_timeout = {READERS_GONE_MS}")
        try:
            busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            busy = 1  # the disk will complain to those whom it concerns: what was said is committed
        self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        self._long_wal = wal_bytes + WAL_BYTES_MAX if busy else WAL_BYTES_MAX

    def close(self) -> None:
        """Write everything back to the disk, say in the file that it is, and end its lock. Waits for a commit
        that is under way.

        Raises `StoreError` when that fails; the connection is closed and the lock ended all the same.
        """
        with self._lock:
            try:
                with storing():
                    self._check_there()
                    self._db.execute("PRAGMA synchronous = FULL")
                    with transaction(self._db):
                        self._db.execute("UPDATE about SET stopped = 1")
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._db.close()
                self._mark.close()


def _number(
    runs: dict[str, _Run],
    ids: dict[str, int],
    drafts: list[Draft],
    refs: list[tuple[int, str, int]],
    find: Callable[[_Run, Draft], Outcome | None] | None,
) -> list[Outcome]:
    """Number and encode a batch; what has a ref is added to `refs`."""
    outcomes: list[Outcome] = []
    for draft in drafts:
        run = runs[draft.room]
        key = draft.key
        if key and find is not None and (known := find(run, draft)) is not None:
            outcomes.append(known)
            continue
        run.head = seq = run.head + 1
        payload = encode(draft.entry(seq, run.at))
        run.payloads.append(payload)
        if key:
            refs.append((ids[draft.room], key, seq))
        if draft.retitles:
            run.topic = draft.text
        outcomes.append(Outcome(seq, payload))
    return outcomes
