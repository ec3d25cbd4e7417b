"""The journal in a file: what is said outlives the server.

SQLite in its WAL mode. One thread at a time writes, others read beside it; the loop waits for neither. What
each part does is told where it is done: the schema in `sqlite_file.py`, how a batch is written in
`sqlite_writer.py`, the lock in `lock.py`, the epochs in `sqlite_marker.py`.

Durability `normal` keeps what was acked through the death of the process, however sudden: the kernel has it.
With `full` each commit waits for the disk, and it survives the machine as well.
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
    connect,
    prepare,
    server_id_of,
    starting,
    transaction,
)
from trio_chat.journal.sqlite_marker import LastRun, new_epochs_because, read_boot_id
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
CLOSE_S = 5.0  # the disk's time to write all back; a server that stops has no more


async def open_sqlite(
    path: Path,
    *,
    durability: Durability = "normal",
    keep: RetentionRule = FOREVER,
    random_bytes: Callable[[int], bytes] = os.urandom,
    boot_id: Callable[[], str] = read_boot_id,
) -> SqliteStore:
    """Open the journal in a file, or begin one there; the directory has to exist.

    Waits for the disk, and cannot be cancelled meanwhile. The file is locked until the store's `aclose`.
    Raises `CannotStart` when another server uses it, when it is no journal or of a newer version, and when
    the disk will not have it.
    """
    return await trio.to_thread.run_sync(_open, path, durability, keep, random_bytes, boot_id)


def _open(
    path: Path,
    durability: Durability,
    keep: RetentionRule,
    random_bytes: Callable[[int], bytes],
    boot_id: Callable[[], str],
) -> SqliteStore:
    with starting(path):
        claim = Claim(path, create=True)
        try:
            path = claim.path
            db = connect(path)
            try:
                prepare(db, path, durability)
                claim.check()
                entries = _begin(db, path, claim.mark, durability, random_bytes, boot_id())
                writer = Writer(db, path, claim.mark, entries, keep)
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
    """Begin a run, with new epochs where the last one calls for them; how many entries there are."""
    run, was_boot, was_durability, stopped = db.execute(
        "SELECT run, boot, durability, stopped FROM about"
    ).fetchone()
    entries: int = db.execute("SELECT coalesce(sum(head), 0) FROM rooms").fetchone()[0]
    inode = os.stat(path).st_ino
    last = LastRun(run, was_boot, was_durability, bool(stopped))
    why = new_epochs_because(last, mark.marked, inode, entries, boot)
    run = new_id(random_bytes)
    # On the disk before the first entry is: should the machine go down, the next run has to know of this one.
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
        log.warning("who comes back to a room is not resumed, of the journal %s: %s", path, why)
    return entries


def new_id(random_bytes: Callable[[int], bytes]) -> str:
    return urlsafe_b64encode(random_bytes(9)).decode()


class SqliteStore:
    """A `Store`; made by `open_sqlite`.

    A call that is cancelled leaves its thread to finish: a commit is then made or not, as if it had failed,
    and the next waits for it.
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
        self.kept = keep.words
        self.server_id = server_id
        self._claim = claim
        self._writer = writer
        self._readers = readers
        self._random_bytes = random_bytes
        self._clock = time.thread_time  # of a search: on a busy machine it waits for its processor too
        self._rooms: dict[str, OpenRoom] = {}
        self._writing = trio.CapacityLimiter(1)
        self._reading = trio.CapacityLimiter(READS_AT_ONCE)
        self._searching = trio.CapacityLimiter(
            1
        )  # it never waits for the disk alone: one is enough of a load
        self._closed = False

    async def open(self, room: str, shown: str) -> RoomRecord:
        known = self._rooms.get(room)
        if known is None:
            found = await self._read(partial(self._readers.room, room))
            # Where nothing was said there is nothing in the file either: to look into a room costs nothing.
            found = found or OpenRoom(room, shown, new_id(self._random_bytes))
            known = self._rooms.setdefault(room, found)  # another may have opened it meanwhile
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

        async def look(below: Position | None, hits_max: int) -> SearchSlice | None:
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

        return await in_slices(look, pace, below, limit)

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
        """Wait for the commit under way, write all back to the disk, and end the lock.

        Takes 5 seconds at most, also when cancelled. A disk that takes longer leaves a thread behind that
        does all this when it can; should the process end before, the next run finds that this one did not
        stop cleanly.
        """
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._closed = True
        with trio.move_on_after(CLOSE_S, shield=True) as scope:
            try:
                await trio.to_thread.run_sync(self._close, abandon_on_cancel=True)
            except StoreError as error:
                log.warning("the journal was not closed in good order: %s", error)
        if scope.cancelled_caught:
            log.warning("the journal was not closed in good order: its disk takes too long")

    def _close(self) -> None:
        try:
            self._readers.close()
            self._writer.close()
        finally:
            self._claim.close()

    async def _read(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._reading)
