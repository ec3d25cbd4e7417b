"""The journal's file: its schema and version, how it is opened, and which of SQLite's errors are whose fault.

    about    which run of a server wrote it last, and how that ended (see `sqlite_marker.py`); the server id
    rooms    a row each: its name, its epoch, the numbers it has given
    batches  what was said: a row for what one commit kept of one room, the payloads a line each
    refs     by author and `ref`: the number it stands for
    fresh    the newest refs, a row a commit, until they are put in their places (see `sqlite_writer.py`)
    chunks   which entries of a room are one document of the index
    words    the index (see `sqlite_index.py`)

One row a batch, because a million entries a second can be read that way, and a fraction of that when each is
a row of its own. Payloads are JSON, in which a newline is always escaped: so they are joined by newlines and
taken apart by the fastest thing that Python has. The keys of refs begin with their authors', and an author's
own refs mostly grow: so those of a few thousand entries fall on a few hundred pages, as hashes would not.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from trio_chat.errors import CannotStart, ChatError, StoreError
from trio_chat.journal.start_errors import start_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "BUSY_MS",
    "VERSION",
    "OpenRoom",
    "connect",
    "prepare",
    "refuse_others",
    "server_id_of",
    "starting",
    "storing",
    "transaction",
    "version_of",
]

APPLICATION_ID = 0x74436861  # "tCha": what `file` and we know it by
VERSION = 3
FIRST_SCHEMA = """
CREATE TABLE about (
    run TEXT NOT NULL,
    boot TEXT NOT NULL,
    durability TEXT NOT NULL,
    stopped INTEGER NOT NULL
);
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    shown TEXT NOT NULL,
    epoch TEXT NOT NULL,
    first INTEGER NOT NULL,
    head INTEGER NOT NULL,
    at INTEGER NOT NULL,
    topic TEXT NOT NULL
);
CREATE TABLE batches (
    room INTEGER NOT NULL,
    last INTEGER NOT NULL,
    first INTEGER NOT NULL,
    payloads BLOB NOT NULL,
    PRIMARY KEY (room, last)
);
CREATE TABLE refs (
    room INTEGER NOT NULL,
    key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (room, key)
) WITHOUT ROWID;
CREATE TABLE fresh (
    id INTEGER PRIMARY KEY,
    refs BLOB NOT NULL
);
INSERT INTO about VALUES ('', '', '', 1);
"""
MIGRATIONS = {
    1: """
ALTER TABLE rooms ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN refs_from INTEGER NOT NULL DEFAULT 1;
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    room INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    began INTEGER NOT NULL,
    ended INTEGER NOT NULL
);
CREATE INDEX chunks_in_order ON chunks (room, began, first);
CREATE VIRTUAL TABLE words USING fts5 (
    text, tokenize = 'trigram case_sensitive 1', content = '', columnsize = 0, detail = none
);
INSERT INTO words (words, rank) VALUES ('automerge', 0);
INSERT INTO words (words, rank) VALUES ('crisismerge', 1000)
""",
    2: "ALTER TABLE about ADD COLUMN server_id TEXT NOT NULL DEFAULT ''",
}
"""By version: what makes a file of it one of the next; a new one goes through all of them. Of a room
`indexed` is the last entry that is in the index, and none before `refs_from` has a ref. `server_id` is empty
until a server has opened the file."""

BUSY_MS = 2_000  # how long somebody else's tool on the file may hold it
# The log is written back when it is so long (16 MiB): a page that many batches touched is written once.
# With SQLite's own 1,000 it took half as long again.
WAL_PAGES = 4_000
CACHE_KIB = 16_384  # the refs that are being added to; with SQLite's own 2 MiB they are read again and again

# What a disk, another process or a damaged file may do to us. All else that SQLite says is a bug of ours.
_NOT_OURS = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}


class OpenRoom(Struct, eq=False):
    """A room in use: what the file says of it. Without an `id` it is not in the file: nothing was said.

    It may say more by now, unless the writer is `sure`.
    """

    key: str
    shown: str
    epoch: str
    first: int = 1
    head: int = 0
    at: int = 0
    topic: str = ""
    id: int = 0
    users: int = 0
    sure: bool = False


def is_not_ours(error: sqlite3.Error) -> bool:
    """Whether an error is the disk's or the file's. Python's own complaints have no code: those are bugs."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_OURS


@contextmanager
def storing() -> Iterator[None]:
    """What the disk and the file do wrong comes out as `StoreError`; bugs stay what they are."""
    try:
        yield
    except sqlite3.Error as error:
        if not is_not_ours(error):
            raise
        raise StoreError(str(error)) from error
    except OSError as error:
        if isinstance(error, ChatError):  # of standard output, to which a copy is written
            raise
        raise StoreError(error.strerror or str(error)) from error


def refuse_others(path: Path, error: StoreError) -> None:
    """Raise `CannotStart` when what went wrong is that the file is of another kind."""
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode & 0xFF == sqlite3.SQLITE_NOTADB:
        raise CannotStart(f"{path} is no journal of trio-chat") from error


@contextmanager
def starting(path: Path) -> Iterator[None]:
    """The same for a server that starts: it cannot."""
    try:
        with storing():
            yield
    except StoreError as error:
        refuse_others(path, error)
        raise start_error(path, error) from error


def connect(path: Path, *, frozen: bool = False, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection to the file, which has to be there; transactions are begun and ended explicitly.

    `path` is absolute: SQLite takes some relative ones, such as `:memory:`, for something else. A `frozen`
    file is read as it is, without its log and without locks, for as long as nothing writes to it. A
    `read_only` connection does not write the log back when it is closed.
    """
    mode = "immutable=1" if frozen else "mode=ro" if read_only else "mode=rw"
    return sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?{mode}",
        uri=True,
        timeout=BUSY_MS / 1_000,
        isolation_level=None,
        check_same_thread=False,  # one thread at a time, and whoever has it sees to that
    )


def version_of(db: sqlite3.Connection, path: Path) -> int:
    """The version of the journal in the file, 0 when it is empty. Changes nothing.

    Raises `CannotStart` when it is something else, or newer.
    """
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if not version and not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return 0
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID or version < 1:
        raise CannotStart(f"{path} is no journal of trio-chat")
    if version > VERSION:
        raise CannotStart(
            f"{path} is of a newer trio-chat: its version is {version}, and this one knows up to {VERSION}"
        )
    return version


def server_id_of(db: sqlite3.Connection) -> str:
    """Return the server id in the file, empty where there is none yet. Changes nothing."""
    columns = db.execute("SELECT name FROM pragma_table_info('about')").fetchall()
    if ("server_id",) not in columns:  # a file of an older version
        return ""
    server_id: str = db.execute("SELECT server_id FROM about").fetchone()[0]
    return server_id


def prepare(db: sqlite3.Connection, path: Path, durability: str) -> None:
    """Make the file a journal of this version, if it is empty or an older one, and set the connection up.

    Raises `CannotStart`, as `version_of` does, before anything in the file is touched.
    """
    version = version_of(db, path)
    if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise CannotStart(f"cannot keep a journal in {path}: that file system shares no memory")
    db.execute(f"PRAGMA synchronous = {durability}")
    db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    while version < VERSION:
        with transaction(db):
            for statement in (MIGRATIONS[version] if version else FIRST_SCHEMA).split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            version += 1
            db.execute(f"PRAGMA user_version = {version}")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction: committed at the end of the block, undone when it raises."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite has ended it by itself where the disk is full
            db.execute("ROLLBACK")
        raise
