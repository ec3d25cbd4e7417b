"""A search finds what a full scan finds, whatever is indexed or pruned meanwhile."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journal.test_memory import draft, numbered
from tests.journal.test_search import texts
from trio_chat.journal import memory, search, sqlite_index, sqlite_retention, sqlite_search
from trio_chat.journal.fold import fold_text
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.search import SearchBounds
from trio_chat.journal.sqlite import SqliteStore, open_sqlite
from trio_chat.journal.store import Draft, Position, RetentionRule, Store
from trio_chat.wire.codec import decode_entry

ROOMS = ("lobby", "attic")


@contextmanager
def everything_small() -> Iterator[None]:
    """Use chunks of a few entries, steps of a few chunks, and slices of a few segments."""
    small = SearchBounds(3, 10**9)
    with ExitStack() as stack:
        for module, name, value in (
            (sqlite_index, "CHUNK_BYTES_MIN", 200),
            (sqlite_index, "CHUNK_BYTES_MAX", 400),
            (sqlite_index, "STEP_BYTES", 500),
            (sqlite_index, "MERGE_PAGES", 1),
            (sqlite_retention, "EVERY_MS", 0),
            (sqlite_retention, "ROOMS_AT_ONCE", 1),
            (sqlite_retention, "BYTES_AT_ONCE", 300),
            (sqlite_retention, "BATCHES_AT_ONCE", 2),
            (sqlite_retention, "REFS_AT_ONCE", 2),
            (sqlite_retention, "STALE_REFS_MIN", 2),
            (sqlite_search, "SEGMENT_BYTES", 200),
            (sqlite_search, "SLICE", small),
            (memory, "SLICE", small),
            (memory, "SEGMENT_ENTRIES", 2),
            (memory, "TIDY_EVERY_MS", 0),
            (memory, "EVICTED_AT_ONCE", 2),
            (memory, "ROOMS_AT_ONCE", 1),
            (search, "PAGE", SearchBounds(7, 10**9)),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield


class SearchModel:
    """All entries ever committed, in order, beside the store that may have removed some of them."""

    def __init__(self, directory: Path | None, keep: RetentionRule) -> None:
        self.directory = directory
        self.keep = keep
        self.now_ms = 1_000
        self.store: Store
        self.said: dict[str, list[tuple[Position, str]]] = {room: [] for room in ROOMS}
        self.refs: dict[tuple[str, str], int] = {}
        self.firsts = dict.fromkeys(ROOMS, 1)

    async def begin(self) -> None:
        if self.directory is None:
            self.store = MemoryStore(keep=self.keep, random_bytes=numbered())
        else:
            self.store = await open_sqlite(self.directory / "journal.db", keep=self.keep)
        for room in ROOMS:
            await self.store.open(room, room.title())

    async def reopen(self) -> None:
        if self.directory is not None:
            await self.store.aclose()
            await self.begin()

    async def later(self, ms: int) -> None:
        self.now_ms += ms

    async def commit(self, drafts: list[Draft]) -> None:
        for each, outcome in zip(drafts, await self.store.commit(drafts, self.now_ms), strict=True):
            said = self.said[each.room]
            if each.ref:
                known = self.refs.get((each.room, each.ref), 0)
                if outcome.payload is None:
                    assert outcome.seq == known
                    continue
                assert known < self.firsts[each.room], "a ref is known as long as its entry is kept"
                self.refs[each.room, each.ref] = outcome.seq
            assert outcome.seq == len(said) + 1, "numbers continue without a gap, whatever was removed"
            said.append((Position(self.now_ms, each.room, outcome.seq), each.text))
        if self.directory is None:
            await self.look()  # the journal in memory evicts entries at once

    async def tidy(self, steps: int) -> None:
        for _ in range(steps):
            if not await self.store.tidy(self.now_ms):
                break
        await self.look()

    async def tidy_all(self) -> None:
        for _ in range(2):  # the first pass may be running, and already past a room
            while await self.store.tidy(self.now_ms):
                pass
        await self.look()
        for room, said in self.said.items():
            oldest = len(said) + 1 - (self.keep.entries or len(said))
            recent = [place.seq for place, _ in said if place.at >= self.now_ms - self.keep.age_ms]
            if self.keep.age_ms:
                oldest = max(oldest, min(recent, default=len(said) + 1))
            assert self.firsts[room] == self.store.first(room) == max(oldest, 1)

    async def look(self) -> None:
        """Check that all entries from `first` on are kept, and that `first` never decreases."""
        for room, said in self.said.items():
            page = await self.store.read(room, 0, 2**53, entries_max=10**6, bytes_max=10**9)
            assert page.first >= self.firsts[room] and page.last == len(said)
            assert [decode_entry(each).text for each in page.payloads] == [
                text for _, text in said[page.first - 1 :]
            ]
            self.firsts[room] = page.first

    async def search(
        self, text: str, rooms: tuple[str, ...], limit: int, unseen: int, before_ms: int | None
    ) -> None:
        """Check that all pages together have the hits of a full scan."""
        heads = {room: len(self.said[room]) - unseen for room in rooms}
        below = start = None if before_ms is None else Position(before_ms - 1, "", 0)
        expected = sorted(
            (
                (place, said)
                for room, head in heads.items()
                for place, said in self.said[room]
                if self.firsts[room] <= place.seq <= head and fold_text(text) in fold_text(said)
                if start is None or place.order > start.order
            ),
            key=lambda each: each[0].order,
        )
        found = []
        while True:
            matches = await self.store.search({**heads, "nowhere": 9}, text, below, limit)
            assert len(matches.hits) <= limit
            found += [(hit.position, decode_entry(hit.payload).text) for hit in matches.hits]
            if matches.rest is None:
                break
            assert below is None or matches.rest.order > below.order, "it makes progress"
            below = matches.rest
        assert found == expected


_room = st.sampled_from(ROOMS)
_draft = st.builds(draft, text=texts, room=_room, ref=st.just(""))
_again = st.builds(lambda ref, room: draft(ref, room, ref=ref), st.sampled_from("abc"), _room)
_commit = st.tuples(st.just("commit"), st.lists(_draft | _again, min_size=1, max_size=8))
_search = st.tuples(
    st.just("search"),
    texts | st.sampled_from(["a", "ss", "i", "aaa", "\n"]),
    st.sampled_from([("lobby",), ROOMS]),
    st.integers(1, 4),
    st.integers(0, 2),
    st.none() | st.integers(990, 1_030),
)
_tidy = st.tuples(st.just("tidy"), st.integers(1, 5))
STEPS = st.lists(
    st.one_of(
        _commit,
        _commit,
        _search,
        _search,
        _tidy,
        st.tuples(st.just("later"), st.integers(1, 9)),
        st.tuples(st.just("tidy_all")),
        st.tuples(st.just("reopen")),
    ),
    max_size=30,
)
KEEP = st.builds(RetentionRule, st.sampled_from([0, 0, 8]), st.sampled_from([0, 0, 6]))


async def _perform(directory: Path | None, keep: RetentionRule, steps: list[tuple]) -> SearchModel:  # type: ignore[type-arg]  # of several kinds
    model = SearchModel(directory, keep)
    await model.begin()
    for what, *arguments in steps:
        await getattr(model, what)(*arguments)
    for text in ("a", "ss", "aaa"):
        await model.search(text, ROOMS, 3, 0, None)
    return model


@settings(max_examples=100)
@given(KEEP, STEPS)
async def test_a_search_in_memory_finds_all_hits(keep: RetentionRule, steps: list[tuple]) -> None:  # type: ignore[type-arg]  # of several kinds
    with everything_small():
        await _perform(None, keep, steps)


@settings(max_examples=50)  # each example opens files, and disks may be slow
@given(KEEP, STEPS)
async def test_a_search_in_a_file_finds_all_hits(keep: RetentionRule, steps: list[tuple]) -> None:  # type: ignore[type-arg]  # of several kinds
    with tempfile.TemporaryDirectory() as directory, everything_small():
        model = await _perform(Path(directory), keep, steps)
        await model.tidy_all()
        assert isinstance(model.store, SqliteStore)
        assert_index_matches_chunks(model.store)
        await model.store.aclose()


def assert_index_matches_chunks(store: SqliteStore) -> None:
    """Check that the index has only the trigrams of its chunks, and that removed entries are deleted."""
    db = store._writer._db
    db.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab (main, words, row)")
    terms = dict(db.execute("SELECT term, doc FROM temp.terms"))
    expected: dict[str, int] = {}
    for room, first, last in db.execute("SELECT room, first, last FROM chunks").fetchall():
        lines = sqlite_index.lines_between(db, room, first, last)
        assert len(lines) == last + 1 - first
        text = sqlite_index.document(room, lines)
        for trigram in {text[start : start + 3] for start in range(len(text) - 2)}:
            expected[trigram] = expected.get(trigram, 0) + 1
    assert terms == expected
    for room, first, oldest, newest, covered in db.execute(
        "SELECT id, first, (SELECT min(last) FROM batches WHERE room = rooms.id), indexed,"
        " (SELECT max(last) FROM chunks WHERE room = rooms.id) FROM rooms"
    ).fetchall():
        oldest_chunk = db.execute(
            "SELECT min(first), min(last) FROM chunks WHERE room = ?", (room,)
        ).fetchone()
        assert oldest is None or oldest >= min(first, oldest_chunk[0] or first)
        assert oldest_chunk[1] is None or oldest_chunk[1] >= first
        assert covered is None or covered == newest
    db.execute("DROP TABLE temp.terms")
