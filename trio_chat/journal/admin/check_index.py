"""Does a search find what is there? The index of a room, held against its entries.

Which stretches of a room are in the index, and of what times, is checked whole. That their words are too is
asked of the index for some of each stretch's: three characters here and there, and the room's own mark. To
ask for all would take minutes where this takes seconds, and what is lost is seldom one word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_chat.journal.search import read_texts
from trio_chat.journal.sqlite_index import document_in_index, lines_between, quoted, room_mark

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

__all__ = ["check_index", "has_index"]

ASKED = 8  # trigrams of a stretch


def has_index(db: sqlite3.Connection) -> bool:
    """Whether the file has one: those of the first version had none."""
    return bool(db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'words'").fetchone()[0])


def check_index(
    db: sqlite3.Connection, room: int, first: int, head: int, *, ask: bool = True
) -> Iterator[str]:
    """What is wrong with the index of a room, of which `first` to `head` are kept, a line each. Whether the
    words are in it is asked only with `ask`."""
    (indexed,) = db.execute("SELECT indexed FROM rooms WHERE id = ?", (room,)).fetchone()
    if not 0 <= indexed <= head:
        yield f"its index is said to reach to entry {indexed}, which never was"
        return
    chunks = db.execute(
        "SELECT id, first, last, began, ended FROM chunks WHERE room = ? ORDER BY first", (room,)
    ).fetchall()
    due = first
    for id, start, last, began, ended in chunks:
        if start > due:
            yield f"entries {due} to {start - 1} are not in the index"
        due = max(due, last + 1)
        lines = lines_between(db, room, start, last)
        if len(lines) != last + 1 - start:
            yield f"entries {start} to {last} are in the index, and not all of them are there"
            continue
        try:
            texts = read_texts([lines[0], lines[-1]])
            text = document_in_index(db, id, room, lines)
        except ValueError:
            yield f"entries {start} to {last}, which are in the index, cannot be read"
            continue
        if (began, ended) != (texts[0].at, texts[1].at):
            yield f"the index has another time for entries {start} to {last}"
        if ask and not _found(db, id, text):
            yield f"a search does not find all that entries {start} to {last} say"
    if due <= indexed:
        yield f"entries {due} to {indexed} are not in the index"
    query = "SELECT rowid FROM words WHERE words MATCH ?"
    marked = {id for (id,) in db.execute(query, (quoted(room_mark(room)),))}
    for id in sorted(marked - {chunk[0] for chunk in chunks}):
        yield f"the index has a document {id} of it that stands for no entries"


def _found(db: sqlite3.Connection, id: int, text: str) -> bool:
    step = max(1, (len(text) - 3) // (ASKED - 1))
    trigrams = {text[start : start + 3] for start in range(0, len(text) - 2, step)}
    asked = " ".join(map(quoted, sorted(trigrams)))
    row = db.execute("SELECT rowid FROM words WHERE words MATCH ? AND rowid = ?", (asked, id)).fetchone()
    return row is not None
