"""Text back into a journal: rooms that are not there yet, with their numbers, as new histories.

A journal that was exported may have gone on since, so nobody is resumed in what comes in: each room has a
new epoch. All of the text comes in, or nothing does; a line that does not fit is told by its number. What
is in it was checked by no server, so it is held to the rules that a server holds its clients to.

A journal without a server id takes that of the text, where there is one.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from trio_chat.errors import JournalToolError, Refused
from trio_chat.hub.names import check_text, prepare_name, prepare_room
from trio_chat.journal.admin.connect import changing
from trio_chat.journal.admin.export_format import (
    VERSION,
    EndLine,
    JournalLine,
    Line,
    RefsLine,
    RoomLine,
    decode_line,
)
from trio_chat.journal.sqlite_file import server_id_of, transaction
from trio_chat.wire.codec import decode_entry, encode
from trio_chat.wire.messages import MAX_AT, MAX_NUMBER, Said, TopicChanged

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from trio_chat.journal.admin.connect import Progress

__all__ = ["Imported", "import_journal"]

LINE_BYTES_MAX = 1 << 20
# What fits into a frame, whatever the limits of the server were or will be.
TEXT_BYTES_MAX = 32_256
REF_KEY_CHARS_MAX = 128
LINES_BETWEEN_WORDS = 10_000
BATCH_ENTRIES = 500
BATCH_BYTES = 128 << 10

L = TypeVar("L", bound=Line)


class Imported(Struct, frozen=True):
    """What came in."""

    rooms: int
    entries: int


def import_journal(path: Path, source: BinaryIO, *, progress: Progress | None = None) -> Imported:
    """Take an export into the journal, which is begun where there is none; `source` is a file when there is
    somebody to be told of progress. Raises `JournalToolError`."""
    lines = _Lines(source, progress)
    first = lines.expect(JournalLine, "is not the first of an export of a journal")
    if first.version != VERSION:
        raise lines.wrong(f"is of version {first.version}, and this trio-chat reads {VERSION}")
    lines.next()
    with changing(path, create=True) as db, transaction(db):
        if first.server_id and not server_id_of(db):
            db.execute("UPDATE about SET server_id = ?", (first.server_id,))
        rooms = entries = 0
        while isinstance(lines.line, RoomLine):
            entries += _Incoming(db, lines, lines.line).take()
            rooms += 1
        end = lines.expect(EndLine, "is neither a room nor the end")
        if (end.rooms, end.entries) != (rooms, entries):
            raise lines.wrong(
                f"tells of {end.rooms} rooms and {end.entries} entries; {rooms} and {entries} came"
            )
        lines.next()
        if lines.line is not None:
            raise lines.wrong("comes after the end")
    return Imported(rooms, entries)


class _Lines:
    """The lines of a text: `line` is the next, None at the end, and `number` its number."""

    def __init__(self, source: BinaryIO, progress: Progress | None) -> None:
        self._source = source
        self._progress = progress
        self._total = os.fstat(source.fileno()).st_size if progress else 0
        self._done = 0
        self.number = 0
        self.line: Line | None = None
        self.next()

    def next(self) -> None:
        self.number += 1
        try:
            text = self._source.readline(LINE_BYTES_MAX + 1)
        except OSError as error:
            raise JournalToolError(f"cannot read: {error.strerror}") from error
        if not text:
            self.line = None
            return
        self._done += len(text)
        if self._progress is not None and not self.number % LINES_BETWEEN_WORDS:
            self._progress(self._done, self._total)
        if len(text) > LINE_BYTES_MAX:
            raise self.wrong("is longer than any line of an export")
        try:
            self.line = decode_line(text)
        except (ValueError, RecursionError) as error:
            if not text.endswith(b"\n"):
                raise self.wrong("is cut off, and with it the export") from None
            if at := _beyond_calendar(text):
                raise self.wrong(f"has an invalid at: got {at}, expected 0 to {MAX_AT}") from None
            said = ascii(str(error)[:200])[1:-1]  # it repeats what stands there
            raise self.wrong(f"is no line of an export: {said}") from None

    def expect(self, kind: type[L], otherwise: str) -> L:
        """This line, if it is one of these."""
        line = self.line
        if line is None:
            raise self.wrong("is not there: the export was cut off")
        if not isinstance(line, kind):
            raise self.wrong(otherwise)
        return line

    def wrong(self, what: str) -> JournalToolError:
        return JournalToolError(f"nothing was imported: line {self.number} {what}")


def _beyond_calendar(text: bytes) -> int:
    """Return the `at` of an entry whose only fault is its time; 0 for any other line."""
    try:
        return decode_entry(text).at
    except (ValueError, RecursionError):
        return 0


class _Incoming:
    """One room as it comes in."""

    def __init__(self, db: sqlite3.Connection, lines: _Lines, room: RoomLine) -> None:
        self._db = db
        self._lines = lines
        self._room = room
        self._id = 0
        self._at = 0

    def take(self) -> int:
        """How many entries came in; the line behind the room is the next."""
        self._id = self._create()
        self._lines.next()
        topic = self._take_entries()
        if topic is not None and topic != self._room.topic:
            raise self._wrong(f"follows a topic that is not that of the room {self._room.room}")
        while isinstance(self._lines.line, RefsLine):
            self._take_refs(self._lines.line)
            self._lines.next()
        self._db.execute("UPDATE rooms SET at = ? WHERE id = ?", (self._at, self._id))
        return self._room.head + 1 - self._room.first

    def _wrong(self, what: str) -> JournalToolError:
        return self._lines.wrong(what)

    def _create(self) -> int:
        room = self._room
        try:
            name = prepare_room(room.room)
            if room.topic:
                check_text(room.topic, TEXT_BYTES_MAX, TEXT_BYTES_MAX)
        except Refused as refused:
            raise self._wrong(f"is of no room that could be: {refused.detail}") from None
        if name.shown != room.room:
            raise self._wrong(f"is of no room that could be: it would be shown as {name.shown}")
        if not 1 <= room.first <= room.head + 1 <= MAX_NUMBER:
            raise self._wrong("has numbers that cannot be")
        try:
            made = self._db.execute(
                "INSERT INTO rooms (key, shown, epoch, first, head, at, topic) VALUES (?, ?, ?, ?, ?, 0, ?)",
                (name.key, name.shown, secrets.token_urlsafe(9), room.first, room.head, room.topic),
            )
        except sqlite3.IntegrityError:
            raise self._wrong(f"is of the room {room.room}, and the journal has that already") from None
        assert made.lastrowid, "a row has an id"
        return made.lastrowid

    def _take_entries(self) -> str | None:
        """All of them; the topic that they end with, None when none is set in them."""
        room = self._room
        topic: str | None = None
        batch: list[bytes] = []
        size = 0
        for seq in range(room.first, room.head + 1):
            line = self._lines.line
            if line is None:
                raise self._wrong("is not there: the export was cut off")
            if not isinstance(line, Said | TopicChanged) or line.room != room.room or line.seq != seq:
                raise self._wrong(f"is not entry {seq} of the room {room.room}")
            self._check(line)
            if isinstance(line, TopicChanged):
                topic = line.text
            batch.append(encode(line))
            size += len(batch[-1])
            if len(batch) == BATCH_ENTRIES or size > BATCH_BYTES or seq == room.head:
                self._db.execute(
                    "INSERT INTO batches (room, last, first, payloads) VALUES (?, ?, ?, ?)",
                    (self._id, seq, seq + 1 - len(batch), b"\n".join(batch)),
                )
                batch, size = [], 0
            self._lines.next()
        return topic

    def _check(self, entry: Said | TopicChanged) -> None:
        if entry.at < self._at:
            raise self._wrong("is older than the one before it")
        self._at = entry.at
        try:
            prepare_name(entry.by)
            check_text(entry.text, TEXT_BYTES_MAX, TEXT_BYTES_MAX)
        except Refused as refused:
            raise self._wrong(f"is not what somebody could have said: {refused.detail}") from None

    def _take_refs(self, line: RefsLine) -> None:
        for key, seq in line.refs:
            if not (1 <= len(key) <= REF_KEY_CHARS_MAX and self._room.first <= seq <= self._room.head):
                raise self._wrong("has a ref that stands for no entry of the room")
        try:
            self._db.executemany(
                "INSERT INTO refs (room, key, seq) VALUES (?, ?, ?)",
                [(self._id, key, seq) for key, seq in line.refs],
            )
        except sqlite3.IntegrityError:
            raise self._wrong("has a ref that was there before") from None
