"""Journals for the stories of their owner, and a look inside."""

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
    """What a member says in a room; its key is made of the name, as a server makes it of a digest."""
    return Draft(room.casefold(), room, by, text, ref, ref and f"{by} {ref}", is_topic=topic)


def written(path: Path, *batches: Sequence[Draft], at_ms: int = TIME, step_ms: int = 1_000) -> Path:
    """A journal that a server has written, a batch each second, and left in good order."""

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
    """A lobby in which four things were said, and an attic with one."""
    return written(
        path,
        [say("hello", ref="r1"), say("dusty", "Attic", ref="r1"), say("a topic", topic=True)],
        [say("hi", by="bob", ref="r1")],
        [say("bye", ref="r2")],
    )


def text_of(path: Path, **options: object) -> bytes:
    """The whole export of a journal."""
    return b"".join(export(path, **options))  # type: ignore[arg-type]  # as the story gives them


def run_sql(path: Path, *statements: str) -> None:
    """Do by hand to a journal what no server would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def tidied(path: Path) -> Path:
    """The same after a server has put into the index what was said."""

    async def tidy() -> None:
        store = await open_sqlite(path)
        try:
            while await store.tidy(TIME):
                pass
        finally:
            await store.aclose()

    trio.run(tidy)
    return path
