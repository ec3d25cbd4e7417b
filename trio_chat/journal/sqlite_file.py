"""The journal's file: its schema and version, opening it, and the origin of SQLite's errors.

    about    the last run of a server, and how it ended (see `sqlite_marker.py`); the server id
    rooms    one row per room: its name, its epoch, its range of numbers
    batches  the entries: one row per commit and room, with the payloads as lines
    refs     the number of each entry by author and `ref`
    fresh    the newest refs, one row per commit, until they are moved to `refs` (see `sqlite_writer.py`)
    chunks   which entries of a room are one document of the index
    words    the index (see `sqlite_index.py`)

There is one row per batch because that allows reading a million entries a second; one row per entry allows
only a fraction. Payloads are JSON, in which a newline is always escaped. So they are joined by newlines, and
`bytes.split` separates them fast. The keys of refs begin with the author, and an author's refs mostly
increase. So the refs of a few thousand entries are on a few hundred pages, where hashes would touch as many
pages as entries.
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
    "as_start_error",
    "as_store_error",
    "connect",
    "prepare",
    "raise_if_not_journal",
    "server_id_of",
    "transaction",
    "version_of",
]

APPLICATION_ID = 0x74436861  # "tCha": marks the file for `file` and for us
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
"""The statements that migrate each version to the next; a new file runs all of them. In a room `indexed` is
the last entry that is in the index, and no entry before `refs_from` has a ref. `server_id` is empty until a
server has opened the file."""

BUSY_MS = 2_000  # how long to wait while another program has the file locked
# The log is written back at this length (16 MiB), so a page changed by many batches is written once. With
# SQLite's own limit of 1,000 pages a commit takes half as long again.
WAL_PAGES = 4_000
CACHE_KIB = 16_384  # for the pages of new refs; with SQLite's own 2 MiB they are read again and again

# Errors that a disk, another process or a damaged file may cause. All other errors of SQLite are our bugs.
_EXTERNAL_CODES = {
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
    """A room in use, as the file describes it. A room without an `id` is not in the file: it has no entries.

    The file may have newer values, unless `is_current` is true.
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
    is_current: bool = False


def is_external(error: sqlite3.Error) -> bool:
    """Return whether the disk or the file caused an error. Errors of Python itself have no code: bugs."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _EXTERNAL_CODES


@contextmanager
def as_store_error() -> Iterator[None]:
    """Raise errors of the disk and the file as `StoreError`; other errors are bugs, and pass unchanged."""
    try:
        yield
    except sqlite3.Error as error:
        if not is_external(error):
            raise
        raise StoreError(str(error)) from error
    except OSError as error:
        if isinstance(error, ChatError):  # from writing a copy to standard output
            raise
        raise StoreError(error.strerror or str(error)) from error


def raise_if_not_journal(path: Path, error: StoreError) -> None:
    """Raise `CannotStart` if the error says that the file is not an SQLite database."""
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode & 0xFF == sqlite3.SQLITE_NOTADB:
        raise CannotStart(f"cannot use {path}: it is not a trio-chat journal") from error


@contextmanager
def as_start_error(path: Path) -> Iterator[None]:
    """Raise errors of the disk and the file as `CannotStart`, for a server that starts."""
    try:
        with as_store_error():
            yield
    except StoreError as error:
        raise_if_not_journal(path, error)
        raise start_error(path, error) from error


def connect(path: Path, *, frozen: bool = False, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection to an existing file; transactions are begun and ended explicitly.

    `path` is absolute: SQLite gives some relative paths, such as `:memory:`, another meaning. A `frozen` file
    is read without its log and without locks; this is safe only while nothing writes to it. A `read_only`
    connection does not write the log back when it is closed.
    """
    mode = "immutable=1" if frozen else "mode=ro" if read_only else "mode=rw"
    return sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?{mode}",
        uri=True,
        timeout=BUSY_MS / 1_000,
        isolation_level=None,
        check_same_thread=False,  # callers ensure that one thread at a time uses it
    )


def version_of(db: sqlite3.Connection, path: Path) -> int:
    """Return the version of the journal in the file, 0 if the file is empty. Changes nothing.

    Raises:
        CannotStart: The file is not a journal, or has a newer version.
    """
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if not version and not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return 0
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID or version < 1:
        raise CannotStart(f"cannot use {path}: it is not a trio-chat journal")
    if version > VERSION:
        raise CannotStart(
            f"cannot use {path}: its journal version is {version}, this trio-chat reads up to {VERSION};"
            " install a newer trio-chat"
        )
    return version


def server_id_of(db: sqlite3.Connection) -> str:
    """Return the server id in the file, empty if it has none yet. Changes nothing."""
    columns = db.execute("SELECT name FROM pragma_table_info('about')").fetchall()
    if ("server_id",) not in columns:  # a file of an older version
        return ""
    server_id: str = db.execute("SELECT server_id FROM about").fetchone()[0]
    return server_id


def prepare(db: sqlite3.Connection, path: Path, durability: str) -> None:
    """Migrate an empty or older file to the current version, and configure the connection.

    Raises `CannotStart`, as `version_of` does, before it changes anything in the file.
    """
    version = version_of(db, path)
    if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise CannotStart(
            f"cannot keep a journal in {path}: the file system does not support shared memory;"
            " use a local file system"
        )
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
    """Run the block in a transaction: commit at its end, roll back if it raises."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # on a full disk SQLite has already rolled back
            db.execute("ROLLBACK")
        raise
