"""Check the search index of a room against its entries.

The check covers all chunks of a room and their times. For the texts it samples: it asks the index for the
room's mark and for a few trigrams of each chunk. To ask for every trigram would take minutes instead of
seconds, and damage rarely affects a single word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_chat.journal.search import decode_texts
from trio_chat.journal.sqlite_index import document_in_index, lines_between, quoted, room_mark

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

__all__ = ["check_index", "has_index"]

TRIGRAMS_SAMPLED = 8  # trigrams per chunk


def has_index(db: sqlite3.Connection) -> bool:
    """Return whether the file has a search index; files of version 1 had none."""
    return bool(db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'words'").fetchone()[0])


def check_index(
    db: sqlite3.Connection, room: int, first: int, head: int, *, ask: bool = True
) -> Iterator[str]:
    """Yield a line for each problem in the index of a room that keeps `first` to `head`.

    The texts are checked only with `ask`.
    """
    (indexed,) = db.execute("SELECT indexed FROM rooms WHERE id = ?", (room,)).fetchone()
    if not 0 <= indexed <= head:
        yield f"its index ends at entry {indexed}, which does not exist"
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
            yield f"entries {start} to {last} are in the index, but some of them are missing"
            continue
        try:
            texts = decode_texts([lines[0], lines[-1]])
            text = document_in_index(db, id, room, lines)
        except ValueError:
            yield f"entries {start} to {last} are in the index, but cannot be read"
            continue
        if (began, ended) != (texts[0].at, texts[1].at):
            yield f"the index has a wrong time for entries {start} to {last}"
        if ask and not _found(db, id, text):
            yield f"a search misses text of entries {start} to {last}"
    if due <= indexed:
        yield f"entries {due} to {indexed} are not in the index"
    query = "SELECT rowid FROM words WHERE words MATCH ?"
    marked = {id for (id,) in db.execute(query, (quoted(room_mark(room)),))}
    for id in sorted(marked - {chunk[0] for chunk in chunks}):
        yield f"the index has a document {id} without entries"


def _found(db: sqlite3.Connection, id: int, text: str) -> bool:
    step = max(1, (len(text) - 3) // (TRIGRAMS_SAMPLED - 1))
    trigrams = {text[start : start + 3] for start in range(0, len(text) - 2, step)}
    asked = " ".join(map(quoted, sorted(trigrams)))
    row = db.execute("SELECT rowid FROM words WHERE words MATCH ? AND rowid = ?", (asked, id)).fetchone()
    return row is not None
