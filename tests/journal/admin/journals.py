"""Helpers that write journals for the tests of the owner's tools, and read them."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import trio

from trio_chat.journal.admin.export import export
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.store import Draft

TIME = 1_700_000_000_000  # 2023-11-14 22:13 UTC


def say(text: str, room: str = "Lobby", *, by: str = "ada", ref: str = "", topic: bool = False) -> Draft:
    """Return a draft; its key is made of the author's name, where a server uses a digest."""
    return Draft(room.casefold(), room, by, text, ref, ref and f"{by} {ref}", is_topic=topic)


def written(path: Path, *batches: Sequence[Draft], at_ms: int = TIME, step_ms: int = 1_000) -> Path:
    """Write a journal as a server does, a batch each second, and stop cleanly."""

    async def write() -> None:
        store = await open_sqlite(path)
        try:
            for number, drafts in enumerate(batches):
                for draft in drafts:
                    await store.open(draft.room, draft.shown)
                await store.commit(list(drafts), at_ms + number * step_ms)
        finally:
            await store.aclose()

    trio.run(write)
    return path


def small(path: Path) -> Path:
    """Write a journal with four entries in the lobby and one in the attic."""
    return written(
        path,
        [say("hello", ref="r1"), say("dusty", "Attic", ref="r1"), say("a topic", topic=True)],
        [say("hi", by="bob", ref="r1")],
        [say("bye", ref="r2")],
    )


def text_of(path: Path, **options: object) -> bytes:
    """Return the complete export of a journal."""
    return b"".join(export(path, **options))  # type: ignore[arg-type]  # as the test gives them


def run_sql(path: Path, *statements: str) -> None:
    """Change a journal directly, as no server would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def tidied(path: Path) -> Path:
    """Index all entries of a journal as a server does; return its path."""

    async def tidy() -> None:
        store = await open_sqlite(path)
        try:
            while await store.tidy(TIME):
                pass
        finally:
            await store.aclose()

    trio.run(tidy)
    return path
