"""The journal in a file agrees with a plain list of entries in random runs with stops and kills."""

import tempfile
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journal.test_memory import draft
from tests.journal.test_memory_model import RoomModel
from tests.journal.test_sqlite import NAME, kill
from trio_chat.journal import sqlite_writer
from trio_chat.journal.sqlite import SqliteStore, open_sqlite
from trio_chat.journal.store import Draft

ROOMS = ("lobby", "attic")


class StoreModel:
    """A journal as one would write it who has all the time in the world; each step is made in the store
    too, and compared."""

    store: SqliteStore

    def __init__(self, path: Path) -> None:
        self.path = path
        self.boots = 0
        self.books: dict[str, RoomModel] = {}

    async def begin(self) -> None:
        self.store = await open_sqlite(self.path, boot_id=lambda: str(self.boots))
        for room in ROOMS:
            known = await self.store.open(room, room.title())
            book = self.books.setdefault(room, RoomModel(room.title(), known.epoch))
            if not book.lines:
                book.epoch = known.epoch  # no client has a cursor in it
            assert (known.shown, known.epoch) == (book.shown, book.epoch)
            assert (known.first, known.head) == (1, book.head)

    async def stop(self, boots: int) -> None:
        await self.store.aclose()
        self.boots += boots
        await self.begin()

    async def kill(self, boots: int) -> None:
        kill(self.store)
        if boots:
            self.boots += boots
            self.store = await open_sqlite(self.path, boot_id=lambda: str(self.boots))
            for room, book in self.books.items():
                known = await self.store.open(room, room.title())
                assert known.epoch != book.epoch, "an epoch ends with the machine"
                book.epoch = known.epoch
        else:
            await self.begin()

    async def commit(self, drafts: list[Draft], now_ms: int) -> None:
        outcomes = await self.store.commit(drafts, now_ms)
        for each, outcome in zip(drafts, outcomes, strict=True):
            assert outcome == self.books[each.room].commit(each, now_ms)

    async def read(self, room: str, after: int, through: int, entries_max: int, bytes_max: int) -> None:
        found = await self.store.read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)
        assert found.first == after + 1
        expected: list[bytes] = []
        for line in self.books[room].lines:
            if after < line.seq <= through and len(expected) < entries_max:
                bytes_max -= len(line.payload)
                if expected and bytes_max < 0:
                    break
                expected.append(line.payload)
        assert found.payloads == expected


_room = st.sampled_from(ROOMS)
_draft = st.builds(
    draft,
    text=st.sampled_from(["a", "b", "two\nlines", "x" * 300]),
    room=_room,
    ref=st.sampled_from(["", "", "r1", "r2", "r3"]),
    by=st.sampled_from(["ada", "bob"]),
)
_commit = st.tuples(st.just("commit"), st.lists(_draft, max_size=6), st.integers(0, 3))
_seq = st.integers(0, 12)
_read = st.tuples(st.just("read"), _room, _seq, _seq, st.integers(1, 6), st.integers(1, 800))
_end = st.tuples(st.sampled_from(["stop", "kill"]), st.integers(0, 1))
STEPS = st.lists(st.one_of(_commit, _commit, _read, _read, _end), max_size=25)


@settings(max_examples=30)  # each opens files, and a disk is as slow as it likes
@given(STEPS)
async def test_the_file_does_what_a_plain_list_of_entries_says(steps: list[tuple]) -> None:  # type: ignore[type-arg]  # of four kinds
    # The refs of a few batches, not of thousands, before they are put in their places.
    with tempfile.TemporaryDirectory() as directory, patch.object(sqlite_writer, "FRESH_MAX", 4):
        model = StoreModel(Path(directory, NAME))
        await model.begin()
        for what, *arguments in steps:
            await getattr(model, what)(*arguments)
            for room in ROOMS:
                await model.read(room, 0, 2**53, 1_000, 10**9)
        await model.store.aclose()
