"""The search index: it finds the parts of a room that may contain a text.

A *chunk* is a range of entries of one room, `first` to `last`, and one document of SQLite's FTS5. FTS5 stores
only which trigrams occur in which document (`detail=none`: no copy of the text, no positions). A search reads
the entries of the matching chunks and compares them. Documents of a hundred entries cost half as much as
documents of one entry, and are few enough to compare. We fold the texts (`fold.py`), the same way for every
script.

A document begins with three characters that stand for its room. So the room is one more trigram to intersect,
and a search in a quiet room does not read the matches of a busy room. The characters are from Unicode's
private use area; a text that contains them only causes a needless comparison.

A commit does not update the index. A room's newest entries are indexed when they fill a chunk; until then a
search scans them, which is as fast. An older Python knows fewer characters, so a search does not find those
characters in entries that an older Python indexed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_chat.journal.fold import CGJ, fold_text, legacy_fold
from trio_chat.journal.search import decode_texts

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from trio_chat.journal.search import Query

__all__ = [
    "SearchIndex",
    "document",
    "document_in_index",
    "expression",
    "line_at",
    "lines_between",
    "quoted",
    "room_mark",
]

# In bytes of payloads: at least some 60 short entries, enough to make a document worth its cost …
CHUNK_BYTES_MIN = 8 << 10
CHUNK_BYTES_MAX = 32 << 10  # … and few enough to scan quickly when they do not match
STEP_BYTES = 64 << 10  # about five milliseconds
MERGE_PAGES = 64  # about five milliseconds
ENTRY_BYTES = 128  # the assumed size of entries that were not measured

_ROOMS_FROM = 0xF0000
_ROOMS = 65_534  # rooms per character; there are three characters


def room_mark(room: int) -> str:
    """Return the three characters that stand for a room."""
    return "".join(chr(_ROOMS_FROM + room // _ROOMS**power % _ROOMS) for power in range(3))


def document(room: int, lines: list[bytes]) -> str:
    """Return the document of a chunk: FTS5 needs the same text to add a document and to delete it."""
    return _document(room, lines, fold_text)


def document_in_index(db: sqlite3.Connection, chunk: int, room: int, lines: list[bytes]) -> str:
    """Return the document of a chunk as it was put into the index, perhaps by an older server.

    The old and the new form differ only for texts with long runs of marks. Then the index is asked for a
    trigram that only one of the forms has: deleting a document with the wrong text would damage the index.
    """
    text = document(room, lines)
    if CGJ not in text:
        return text
    older = _document(room, lines, legacy_fold)
    new_only = _trigrams(text) - _trigrams(older)
    if new_only:
        return text if _is_in_index(db, chunk, min(new_only)) else older
    older_only = _trigrams(older) - _trigrams(text)
    return older if older_only and _is_in_index(db, chunk, min(older_only)) else text


def _document(room: int, lines: list[bytes], fold: Callable[[str], str]) -> str:
    # Fold each text separately: no single call holds the interpreter for long.
    text = "\n".join([fold(entry.text) for entry in decode_texts(lines)])
    return room_mark(room) + text.replace("\0", " ")  # SQLite would stop at a null character


def _trigrams(text: str) -> set[str]:
    return {text[start : start + 3] for start in range(len(text) - 2)}


def _is_in_index(db: sqlite3.Connection, chunk: int, trigram: str) -> bool:
    query = "SELECT 1 FROM words WHERE words MATCH ? AND rowid = ?"
    return db.execute(query, (quoted(trigram), chunk)).fetchone() is not None


def quoted(text: str) -> str:
    """Quote a text as a string of an FTS5 query."""
    return '"' + text.replace('"', '""') + '"'


def expression(room: int, wanted: Query) -> str | None:
    """Return the FTS5 query for a text, or None if the text is too short for one."""
    trigrams = wanted.trigrams
    if not trigrams:
        return None
    return " ".join(map(quoted, (room_mark(room), *trigrams)))


def lines_between(db: sqlite3.Connection, room: int, first: int, last: int) -> list[bytes]:
    """Return the existing payloads of a room from one number to another."""
    lines: list[bytes] = []
    rows = db.execute(
        "SELECT first, payloads FROM batches WHERE room = ? AND last >= ? ORDER BY last", (room, first)
    )
    for start, joined in rows:
        if start > last:  # not in the query: SQLite would read on to the end of the room
            break
        lines += joined.split(b"\n")[max(first - start, 0) : last + 1 - start]
    return lines


def line_at(db: sqlite3.Connection, room: int, seq: int) -> bytes | None:
    """Return the payload of one entry, or None if it is missing."""
    row = db.execute(
        "SELECT first, payloads FROM batches WHERE room = ? AND last >= ? ORDER BY last LIMIT 1", (room, seq)
    ).fetchone()
    if row is None or row[0] > seq:
        return None
    index = seq - row[0]
    lines: list[bytes] = row[1].split(b"\n", index + 1)
    return lines[index] if index < len(lines) else None


class SearchIndex:
    """The writer's side of the index: it knows which entries are not indexed yet, and indexes them.

    Its memory is right only while every transaction of the writer succeeds; after an error call `reset`.
    """

    def __init__(self) -> None:
        self.backlog = 0
        """About how many entries are not in the index yet."""
        self._waiting: dict[int, int] | None = None  # bytes by room
        self._ready: dict[int, None] = {}  # rooms with enough bytes for a chunk
        self._merges = True

    def reset(self) -> None:
        """Forget the numbers in memory; the next step reads them from the file again."""
        self._waiting = None
        self._merges = True

    def add(self, room: int, payloads: list[bytes]) -> None:
        """Count new entries of a room."""
        self.backlog += len(payloads)
        if self._waiting is not None:
            self._wait(room, self._waiting.get(room, 0) + sum(map(len, payloads)))

    def step(self, db: sqlite3.Connection) -> bool:
        """Index some of the waiting entries, inside a transaction; return whether there is more to do."""
        if self._waiting is None:
            self._ask(db)
        left = STEP_BYTES
        while self._ready and left > 0:
            room = next(iter(self._ready))
            left -= self._index(db, room, left)
        return bool(self._ready)

    def merge(self, db: sqlite3.Connection) -> bool:
        """Merge some segments of the FTS5 index, for about forty milliseconds; return false if none were
        left.

        FTS5 would otherwise merge by itself inside a commit.
        """
        if not self._merges:
            return False
        before = db.total_changes
        db.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (MERGE_PAGES,))
        self._merges = db.total_changes - before > 1  # as FTS5's manual describes it
        return self._merges

    def remove_chunk(self, db: sqlite3.Connection, chunk: int, room: int, first: int, last: int) -> int:
        """Remove a chunk from the index while its entries still exist; return the size of the entries."""
        lines = lines_between(db, room, first, last)
        db.execute(
            "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)",
            (chunk, document_in_index(db, chunk, room, lines)),
        )
        db.execute("DELETE FROM chunks WHERE id = ?", (chunk,))
        self._merges = True
        return sum(map(len, lines))

    def _ask(self, db: sqlite3.Connection) -> None:
        self._waiting = {}
        self._ready.clear()
        self.backlog = 0
        rows = db.execute("SELECT id, head - max(indexed, first - 1) FROM rooms WHERE head > indexed")
        for room, entries in rows:
            self.backlog += entries
            self._wait(room, entries * ENTRY_BYTES)

    def _wait(self, room: int, size: int) -> None:
        assert self._waiting is not None, "the file was asked"
        self._waiting[room] = size
        self._ready.pop(room, None)  # move it to the end: the other rooms are indexed first
        if size >= CHUNK_BYTES_MIN:
            self._ready[room] = None

    def _index(self, db: sqlite3.Connection, room: int, left: int) -> int:
        """Index some of a room's entries; return how many bytes were read."""
        assert self._waiting is not None, "the file was asked"
        (after,) = db.execute("SELECT max(indexed, first - 1) FROM rooms WHERE id = ?", (room,)).fetchone()
        lines, whole = _next_lines(db, room, after, left)
        looked = sum(map(len, lines))
        done = after
        for chunk in _chunks(lines):
            texts = decode_texts([chunk[0], chunk[-1]])
            made = db.execute(
                "INSERT INTO chunks (room, first, last, began, ended) VALUES (?, ?, ?, ?, ?)",
                (room, done + 1, done + len(chunk), texts[0].at, texts[1].at),
            )
            db.execute(
                "INSERT INTO words (rowid, text) VALUES (?, ?)", (made.lastrowid, document(room, chunk))
            )
            done += len(chunk)
            self._merges = True
        db.execute("UPDATE rooms SET indexed = ? WHERE id = ?", (done, room))
        self.backlog -= done - after
        rest = sum(map(len, lines[done - after :]))
        # The size of entries that were not read is only estimated, and may be too small: check the room
        # again.
        self._wait(room, rest if whole else max(self._waiting[room] - looked + rest, CHUNK_BYTES_MIN))
        return looked


def _next_lines(db: sqlite3.Connection, room: int, after: int, bytes_max: int) -> tuple[list[bytes], bool]:
    """Return a room's payloads above a number, up to a size or one chunk, and whether these are all."""
    lines: list[bytes] = []
    size = 0
    rows = db.execute(
        "SELECT first, payloads FROM batches WHERE room = ? AND last > ? ORDER BY last", (room, after)
    )
    for first, joined in rows:
        for line in joined.split(b"\n")[max(after + 1 - first, 0) :]:
            if size >= max(bytes_max, CHUNK_BYTES_MIN):
                return lines, False
            lines.append(line)
            size += len(line)
    return lines, True


def _chunks(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Divide payloads into chunks; a rest that is too small for a chunk is left out."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line)
        if size >= CHUNK_BYTES_MAX:
            yield chunk
            chunk, size = [], 0
    if size >= CHUNK_BYTES_MIN:
        yield chunk
