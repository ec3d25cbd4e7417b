"""The one connection that writes. All of its methods run in a thread, one call at a time.

*Refs.* Each new entry's key must be looked up among all known keys, and stored. Stored directly in `refs`,
the hundred keys of a batch by a hundred authors would touch a hundred pages of the file: several times the
cost of the rest. So the newest few thousand keys are also in memory, and on the disk in the order of arrival
(`fresh`). When there are enough of them they are moved to `refs` at once, in order (`_move_fresh`).

*Statements.* Between two steps of SQLite the interpreter switches to a waiting thread, which is the event
loop. So rows are passed to SQLite many at a time.

*Errors.* The state of the rooms and the fresh keys are also in memory, which is right only while every commit
succeeds. A failed commit may have been made after all. So both are read from the file again before the next.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from trio_chat.errors import StoreError
from trio_chat.journal.sqlite_file import BUSY_MS, VERSION, as_store_error, transaction
from trio_chat.journal.sqlite_index import SearchIndex, lines_between
from trio_chat.journal.sqlite_retention import Retention
from trio_chat.journal.store import CommitResult
from trio_chat.wire.codec import decode_entry, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trio_chat.journal.sqlite_file import OpenRoom
    from trio_chat.journal.sqlite_marker import RunMarker
    from trio_chat.journal.store import Draft, RetentionRule
    from trio_chat.wire.messages import Said, TopicChanged

__all__ = ["Writer"]

# A log of this length was not written back for long, because there always was a reader: then readers wait.
WAL_BYTES_MAX = 64 << 20
PROBE_BYTES = 64 << 10  # more than the longest message needs, with the pages of its tables
READERS_WAIT_MS = 200  # our own readers take less than 1 ms
FRESH_MAX = 4_000  # moving them to `refs` takes some ten milliseconds, during which commits wait
ROWS_AT_ONCE = (100, 25, 5, 1)  # few sizes, so that their statements stay prepared; at most 8 values a row

Ref = tuple[int, str]  # the room's `id`, and the key

_encode_refs = msgspec.json.Encoder().encode
_decode_refs = msgspec.json.Decoder(list[tuple[int, str, int]]).decode


class _Run:
    """The entries that one batch adds to one room."""

    __slots__ = ("at", "head", "id", "payloads", "room", "topic")

    def __init__(self, room: OpenRoom, now_ms: int) -> None:
        self.room = room
        self.id = room.id
        self.head = room.head
        self.at = max(room.at, now_ms)
        self.topic = room.topic
        self.payloads: list[bytes] = []


class Writer:
    """Write to a prepared journal; `close` ends the run."""

    def __init__(
        self, db: sqlite3.Connection, path: Path, mark: RunMarker, entries: int, keep: RetentionRule
    ) -> None:
        self.index = SearchIndex()
        self._retention = Retention(keep, self.index)
        self._db = db
        self._path = path
        self._wal = f"{path}-wal"
        self._inodes = (os.stat(path).st_ino, os.stat(self._wal).st_ino)
        self._mark = mark
        self._entries = entries
        self._fresh: dict[Ref, int] | None = None
        self._truncate_bytes = WAL_BYTES_MAX
        self._lock = threading.Lock()  # a cancelled commit may still be running

    def commit(self, rooms: dict[str, OpenRoom], drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        """Implement `Store.commit`. Raises `StoreError`."""
        with self._writing(rooms):
            for room in rooms.values():
                if not room.is_current:
                    self._reload(room)
            if self._fresh is None:
                self._fresh = self._read_fresh()
            return self._commit(rooms, drafts, now_ms, self._fresh)

    def tidy(self, rooms: dict[str, OpenRoom], now_ms: int) -> bool:
        """Implement `Store.tidy`; `rooms` are all open rooms. Raises `StoreError`."""
        db = self._db
        with self._writing(rooms):
            with transaction(db):
                # One kind of work per step, since a commit waits for the step.
                more = self.index.merge(db) or self._retention.step(db, now_ms) or self.index.step(db)
                wal_bytes = self._check_not_replaced()
            self._retention.update_rooms(rooms)
            if wal_bytes > self._truncate_bytes:
                self._truncate_log(wal_bytes)
            return more

    def probe(self, rooms: dict[str, OpenRoom]) -> None:
        """Implement `Store.probe`; `rooms` are all open rooms. Raises `StoreError`.

        Writing a page to the log is not enough: a failed commit may have extended the log, and the page then
        fits where the next commit does not. So space after the end of the log is also allocated, and released
        again. SQLite does not lock the log, and does not read it beyond its last commit.
        """
        with self._writing(rooms):
            log = os.open(self._wal, os.O_RDWR | os.O_CLOEXEC)
            try:
                end = os.fstat(log).st_size
                try:
                    os.posix_fallocate(log, end, PROBE_BYTES)
                finally:
                    os.ftruncate(log, end)
            finally:
                os.close(log)
            with transaction(self._db):
                self._db.execute(f"PRAGMA user_version = {VERSION}")
                self._check_not_replaced()

    @contextmanager
    def _writing(self, rooms: dict[str, OpenRoom]) -> Iterator[None]:
        """Allow one write at a time. After an error the state of these rooms in memory is not trusted."""
        with self._lock, as_store_error():
            try:
                yield
            except BaseException:
                self._fresh = None
                self.index.reset()
                self._retention.reset()
                for room in list(rooms.values()):
                    room.is_current = False
                raise

    def _commit(
        self, rooms: dict[str, OpenRoom], drafts: list[Draft], now_ms: int, fresh: dict[Ref, int]
    ) -> list[CommitResult]:
        runs = {key: _Run(room, now_ms) for key, room in rooms.items()}
        refs: dict[Ref, int] = {}
        settles = len(fresh) >= FRESH_MAX
        with transaction(self._db):
            for run in runs.values():
                run.id = run.id or self._create(run.room)
            if settles:
                self._move_fresh(fresh)
            results = self._number(runs, drafts, refs, self._find(runs, drafts, fresh))
            runs = {key: run for key, run in runs.items() if run.payloads}
            self._insert(list(runs.values()), refs)
            wal_bytes = self._check_not_replaced()
        if settles:
            fresh.clear()
        fresh.update(refs)
        for run in runs.values():
            room = run.room
            room.id, room.head, room.at, room.topic = run.id, run.head, run.at, run.topic
            self._entries += len(run.payloads)
            self.index.add(run.id, run.payloads)
        self._mark.set_entries(self._entries)
        if wal_bytes > self._truncate_bytes:
            self._truncate_log(wal_bytes)
        return results

    # --- reading the file ----------------------------------------------------------------------------

    def _reload(self, room: OpenRoom) -> None:
        row = self._db.execute(
            "SELECT id, epoch, first, head, at, topic FROM rooms WHERE key = ?", (room.key,)
        ).fetchone()
        if row is not None:
            room.id, room.epoch, room.first, room.head, room.at, room.topic = row
        room.is_current = True

    def _read_fresh(self) -> dict[Ref, int]:
        rows = self._db.execute("SELECT refs FROM fresh ORDER BY id")
        return {(room, key): seq for (refs,) in rows for room, key, seq in _decode_refs(refs)}

    def _find(self, runs: dict[str, _Run], drafts: list[Draft], fresh: dict[Ref, int]) -> dict[Ref, int]:
        """Return the numbers of the batch's known refs, also of refs whose entries are no longer kept."""
        found: dict[Ref, int] = {}
        unknown: list[Ref] = []
        for draft in drafts:
            if draft.key:
                ref = (runs[draft.room].id, draft.key)
                seq = fresh.get(ref)
                if seq is None:
                    unknown.append(ref)
                else:
                    found[ref] = seq
        for values, arguments in _in_chunks(unknown, pad=True):
            rows = self._db.execute(
                # CROSS: read the values first, and look up the table by its key, whatever SQLite estimates.
                f"SELECT room, key, seq FROM (VALUES {values}) CROSS JOIN refs"
                " ON room = column1 AND key = column2",
                arguments,
            )
            for room, key, seq in rows:
                found[room, key] = seq
        return found

    def _entry(self, run: _Run, seq: int) -> Said | TopicChanged:
        if seq > run.room.head:
            new: Said | TopicChanged = decode_entry(run.payloads[seq - run.room.head - 1])
            return new
        lines = lines_between(self._db, run.id, seq, seq)
        if not lines:
            raise StoreError("the file is damaged: a ref refers to a missing entry")
        entry: Said | TopicChanged = decode_entry(lines[0])
        return entry

    # --- writing to the file -------------------------------------------------------------------------

    def _create(self, room: OpenRoom) -> int:
        made = self._db.execute(
            "INSERT INTO rooms (key, shown, epoch, first, head, at, topic) VALUES (?, ?, ?, 1, 0, 0, '')",
            (room.key, room.shown, room.epoch),
        )
        assert made.lastrowid, "a row has an id"
        return made.lastrowid

    def _move_fresh(self, fresh: dict[Ref, int]) -> None:
        """Move the fresh refs to `refs`. A ref that is already there is stale, and is replaced."""
        # By key, then by room: two sorts of single values take half as long as one sort of pairs.
        refs = sorted(fresh, key=itemgetter(1))
        refs.sort(key=itemgetter(0))
        rows = [(room, key, fresh[room, key]) for room, key in refs]
        for values, arguments in _in_chunks(rows, pad=True):
            self._db.execute(f"REPLACE INTO refs (room, key, seq) VALUES {values}", arguments)
        self._db.execute("DELETE FROM fresh")

    def _number(
        self, runs: dict[str, _Run], drafts: list[Draft], refs: dict[Ref, int], known: dict[Ref, int]
    ) -> list[CommitResult]:
        """Number and encode a batch; the refs of new entries are added to `refs`."""
        results: list[CommitResult] = []
        for draft in drafts:
            run = runs[draft.room]
            key = draft.key
            if key:
                ref = (run.id, key)
                seq = refs.get(ref) or known.get(ref, 0)
                if seq >= run.room.first:
                    same = draft.same_as(self._entry(run, seq))
                    results.append(CommitResult(seq if same else 0, None))
                    continue
                refs[ref] = run.head + 1
            run.head = seq = run.head + 1
            payload = encode(draft.entry(seq, run.at))
            run.payloads.append(payload)
            if draft.is_topic:
                run.topic = draft.text
            results.append(CommitResult(seq, payload))
        return results

    def _insert(self, runs: list[_Run], refs: dict[Ref, int]) -> None:
        batches = [(run.id, run.head, run.room.head + 1, b"\n".join(run.payloads)) for run in runs]
        for values, arguments in _in_chunks(batches):
            self._db.execute(f"INSERT INTO batches (room, last, first, payloads) VALUES {values}", arguments)
        # All columns of a row, though only three change: an UPDATE changes one row at a time.
        rows = [
            (run.id, room.key, room.shown, room.epoch, room.first, run.head, run.at, run.topic)
            for run in runs
            for room in (run.room,)
        ]
        for values, arguments in _in_chunks(rows):
            self._db.execute(
                f"INSERT INTO rooms (id, key, shown, epoch, first, head, at, topic) VALUES {values}"
                " ON CONFLICT (id) DO UPDATE SET"
                " head = excluded.head, at = excluded.at, topic = excluded.topic",
                arguments,
            )
        if refs:
            triples = [(room, key, seq) for (room, key), seq in refs.items()]
            self._db.execute("INSERT INTO fresh (refs) VALUES (?)", (_encode_refs(triples),))

    def _check_not_replaced(self) -> int:
        """Return the size of the log. Raises `StoreError` if the file or the log was replaced."""
        log = os.stat(self._wal)
        if (os.stat(self._path).st_ino, log.st_ino) != self._inodes:
            raise StoreError(f"the journal was replaced by another file: {self._path}")
        return log.st_size

    def _truncate_log(self, wal_bytes: int) -> None:
        """Write the log back and truncate it, after readers that never all paused made it long.

        If a reader does not end, the log keeps growing, and this is tried again when it has grown as much
        again.
        """
        self._db.execute(f"PRAGMA busy_timeout = {READERS_WAIT_MS}")
        try:
            busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            busy = 1  # ignore it: the entries are committed, and the next commit reports a disk error
        self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        self._truncate_bytes = wal_bytes + WAL_BYTES_MAX if busy else WAL_BYTES_MAX

    def close(self) -> None:
        """Write everything back to the disk, and mark the run as stopped. Waits for a running commit.

        Raises `StoreError` if that fails; the connection is closed in any case.
        """
        with self._lock:
            try:
                with as_store_error():
                    self._check_not_replaced()
                    self._db.execute("PRAGMA synchronous = FULL")
                    with transaction(self._db):
                        self._db.execute("UPDATE about SET stopped = 1")
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._db.close()


def _in_chunks(
    rows: Sequence[tuple[object, ...]], *, pad: bool = False
) -> Iterator[tuple[str, list[object]]]:
    """Yield rows as the text after VALUES, and its arguments, many rows at a time.

    With `pad` the last row is repeated to fill a chunk, for statements that may safely see a row twice.
    """
    if pad and (rest := len(rows) % ROWS_AT_ONCE[0]):
        size = next(size for size in reversed(ROWS_AT_ONCE) if size >= rest)
        rows = [*rows, *[rows[-1]] * (size - rest)]
    start = 0
    for size in ROWS_AT_ONCE:
        while len(rows) - start >= size:
            chunk = rows[start : start + size]
            start += size
            row = f"({', '.join('?' * len(chunk[0]))})"
            yield ", ".join([row] * size), list(chain.from_iterable(chunk))
