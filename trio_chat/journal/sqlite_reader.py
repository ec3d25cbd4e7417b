"""The connections that read beside the writing connection: one short transaction per call, in any thread.

A call has read all of its data when it returns. So a session that reads a page a minute holds no transaction
between its calls, and the log can be written back and restarted.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trio_chat.errors import StoreError
from trio_chat.journal.lock import JournalDescriptor
from trio_chat.journal.search import Query, fold_in_steps
from trio_chat.journal.sqlite_file import OpenRoom, as_store_error, connect
from trio_chat.journal.sqlite_search import search
from trio_chat.journal.store import EntryPage, RoomTimes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trio_chat.journal.search import SearchPace, SearchSlice, Steps
    from trio_chat.journal.store import Position

__all__ = ["Readers"]


def _search_folding(
    db: sqlite3.Connection,
    rooms: dict[str, int],
    text: str,
    below: Position | None,
    hits_max: int,
    is_over: Callable[[], bool],
) -> Steps[SearchSlice]:
    folded = yield from fold_in_steps(text)
    query = Query(text, folded=folded)
    return (yield from search(db, rooms, query, below, hits_max, is_over))


class Readers:
    """A pool of reading connections, one for each concurrent call. All methods raise `StoreError`.

    `sleep` is the function with which a search pauses.
    """

    def __init__(self, path: Path, sleep: Callable[[float], object] = time.sleep) -> None:
        self._path = path
        # A read may outlive the store. Its connection loses its locks when the last descriptor is closed.
        self._file = JournalDescriptor(path)
        self._connections = 0
        self._sleep = sleep
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._lock = threading.Lock()

    def room(self, key: str) -> OpenRoom | None:
        """Return a room as the file describes it, or None if it has no entries and never had any."""
        with self._connection() as db:
            row = db.execute(
                "SELECT key, shown, epoch, first, head, at, topic, id FROM rooms WHERE key = ?", (key,)
            ).fetchone()
        return OpenRoom(*row) if row else None

    def room_times(self, limit_ms: int, names_max: int) -> RoomTimes:
        """Implement `Store.room_times`."""
        with self._connection() as db:
            newest, count = db.execute(
                "SELECT coalesce(max(at), 0), count(*) FILTER (WHERE at > ?) FROM rooms", (limit_ms,)
            ).fetchone()
            names = db.execute(
                "SELECT shown FROM rooms WHERE at > ? ORDER BY at DESC, key LIMIT ?", (limit_ms, names_max)
            ).fetchall()
        return RoomTimes(newest, [name for (name,) in names], count)

    def page(self, room: str, after: int, through: int, entries_max: int, bytes_max: int) -> EntryPage:
        """Implement `Store.read`."""
        with self._connection() as db:
            row = db.execute("SELECT id, first FROM rooms WHERE key = ?", (room,)).fetchone()
            if row is None:
                return EntryPage(after + 1, [])
            first = seq = max(after + 1, row[1])
            payloads: list[bytes] = []
            batches = db.execute(
                # The inner query finds the last batch. With `first <= through` instead, SQLite would test
                # every row up to the end of the room.
                "SELECT first, payloads FROM batches WHERE room = :room AND last >= :seq"
                " AND last <= coalesce((SELECT last FROM batches WHERE room = :room AND last >= :through"
                " ORDER BY last LIMIT 1), :through)"
                " ORDER BY last",
                {"room": row[0], "seq": seq, "through": through},
            )
            for start, joined in batches:
                if start > seq:
                    raise StoreError(f"the file is damaged: entry {seq} is missing")
                stop = min(through + 1 - start, seq - start + entries_max - len(payloads))
                for payload in joined.split(b"\n")[seq - start : stop]:
                    bytes_max -= len(payload)
                    if payloads and bytes_max < 0:
                        return EntryPage(first, payloads)
                    payloads.append(payload)
                seq = first + len(payloads)
                if len(payloads) == entries_max:
                    break
        return EntryPage(first, payloads)

    def search(
        self,
        rooms: dict[str, int],
        text: str,
        below: Position | None,
        hits_max: int,
        pace: SearchPace,
        is_abandoned: Callable[[], bool],
    ) -> SearchSlice | None:
        """Run a slice of `Store.search`; return None once it is abandoned.

        Between two steps of SQLite this thread holds the interpreter, and the event loop waits for it after
        each of its own system calls. So the steps are short, and followed by pauses.
        """
        with self._connection() as db:
            steps = _search_folding(db, rooms, text, below, hits_max, pace.slice_is_over)
            while not is_abandoned():
                found = pace.take(steps)
                if found is not None:
                    return found
                self._sleep(pace.pause_s)
            steps.close()
        return None

    def close(self) -> None:
        """Close all connections; a connection in use is closed when its call ends."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for db in idle:
            db.close()
        self._count_closed(len(idle))

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction: it shows the file as it is now."""
        with as_store_error():
            db = self._acquire()
            try:
                db.execute("BEGIN")
                yield db
            finally:
                # A rollback also ends a cursor that was not read to its end. There are no changes to lose.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                self._release(db)

    def _acquire(self) -> sqlite3.Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            self._connections += 1
        try:
            return connect(self._path)
        except BaseException:
            self._count_closed(1)
            raise

    def _release(self, db: sqlite3.Connection) -> None:
        with self._lock:
            closed = self._closed
            if not closed:
                self._idle.append(db)
        if closed:
            db.close()
            self._count_closed(1)

    def _count_closed(self, count: int) -> None:
        with self._lock:
            self._connections -= count
            if self._closed and not self._connections:
                self._file.close()
