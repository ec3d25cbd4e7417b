"""The journal in memory agrees with a plain list of entries in random runs."""

from dataclasses import dataclass, field
from sys import getsizeof

from hypothesis import given
from hypothesis import strategies as st

from tests.journal.test_memory import draft, numbered
from trio_chat.journal.fold import fold_text
from trio_chat.journal.memory import ENTRY_BYTES, FOLD_BYTES, REF_BYTES, ROOM_BYTES, MemoryStore
from trio_chat.journal.store import CommitResult, Draft
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Said


@dataclass
class Line:
    """One entry of the model."""

    seq: int
    draft: Draft
    payload: bytes

    @property
    def size(self) -> int:
        size = len(self.payload) + ENTRY_BYTES
        key, text = self.draft.key, self.draft.text
        if key:
            size += REF_BYTES + (0 if key.isascii() else getsizeof(key) - len(key))
        if not text.isascii():
            size += FOLD_BYTES + (0 if fold_text(text) == text else getsizeof(fold_text(text)))
        return size


@dataclass
class RoomModel:
    """One room of the model."""

    shown: str
    epoch: str
    lines: list[Line] = field(default_factory=list)
    head: int = 0
    at: int = 0
    users: int = 0

    @property
    def first(self) -> int:
        return self.head - len(self.lines) + 1

    def commit(self, draft: Draft, now_ms: int) -> CommitResult:
        """Return the result of a draft; it is kept unless its key is known."""
        known = [line for line in self.lines if draft.key and line.draft.key == draft.key]
        if known:
            same = known[0].draft.text == draft.text
            return CommitResult(known[0].seq if same else 0, None)
        self.head += 1
        self.at = max(self.at, now_ms)
        payload = encode(Said(self.shown, self.head, self.at, draft.by, draft.text))
        self.lines.append(Line(self.head, draft, payload))
        return CommitResult(self.head, payload)


class StoreModel:
    """A simple and slow model of the journal; each step is also made in the store, and the results are
    compared."""

    ROOM_ENTRIES, ROOM_BYTES_MAX, BYTES = 5, 1_500, 3 * ROOM_BYTES + 2_200

    def __init__(self) -> None:
        self.store = MemoryStore(
            room_entries_max=self.ROOM_ENTRIES,
            room_bytes_max=self.ROOM_BYTES_MAX,
            bytes_max=self.BYTES,
            random_bytes=numbered(),
        )
        self.books: dict[str, RoomModel] = {}  # the quietest first
        self.epochs: set[str] = set()

    async def open(self, room: str) -> None:
        known = await self.store.open(room, room.title())
        book = self.books.get(room)
        if book is None:
            assert known.epoch not in self.epochs, "an epoch never comes back"
            self.epochs.add(known.epoch)
            book = self.books[room] = RoomModel(room.title(), known.epoch)
        book.users += 1
        assert (known.shown, known.epoch) == (book.shown, book.epoch)
        assert (known.first, known.head) == (book.first, book.head)

    def close(self, room: str) -> None:
        if room in self.books and self.books[room].users:
            self.store.close(room)
            self.books[room].users -= 1
            self.tidy()

    async def commit(self, drafts: list[Draft], now_ms: int) -> None:
        drafts = [each for each in drafts if each.room in self.books and self.books[each.room].users]
        outcomes = await self.store.commit(drafts, now_ms)
        for each, outcome in zip(drafts, outcomes, strict=True):
            assert outcome == self.books[each.room].commit(each, now_ms)
        for room in dict.fromkeys(each.room for each in drafts):
            self.books[room] = book = self.books.pop(room)
            while len(book.lines) > self.ROOM_ENTRIES or self.size(book) > self.ROOM_BYTES_MAX:
                del book.lines[0]
        while self.total() > self.BYTES and any(book.lines for book in self.books.values()):
            del next(book.lines for book in self.books.values() if book.lines)[0]
            self.tidy()

    @staticmethod
    def size(book: RoomModel) -> int:
        return sum(line.size for line in book.lines)

    def total(self) -> int:
        return sum(ROOM_BYTES + self.size(book) for book in self.books.values() if book.lines)

    def tidy(self) -> None:
        for room, book in list(self.books.items()):
            if not book.users and not book.lines:
                del self.books[room]

    async def read(self, room: str, after: int, through: int, entries_max: int, bytes_max: int) -> None:
        if room not in self.books:
            return
        found = await self.store.read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)
        book = self.books[room]
        assert found.first == max(after + 1, book.first) == max(after + 1, self.store.first(room))
        expected: list[bytes] = []
        for line in book.lines:
            if after < line.seq <= through and len(expected) < entries_max:
                bytes_max -= len(line.payload)
                if expected and bytes_max < 0:
                    break
                expected.append(line.payload)
        assert found.payloads == expected


_room = st.sampled_from(["lobby", "attic", "porch"])
_draft = st.builds(
    draft,
    text=st.sampled_from(["a", "b", "x" * 300, "é", "É", "\U0001f44b" * 30 + "É"]),
    room=_room,
    ref=st.sampled_from(["", "", "r1", "r2", "\U0001f44b"]),
    by=st.sampled_from(["ada", "bob"]),
)
_seq = st.integers(0, 12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), _room),
        st.tuples(st.just("close"), _room),
        st.tuples(st.just("commit"), st.lists(_draft, max_size=6), st.integers(0, 3)),
        st.tuples(st.just("commit"), st.lists(_draft, max_size=6), st.integers(0, 3)),
        st.tuples(st.just("read"), _room, _seq, _seq, st.integers(1, 6), st.integers(1, 800)),
    ),
    max_size=40,
)


@given(STEPS)
async def test_the_store_agrees_with_a_plain_list_of_entries(steps: list[tuple]) -> None:  # type: ignore[type-arg]  # of four kinds
    model = StoreModel()
    for room in ("lobby", "attic", "porch"):
        await model.open(room)
    for what, *arguments in steps:
        made = getattr(model, what)(*arguments)
        if made is not None:
            await made
        assert model.store._bytes == model.total()
        assert list(model.store._filled) == [room for room, book in model.books.items() if book.lines]
        for room in model.books:
            await model.read(room, 0, 2**53, 1_000, 10**9)
    assert set(model.store._rooms) == set(model.books)
