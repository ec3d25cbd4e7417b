"""The index that a search goes by: which stretches of a room may hold a text.

A *chunk* is a stretch of one room, from `first` to `last`, and one document of SQLite's FTS5. That knows only
which three characters stand in which document (`detail=none`, no copy of the text, no words); the entries
themselves are read and compared. Documents of a hundred entries cost half of what those of one entry do, and
so few that a look into each is cheap. The texts are made normal by us (`search.py`), the same for every
script.

A document begins with three characters that stand for its room, so that the room is one more list to
intersect: a search in a quiet room does not wade through what a busy one says. They are of those that Unicode
leaves to everybody; should a text hold them, it is looked at in vain.

What a commit adds is not in the index. A room's newest entries are put there once they are enough for a
chunk; fewer are looked through, as quickly as they would be found. An older Python knows fewer characters: in
what such a one has indexed, those are not found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_chat.journal.fold import CGJ, legacy_normal, normal
from trio_chat.journal.search import read_texts

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

# In bytes of payloads: some 60 short entries at least, as many as make it worth while …
CHUNK_BYTES_MIN = 8 << 10
CHUNK_BYTES_MAX = 32 << 10  # … and no more than is quickly looked through for nothing
STEP_BYTES = 64 << 10  # five milliseconds
MERGE_PAGES = 64  # as many
ENTRY_BYTES = 128  # for what was not counted

_ROOMS_FROM = 0xF0000
_ROOMS = 65_534  # of one character; there are three


def room_mark(room: int) -> str:
    """The three characters that stand for a room."""
    return "".join(chr(_ROOMS_FROM + room // _ROOMS**power % _ROOMS) for power in range(3))


def document(room: int, lines: list[bytes]) -> str:
    """The document of a chunk: what goes into the index, and what has to be said again to take it out."""
    return _document(room, lines, normal)


def document_in_index(db: sqlite3.Connection, chunk: int, room: int, lines: list[bytes]) -> str:
    """Return the document of a chunk as it was put into the index, perhaps by an older server.

    The two forms differ for texts with long runs of marks only. Then the index is asked for three characters
    of one of them: to take out another document than was put in would damage it.
    """
    text = document(room, lines)
    if CGJ not in text:
        return text
    older = _document(room, lines, legacy_normal)
    new_only = _trigrams(text) - _trigrams(older)
    if new_only:
        return text if _is_in_index(db, chunk, min(new_only)) else older
    older_only = _trigrams(older) - _trigrams(text)
    return older if older_only and _is_in_index(db, chunk, min(older_only)) else text


def _document(room: int, lines: list[bytes], fold: Callable[[str], str]) -> str:
    # Each text by itself: no single call to fold holds the interpreter for long.
    text = "\n".join([fold(entry.text) for entry in read_texts(lines)])
    return room_mark(room) + text.replace("\0", " ")  # where SQLite would stop


def _trigrams(text: str) -> set[str]:
    return {text[start : start + 3] for start in range(len(text) - 2)}


def _is_in_index(db: sqlite3.Connection, chunk: int, trigram: str) -> bool:
    query = "SELECT 1 FROM words WHERE words MATCH ? AND rowid = ?"
    return db.execute(query, (quoted(trigram), chunk)).fetchone() is not None


def quoted(text: str) -> str:
    """Return a text as FTS5 takes one to look for."""
    return '"' + text.replace('"', '""') + '"'


def expression(room: int, wanted: Query) -> str | None:
    """What to ask FTS5 for; None when the text is too short for it."""
    trigrams = wanted.trigrams
    if not trigrams:
        return None
    return " ".join(map(quoted, (room_mark(room), *trigrams)))


def lines_between(db: sqlite3.Connection, room: int, first: int, last: int) -> list[bytes]:
    """The payloads of a room from one number to another, as far as they are there."""
    lines: list[bytes] = []
    rows = db.execute(
        "SELECT first, payloads FROM batches WHERE room = ? AND last >= ? ORDER BY last", (room, first)
    )
    for start, joined in rows:
        if start > last:  # said here: SQLite would go on to the end of the room to find no more
            break
        lines += joined.split(b"\n")[max(first - start, 0) : last + 1 - start]
    return lines


def line_at(db: sqlite3.Connection, room: int, seq: int) -> bytes | None:
    """Return the payload of one entry, None when it is not there."""
    row = db.execute(
        "SELECT first, payloads FROM batches WHERE room = ? AND last >= ? ORDER BY last LIMIT 1", (room, seq)
    ).fetchone()
    if row is None or row[0] > seq:
        return None
    place = seq - row[0]
    lines: list[bytes] = row[1].split(b"\n", place + 1)
    return lines[place] if place < len(lines) else None


class SearchIndex:
    """The writer's side of it: what is not in the index yet, and putting it there.

    What it remembers is true as long as all that it and the writer do succeeds; else it has to `doubt`.
    """

    def __init__(self) -> None:
        self.backlog = 0
        """How many entries are not in it, about."""
        self._waiting: dict[int, int] | None = None  # bytes by room
        self._ready: dict[int, None] = {}  # those with enough for a chunk
        self._merges = True

    def doubt(self) -> None:
        """The file has to be asked again."""
        self._waiting = None
        self._merges = True

    def grown(self, room: int, payloads: list[bytes]) -> None:
        """So much was committed."""
        self.backlog += len(payloads)
        if self._waiting is not None:
            self._wait(room, self._waiting.get(room, 0) + sum(map(len, payloads)))

    def step(self, db: sqlite3.Connection) -> bool:
        """Put some of what waits into the index, inside a transaction; whether there is more."""
        if self._waiting is None:
            self._ask(db)
        left = STEP_BYTES
        while self._ready and left > 0:
            room = next(iter(self._ready))
            left -= self._index(db, room, left)
        return bool(self._ready)

    def merge(self, db: sqlite3.Connection) -> bool:
        """Do some of what FTS5 would do by itself, forty milliseconds of it at a time: what each transaction
        has added becomes a part of what was there. False when nothing was left to do."""
        if not self._merges:
            return False
        before = db.total_changes
        db.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (MERGE_PAGES,))
        self._merges = db.total_changes - before > 1  # as its manual has it
        return self._merges

    def forget(self, db: sqlite3.Connection, chunk: int, room: int, first: int, last: int) -> int:
        """Take a chunk out of the index, while its entries are there; how many bytes they have."""
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
        self._ready.pop(room, None)  # to the end: the others come first
        if size >= CHUNK_BYTES_MIN:
            self._ready[room] = None

    def _index(self, db: sqlite3.Connection, room: int, left: int) -> int:
        """Put some of a room's entries into the index; how many bytes were looked at for it."""
        assert self._waiting is not None, "the file was asked"
        (after,) = db.execute("SELECT max(indexed, first - 1) FROM rooms WHERE id = ?", (room,)).fetchone()
        lines, whole = _next_lines(db, room, after, left)
        looked = sum(map(len, lines))
        done = after
        for chunk in _chunks(lines):
            texts = read_texts([chunk[0], chunk[-1]])
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
        # What was not read is only known about, and that may be too little: it is looked at once more.
        self._wait(room, rest if whole else max(self._waiting[room] - looked + rest, CHUNK_BYTES_MIN))
        return looked


def _next_lines(db: sqlite3.Connection, room: int, after: int, bytes_max: int) -> tuple[list[bytes], bool]:
    """A room's payloads above a number, up to so many bytes or what makes one chunk; whether that is all."""
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
    """Cut what waits into chunks; what is too little for one is left."""
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
