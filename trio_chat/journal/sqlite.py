"""The journal in a file, which outlives the server.

It uses SQLite in WAL mode. One thread at a time writes, and other threads read beside it; the event loop
waits for neither. The parts are described in their modules: the schema in `sqlite_file.py`, the writing of a
batch in `sqlite_writer.py`, the lock in `lock.py`, the epochs in `sqlite_marker.py`.

With durability `normal` acknowledged entries survive any death of the process, since the kernel has them.
With `full` each commit waits for the disk, and acknowledged entries survive a crash of the machine too.
"""

from __future__ import annotations

import logging
import os
import time
from base64 import urlsafe_b64encode
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

import trio

from trio_chat.errors import StoreError
from trio_chat.journal.claim import Claim
from trio_chat.journal.search import THREAD_PAUSE_RATIO, SearchPace, SearchSlice, in_slices
from trio_chat.journal.sqlite_file import (
    OpenRoom,
    as_start_error,
    connect,
    prepare,
    server_id_of,
    transaction,
)
from trio_chat.journal.sqlite_marker import LastRun, new_epochs_reason, read_boot_id
from trio_chat.journal.sqlite_reader import Readers
from trio_chat.journal.sqlite_writer import Writer
from trio_chat.journal.store import (
    CommitResult,
    Draft,
    EntryPage,
    Matches,
    Position,
    RetentionRule,
    RoomRecord,
    RoomTimes,
    never,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from trio_chat.journal.sqlite_marker import RunMarker

__all__ = ["Durability", "SqliteStore", "open_sqlite"]

log = logging.getLogger("trio_chat.journal")

Durability = Literal["normal", "full"]
T = TypeVar("T")

FOREVER = RetentionRule()
READS_AT_ONCE = 4
CLOSE_S = 5.0  # the time to write everything back to the disk when a server stops


async def open_sqlite(
    path: Path,
    *,
    durability: Durability = "normal",
    keep: RetentionRule = FOREVER,
    random_bytes: Callable[[int], bytes] = os.urandom,
    boot_id: Callable[[], str] = read_boot_id,
) -> SqliteStore:
    """Open the journal in a file, or create it; its directory must exist.

    Waits for the disk, and cannot be cancelled meanwhile. The file stays locked until the store's `aclose`.

    Raises:
        CannotStart: Another server uses the file, it is not a journal or has a newer version, or an error of
            the disk.
    """
    return await trio.to_thread.run_sync(_open, path, durability, keep, random_bytes, boot_id)


def _open(
    path: Path,
    durability: Durability,
    keep: RetentionRule,
    random_bytes: Callable[[int], bytes],
    boot_id: Callable[[], str],
) -> SqliteStore:
    with as_start_error(path):
        claim = Claim(path, create=True)
        try:
            path = claim.path
            db = connect(path)
            try:
                prepare(db, path, durability)
                claim.check()
                entries = _begin(db, path, claim.marker, durability, random_bytes, boot_id())
                writer = Writer(db, path, claim.marker, entries, keep)
                return SqliteStore(writer, Readers(path), claim, keep, random_bytes, server_id_of(db))
            except BaseException:
                db.close()
                raise
        except BaseException:
            claim.close()
            raise


def _begin(
    db: sqlite3.Connection,
    path: Path,
    mark: RunMarker,
    durability: Durability,
    random_bytes: Callable[[int], bytes],
    boot: str,
) -> int:
    """Begin a run, with new epochs if the last run requires them; return the number of entries."""
    run, was_boot, was_durability, stopped = db.execute(
        "SELECT run, boot, durability, stopped FROM about"
    ).fetchone()
    entries: int = db.execute("SELECT coalesce(sum(head), 0) FROM rooms").fetchone()[0]
    inode = os.stat(path).st_ino
    last = LastRun(run, was_boot, was_durability, bool(stopped))
    why = new_epochs_reason(last, mark.content, inode, entries, boot)
    run = new_id(random_bytes)
    # On the disk before the first entry: if the machine crashes, the next run must know of this run.
    db.execute("PRAGMA synchronous = FULL")
    with transaction(db):
        if why:
            rooms = db.execute("SELECT id FROM rooms").fetchall()
            db.executemany(
                "UPDATE rooms SET epoch = ? WHERE id = ?", [(new_id(random_bytes), id) for (id,) in rooms]
            )
        db.execute("UPDATE about SET run = ?, boot = ?, durability = ?, stopped = 0", (run, boot, durability))
        if not server_id_of(db):
            db.execute("UPDATE about SET server_id = ?", (new_id(random_bytes),))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute(f"PRAGMA synchronous = {durability}")
    mark.begin(run, inode, entries)
    if why and entries:
        log.warning("journal %s: %s; clients will reload their rooms", path, why)
    return entries


def new_id(random_bytes: Callable[[int], bytes]) -> str:
    return urlsafe_b64encode(random_bytes(9)).decode()


class SqliteStore:
    """A `Store` in a file; made by `open_sqlite`.

    A cancelled call leaves its thread to finish. So a cancelled commit may or may not be made, as after an
    error, and the next commit waits for it.
    """

    tidies = True

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        claim: Claim,
        keep: RetentionRule,
        random_bytes: Callable[[int], bytes],
        server_id: str,
    ) -> None:
        self.kept = keep.text
        self.server_id = server_id
        self._claim = claim
        self._writer = writer
        self._readers = readers
        self._random_bytes = random_bytes
        self._clock = time.thread_time  # for searches: on a busy machine they also wait for the processor
        self._rooms: dict[str, OpenRoom] = {}
        self._writing = trio.CapacityLimiter(1)
        self._reading = trio.CapacityLimiter(READS_AT_ONCE)
        # a search keeps the processor busy: a second would be too much
        self._searching = trio.CapacityLimiter(1)
        self._closed = False

    async def open(self, room: str, shown: str) -> RoomRecord:
        known = self._rooms.get(room)
        if known is None:
            found = await self._read(partial(self._readers.room, room))
            # A new room is not in the file before its first entry: looking into a room costs nothing.
            found = found or OpenRoom(room, shown, new_id(self._random_bytes))
            known = self._rooms.setdefault(room, found)  # another task may have opened it meanwhile
        else:
            await trio.lowlevel.checkpoint()
        known.users += 1
        return RoomRecord(known.shown, known.epoch, known.first, known.head, known.topic)

    def close(self, room: str) -> None:
        known = self._rooms[room]
        known.users -= 1
        if not known.users:
            del self._rooms[room]

    def first(self, room: str) -> int:
        return self._rooms[room].first

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        if not drafts:
            return []
        rooms = {draft.room: self._rooms[draft.room] for draft in drafts}
        return await trio.to_thread.run_sync(
            self._writer.commit, rooms, drafts, now_ms, abandon_on_cancel=True, limiter=self._writing
        )

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        return await self._read(partial(self._readers.page, room, after, through, entries_max, bytes_max))

    async def search(
        self,
        rooms: dict[str, int],
        text: str,
        below: Position | None,
        limit: int,
        *,
        is_abandoned: Callable[[], bool] = never,
    ) -> Matches:
        pace = SearchPace(self._clock, THREAD_PAUSE_RATIO)

        async def scan_slice(below: Position | None, hits_max: int) -> SearchSlice | None:
            return await trio.to_thread.run_sync(
                self._readers.search,
                rooms,
                text,
                below,
                hits_max,
                pace,
                is_abandoned,
                abandon_on_cancel=True,
                limiter=self._searching,
            )

        return await in_slices(scan_slice, pace, below, limit)

    async def room_times(self, limit_ms: int, names_max: int) -> RoomTimes:
        return await self._read(partial(self._readers.room_times, limit_ms, names_max))

    @property
    def backlog(self) -> int:
        return self._writer.index.backlog

    async def tidy(self, now_ms: int) -> bool:
        return await trio.to_thread.run_sync(
            self._writer.tidy, self._rooms, now_ms, abandon_on_cancel=True, limiter=self._writing
        )

    async def probe(self) -> None:
        await trio.to_thread.run_sync(
            self._writer.probe, self._rooms, abandon_on_cancel=True, limiter=self._writing
        )

    async def aclose(self) -> None:
        """Wait for the running commit, write everything back to the disk, and release the lock.

        Takes at most 5 seconds, also when cancelled. If the disk takes longer, a thread finishes the work in
        the background. If the process ends before, the next run finds that this run did not stop cleanly.
        """
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._closed = True
        with trio.move_on_after(CLOSE_S, shield=True) as scope:
            try:
                await trio.to_thread.run_sync(self._close, abandon_on_cancel=True)
            except StoreError as error:
                log.warning("the journal was not closed cleanly: %s", error)
        if scope.cancelled_caught:
            log.warning("the journal was not closed cleanly: its disk did not finish within %g s", CLOSE_S)

    def _close(self) -> None:
        try:
            self._readers.close()
            self._writer.close()
        finally:
            self._claim.close()

    async def _read(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._reading)
