"""The seam between the server and whatever keeps the journal.

A store numbers entries and keeps them. It gets whole batches, one at a time: everything about queues,
pending refs and failures is the committer's (`server/commit.py`), the same for every store.

Entries leave a store as the payloads of the wire, encoded once, after their number is known: the fan-out,
the catch-up and `history` hand the same bytes on.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from msgspec import Struct

from trio_chat.wire.messages import Said, TopicChanged

__all__ = [
    "CommitResult",
    "Draft",
    "EntryPage",
    "Hit",
    "Matches",
    "Position",
    "RetentionRule",
    "RoomRecord",
    "RoomTimes",
    "Store",
    "is_recent",
    "never",
]


def never() -> bool:
    """Return false: the default of what may be asked again and again."""
    return False


def is_recent(then_ms: int | None, now_ms: int, interval_ms: int) -> bool:
    """Return whether `then_ms` is less than an interval ago; None is never.

    The future is not recent, since the server's time may have been years ahead."""
    return then_ms is not None and then_ms <= now_ms < then_ms + interval_ms


class Draft(Struct, frozen=True, gc=False):
    """An entry that has no number and no time yet.

    `room` is the room's key and `shown` its name as others see it. `key` is the author's digest and the
    `ref` in one string, and empty without a `ref`: it is looked up four times, and a string keeps its hash.
    `is_topic` tells a topic from a text.
    """

    room: str
    shown: str
    by: str
    text: str
    ref: str = ""
    key: str = ""
    action: bool = False
    is_topic: bool = False

    def entry(self, seq: int, at: int) -> Said | TopicChanged:
        """The entry this becomes under a number."""
        if self.is_topic:
            return TopicChanged(self.shown, seq, at, self.by, self.text)
        return Said(self.shown, seq, at, self.by, self.text, self.action)

    def same_as(self, entry: Said | TopicChanged) -> bool:
        """Whether that entry says the same: then it is the same command, sent again."""
        if isinstance(entry, TopicChanged):
            return self.is_topic and entry.text == self.text
        return not self.is_topic and entry.text == self.text and entry.action == self.action


class CommitResult(Struct, frozen=True, gc=False):
    """What became of a draft.

    `payload` is the entry as it is shown; None when the journal held it already under this `ref`: then
    `seq` is its number, or 0 when the same `ref` stands for something else.
    """

    seq: int
    payload: bytes | None


class RoomRecord(Struct, frozen=True, gc=False):
    """What the journal knows of a room: `first` is the oldest number kept, `head` the newest given.

    In a room without entries `first` is 1 and `head` 0; when all are gone `first` is `head` + 1.
    """

    shown: str
    epoch: str
    first: int
    head: int
    topic: str


class RoomTimes(Struct, frozen=True):
    """The `at` of the newest entry of all rooms, 0 without any, and the rooms whose newest is later than a
    limit: some of their names, as others see them, and how many there are."""

    newest_ms: int
    ahead: list[str]
    ahead_count: int


class EntryPage(Struct, frozen=True, gc=False):
    """Entries without a hole, the first numbered `first`. When there are none `first` is where one looked."""

    first: int
    payloads: list[bytes]

    @property
    def last(self) -> int:
        return self.first + len(self.payloads) - 1


class Position(NamedTuple):
    """Where an entry stands among those of all rooms, the newest first: by `at`, then by the room's key, then
    by its number. So that order is the same in every answer, and a place is where the next one goes on."""

    at: int
    room: str
    seq: int

    @property
    def order(self) -> tuple[int, str, int]:
        """What sorts places: the newest have the smallest."""
        return (-self.at, self.room, -self.seq)

    def latest(self, room: str) -> int:
        """The latest `at` that an entry of a room has which stands behind this place."""
        return self.at if room >= self.room else self.at - 1


class Hit(Struct, frozen=True, gc=False):
    """An entry that was found, as it is shown."""

    place: Position
    payload: bytes


class Matches(Struct, frozen=True):
    """Entries that were found, the newest first. When there may be more they stand behind `rest`."""

    hits: list[Hit]
    rest: Position | None


class RetentionRule(Struct, frozen=True):
    """How long what is said is kept: for so long, or so many entries of a room, whichever is less; 0 is no
    bound."""

    age_ms: int = 0
    entries: int = 0

    def __bool__(self) -> bool:
        return bool(self.age_ms or self.entries)

    @property
    def words(self) -> str:
        """What `welcome` says of it, of a journal that nothing else bounds."""
        words = []
        if self.age_ms:
            words.append(_duration(self.age_ms))
        if self.entries:
            words.append(f"at most {self.entries:,} {'entry' if self.entries == 1 else 'entries'} a room")
        return ", ".join(words) or "forever"


def _duration(ms: int) -> str:
    """In the largest unit that leaves nothing over."""
    count, unit = next(
        (ms // size, unit)
        for size, unit in ((86_400_000, "day"), (3_600_000, "hour"), (1_000, "second"), (1, "millisecond"))
        if ms % size == 0
    )
    return f"{count:,} {unit}" + ("" if count == 1 else "s")


class Store(Protocol):
    """Every method that waits may raise `StoreError`; then, or when cancelled, it may or may not have done
    its work, and the caller finds out by reading. Rooms are named by key."""

    kept: str
    """`memory`, `forever`, or a duration in words: what `welcome` says of what is said here."""

    server_id: str
    """The id of the server whose journal this is, the same in every run; empty for a journal in memory."""

    async def open(self, room: str, shown: str) -> RoomRecord:
        """Begin to use a room; one without entries takes the name `shown`. Always passes a checkpoint."""
        ...

    def close(self, room: str) -> None:
        """End using a room: whatever the store holds only for its users may go."""
        ...

    def first(self, room: str) -> int:
        """The oldest number kept in an open room, as far as is known without waiting."""
        ...

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        """Number and keep a batch, all of it or none; an outcome each, in order. The rooms are open.

        `now_ms` is the time of its entries, unless the clock went back: within a room it never does.
        Within a room, an equal `key` gives an equal number. Need not pass a checkpoint.
        """
        ...

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        """The oldest entries kept above `after`, up to the number `through`; at least one if there is one,
        else as many as both bounds allow. Always passes a checkpoint."""
        ...

    async def search(
        self,
        rooms: dict[str, int],
        text: str,
        below: Position | None,
        limit: int,
        *,
        is_abandoned: Callable[[], bool] = never,
    ) -> Matches:
        """The newest `limit` entries that hold a text (see `search.py`) in these rooms, each up to the number
        it is given with; of those behind the place `below`, when there is one.

        Looks at so many entries and no more: then `rest` says where to go on, however little was found. A
        room that is not known holds nothing. Always passes a checkpoint.

        Stops, with nothing, soon after `is_abandoned` begins to return true. Any thread may call that.
        """
        ...

    async def room_times(self, limit_ms: int, names_max: int) -> RoomTimes:
        """Return when the newest entry was said, and the rooms in which it is later than `limit_ms`, with the
        names of at most `names_max` of them, the latest first. Always passes a checkpoint."""
        ...

    tidies: bool
    """Whether there is ever anything to `tidy`."""

    @property
    def backlog(self) -> int:
        """How many entries wait to be tidied, about: each commit adds to it."""
        ...

    async def tidy(self, now_ms: int) -> bool:
        """One step of the work that is not done in a commit: what was said becomes quick to find, and what is
        kept no longer goes. It takes some milliseconds, and a commit waits for one step at most. Whether
        there is more to do now. Always passes a checkpoint.

        Ages count from `now_ms`: with one long ago nothing is too old. It may be less than at the last call.
        """
        ...

    async def probe(self) -> None:
        """Try whether the journal can be written, by a small write that changes nothing in it. A store that
        writes nowhere has nothing to try. Always passes a checkpoint."""
        ...

    async def aclose(self) -> None: ...
