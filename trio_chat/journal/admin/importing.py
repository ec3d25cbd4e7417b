"""Import an export into a journal: new rooms, with their numbers, as new histories.

The exported journal may have continued since. So each imported room gets a new epoch, and clients cannot
resume in it. All of the text is imported or nothing; an error names the line by its number. The text may have
been edited by hand, so it is checked by the rules that a server applies to its clients.

A journal without a server id takes the id of the text, if it has one.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from trio_chat.errors import JournalToolError, Refused
from trio_chat.hub.names import check_text, prepare_name, prepare_room
from trio_chat.journal.admin.connect import open_writer
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

__all__ = ["ImportResult", "import_journal"]

LINE_BYTES_MAX = 1 << 20
# The largest text that fits into a frame, whatever the limits of the server.
TEXT_BYTES_MAX = 32_256
REF_KEY_CHARS_MAX = 128
LINES_BETWEEN_REPORTS = 10_000
BATCH_ENTRIES = 500
BATCH_BYTES = 128 << 10

L = TypeVar("L", bound=Line)


class ImportResult(Struct, frozen=True):
    """The numbers of imported rooms and entries."""

    rooms: int
    entries: int


def import_journal(path: Path, source: BinaryIO, *, progress: Progress | None = None) -> ImportResult:
    """Import an export into the journal, which is created if it does not exist.

    With `progress`, `source` must be a file on disk.

    Raises:
        JournalToolError: The export is invalid, or the journal cannot be changed.
    """
    lines = _Lines(source, progress)
    first = lines.expect(JournalLine, "is not the first line of a trio-chat export")
    if first.version != VERSION:
        raise lines.wrong(f"has export version {first.version}, expected {VERSION}")
    lines.next()
    with open_writer(path, create=True) as db, transaction(db):
        if first.server_id and not server_id_of(db):
            db.execute("UPDATE about SET server_id = ?", (first.server_id,))
        rooms = entries = 0
        while isinstance(lines.line, RoomLine):
            entries += _RoomImport(db, lines, lines.line).run()
            rooms += 1
        end = lines.expect(EndLine, "is neither a room line nor the end line")
        if (end.rooms, end.entries) != (rooms, entries):
            raise lines.wrong(
                f"counts {end.rooms} rooms and {end.entries} entries, but {rooms} and {entries} precede it"
            )
        lines.next()
        if lines.line is not None:
            raise lines.wrong("follows the end line")
    return ImportResult(rooms, entries)


class _Lines:
    """The lines of a text: `line` is the next one, None at the end, and `number` is its number."""

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
        if self._progress is not None and not self.number % LINES_BETWEEN_REPORTS:
            self._progress(self._done, self._total)
        if len(text) > LINE_BYTES_MAX:
            raise self.wrong(f"is longer than {LINE_BYTES_MAX:,} bytes")
        try:
            self.line = decode_line(text)
        except (ValueError, RecursionError) as error:
            if not text.endswith(b"\n"):
                raise self.wrong("is incomplete: the export was cut off") from None
            if at := _beyond_calendar(text):
                raise self.wrong(f"has an invalid at: got {at}, expected 0 to {MAX_AT}") from None
            said = ascii(str(error)[:200])[1:-1]  # the error repeats text of the line
            raise self.wrong(f"is not a line of an export: {said}") from None

    def expect(self, kind: type[L], otherwise: str) -> L:
        """Return this line if it has the given type; raise the error otherwise."""
        line = self.line
        if line is None:
            raise self.wrong("is missing: the export was cut off")
        if not isinstance(line, kind):
            raise self.wrong(otherwise)
        return line

    def wrong(self, what: str) -> JournalToolError:
        return JournalToolError(f"nothing was imported: line {self.number} {what}")


def _beyond_calendar(text: bytes) -> int:
    """Return the `at` of an entry whose only error is its time; 0 for any other line."""
    try:
        return decode_entry(text).at
    except (ValueError, RecursionError):
        return 0


class _RoomImport:
    """The import of one room."""

    def __init__(self, db: sqlite3.Connection, lines: _Lines, room: RoomLine) -> None:
        self._db = db
        self._lines = lines
        self._room = room
        self._id = 0
        self._at = 0

    def run(self) -> int:
        """Import the room, and return how many entries it has; the line after the room is then the next."""
        self._id = self._create()
        self._lines.next()
        topic = self._import_entries()
        if topic is not None and topic != self._room.topic:
            raise self._wrong(f"follows a topic change that differs from the topic of room {self._room.room}")
        while isinstance(self._lines.line, RefsLine):
            self._import_refs(self._lines.line)
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
            raise self._wrong(f"has an invalid room: {refused.detail}") from None
        if name.shown != room.room:
            raise self._wrong(f"has an invalid room: got {room.room}, expected {name.shown}")
        if not 1 <= room.first <= room.head + 1 <= MAX_NUMBER:
            raise self._wrong(f"has invalid numbers: first {room.first}, head {room.head}")
        try:
            made = self._db.execute(
                "INSERT INTO rooms (key, shown, epoch, first, head, at, topic) VALUES (?, ?, ?, ?, ?, 0, ?)",
                (name.key, name.shown, secrets.token_urlsafe(9), room.first, room.head, room.topic),
            )
        except sqlite3.IntegrityError:
            raise self._wrong(f"has the room {room.room}, which the journal already has") from None
        assert made.lastrowid, "a row has an id"
        return made.lastrowid

    def _import_entries(self) -> str | None:
        """Import all entries; return the last topic that they set, None if they set none."""
        room = self._room
        topic: str | None = None
        batch: list[bytes] = []
        size = 0
        for seq in range(room.first, room.head + 1):
            line = self._lines.line
            if line is None:
                raise self._wrong("is missing: the export was cut off")
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
            raise self._wrong("is older than the entry before it")
        self._at = entry.at
        try:
            prepare_name(entry.by)
            check_text(entry.text, TEXT_BYTES_MAX, TEXT_BYTES_MAX)
        except Refused as refused:
            raise self._wrong(f"has an invalid author or text: {refused.detail}") from None

    def _import_refs(self, line: RefsLine) -> None:
        for key, seq in line.refs:
            if not (1 <= len(key) <= REF_KEY_CHARS_MAX and self._room.first <= seq <= self._room.head):
                raise self._wrong("has a ref to an entry that is not in the room")
        try:
            self._db.executemany(
                "INSERT INTO refs (room, key, seq) VALUES (?, ?, ?)",
                [(self._id, key, seq) for key, seq in line.refs],
            )
        except sqlite3.IntegrityError:
            raise self._wrong("repeats a ref") from None
