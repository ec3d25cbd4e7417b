"""Check a journal: first the file, by SQLite's own checks, then its rooms, entries and refs.

Everything is read at one moment; a server may be running. A finding is one line for the owner: the place and
the problem.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from trio_chat.errors import Refused
from trio_chat.hub.names import prepare_room
from trio_chat.journal.admin.check_index import check_index, has_index
from trio_chat.journal.admin.connect import open_reader, snapshot, was_interrupted
from trio_chat.wire.codec import decode_entry
from trio_chat.wire.messages import MAX_AT, MAX_NUMBER, TopicChanged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trio_chat.journal.admin.connect import Progress

__all__ = ["CheckResult", "check"]

FINDINGS_MAX = 100  # one broken page causes many findings; the first ones are enough for a repair

_decode_fresh = msgspec.json.Decoder(list[tuple[int, str, int]]).decode


class CheckResult(Struct, frozen=True):
    """The result of a check: how many rooms and entries were checked, and at most a hundred findings."""

    rooms: int
    entries: int
    findings: list[str]


def check(path: Path, *, quick: bool = False, progress: Progress | None = None) -> CheckResult:
    """Check a journal; a server may be using it.

    `quick` skips the slowest checks: whether SQLite's indexes match its tables, and whether a search finds
    the texts.

    Raises:
        JournalToolError: There is nothing that can be checked.
    """
    with open_reader(path) as db, snapshot(db):
        checking = _Checking(db, progress)
        try:
            for finding in checking.run(quick=quick):
                checking.findings.append(finding)
                if len(checking.findings) == FINDINGS_MAX:
                    break
        except sqlite3.DatabaseError as error:
            # A damaged file may also lack tables.
            if was_interrupted(error):
                raise
            checking.findings.append(f"the file: {error}")
        return CheckResult(checking.rooms, checking.entries, checking.findings)


class _Row(Struct, frozen=True):
    """One row of the table `rooms`."""

    id: int
    key: str
    shown: str
    epoch: str
    first: int
    head: int
    at: int
    topic: str


class _Checking:
    def __init__(self, db: sqlite3.Connection, progress: Progress | None) -> None:
        self._db = db
        self._progress = progress
        self._total = 0
        self.rooms = 0
        self.entries = 0
        self.findings: list[str] = []

    def run(self, *, quick: bool) -> Iterator[str]:
        how = "quick_check" if quick else "integrity_check"
        for (found,) in self._db.execute(f"PRAGMA {how}({FINDINGS_MAX})"):
            if found != "ok":
                yield f"the file: {' '.join(found.split())}"
        rooms = []
        columns = ", ".join(_Row.__struct_fields__)
        for row in self._db.execute(f"SELECT {columns} FROM rooms ORDER BY key"):
            try:
                rooms.append(msgspec.convert(dict(zip(_Row.__struct_fields__, row, strict=True)), _Row))
            except msgspec.ValidationError:
                yield f"a row of rooms has invalid columns: {row[2]!r}"
        indexed = has_index(self._db)
        self._total = sum(max(0, room.head + 1 - room.first) for room in rooms)
        for room in rooms:
            sound = len(self.findings)
            yield from (f"room {room.shown}: {finding}" for finding in self._room(room))
            if indexed and len(self.findings) == sound:  # in a damaged room the index cannot be right
                found = check_index(self._db, room.id, room.first, room.head, ask=not quick)
                yield from (f"room {room.shown}: {finding}" for finding in found)
            self.rooms += 1
        yield from self._orphans()
        yield from self._refs({room.id: room for room in rooms})

    # --- a room ---------------------------------------------------------------------------------------

    def _room(self, room: _Row) -> Iterator[str]:
        yield from self._check_name(room)
        if not 1 <= room.first <= room.head + 1 <= MAX_NUMBER:
            yield f"invalid numbers: {room.first} to {room.head}"
            return
        at = 0
        topic = None if room.first > 1 else ""
        due = room.first
        rows = self._db.execute(
            "SELECT first, last, payloads FROM batches WHERE room = ? AND last >= ? ORDER BY last",
            (room.id, room.first),  # older rows may still wait to be removed
        )
        for first, last, payloads in rows:
            if (type(first), type(last), type(payloads)) != (int, int, bytes):
                yield f"a row of entries has invalid columns: {first!r} to {last!r}"
                continue
            # The row of the room's first entry may also hold older entries, which are pruned.
            if first > due or first < due > room.first:
                yield _misplaced(first, due)
            lines = payloads.split(b"\n")
            if len(lines) != last + 1 - first:
                yield f"the row of entries {first} to {last} has {len(lines)} entries"
            for seq, payload in enumerate(lines, first):
                try:
                    entry = decode_entry(payload)
                except (ValueError, RecursionError):
                    yield f"entry {seq} cannot be read"
                    continue
                if (entry.room, entry.seq) != (room.shown, seq):
                    yield f"expected entry {seq}, found entry {entry.seq} of {entry.room}"
                if entry.at > MAX_AT:
                    yield f"entry {seq} has the time {entry.at}, which is after the year 9999"
                if entry.at < at:
                    yield f"entry {seq} is older than the entry before it"
                at = max(at, entry.at)
                if isinstance(entry, TopicChanged):
                    topic = entry.text
            due = last + 1
            self._count(last + 1 - max(first, room.first))
        if due != room.head + 1:
            beyond = f"its entries end at {due - 1}, but its head is {room.head}"
            yield beyond if due > room.head else _misplaced(room.head + 1, due)
        if at > room.at:
            yield "its newest entry is later than the room's time"
        if topic is not None and topic != room.topic:
            yield "its topic differs from its last topic change"

    def _check_name(self, room: _Row) -> Iterator[str]:
        try:
            if prepare_room(room.shown).key != room.key:
                yield f"clients cannot find it: it is stored under the key {room.key}"
        except Refused as refused:
            yield f"clients cannot find it: {refused.detail}"
        if not room.epoch:
            yield "it has no epoch"

    def _count(self, count: int) -> None:
        self.entries += count
        if self._progress is not None:
            self._progress(self.entries, self._total)

    # --- rows that refer to rooms and entries ---------------------------------------------------------

    def _orphans(self) -> Iterator[str]:
        for table in ("batches", "refs"):
            query = f"SELECT DISTINCT room FROM {table} WHERE room NOT IN (SELECT id FROM rooms)"
            for (id,) in self._db.execute(query):
                yield f"the table {table} refers to a missing room, id {id}"

    def _refs(self, rooms: dict[int, _Row]) -> Iterator[str]:
        beyond = self._db.execute(
            "SELECT room, refs.key, seq FROM refs JOIN rooms ON id = room WHERE seq < 1 OR seq > head"
        )
        for id, key, seq in beyond:
            yield f"room {rooms[id].shown}: a ref refers to entry {seq}, which does not exist: {key[-64:]}"
        for number, refs in self._db.execute("SELECT id, refs FROM fresh ORDER BY id"):
            try:
                fresh = _decode_fresh(refs)
            except ValueError:
                yield f"row {number} of the newest refs cannot be read"
                continue
            for id, key, seq in fresh:
                if id not in rooms or not 1 <= seq <= rooms[id].head:
                    where = f"room {rooms[id].shown}" if id in rooms else "a missing room"
                    yield f"{where}: a ref refers to entry {seq}, which does not exist: {key[-64:]}"


def _misplaced(first: int, due: int) -> str:
    if first < due:
        return f"entries {first} to {due - 1} exist twice"
    return f"entry {due} is missing" if first == due + 1 else f"entries {due} to {first - 1} are missing"
