"""The interface between the server and the storage of its journal.

A store numbers entries and keeps them. It gets whole batches, one at a time. Queues, pending refs and
failures are the work of the committer (`server/commit.py`), the same for every store.

A store returns entries as payloads of the wire, encoded once, when their number is known. The fan-out, the
catch-up and `history` send the same bytes.
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
    """Return false: the default of callbacks that are polled."""
    return False


def is_recent(then_ms: int | None, now_ms: int, interval_ms: int) -> bool:
    """Return whether `then_ms` is less than an interval ago; None counts as never.

    A time in the future is not recent, since the server's time may have been years ahead."""
    return then_ms is not None and then_ms <= now_ms < then_ms + interval_ms


class Draft(Struct, frozen=True, gc=False):
    """An entry without a number and a time.

    `room` is the room's key, and `shown` its name as clients see it. `key` is the author's digest and the
    `ref` in one string, or empty without a `ref`. It is looked up four times, and a string caches its hash.
    `is_topic` distinguishes a topic from a text.
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
        """Return the entry that this draft becomes with a number."""
        if self.is_topic:
            return TopicChanged(self.shown, seq, at, self.by, self.text)
        return Said(self.shown, seq, at, self.by, self.text, self.action)

    def same_as(self, entry: Said | TopicChanged) -> bool:
        """Return whether the entry has the same content: then this draft is a retry of the same command."""
        if isinstance(entry, TopicChanged):
            return self.is_topic and entry.text == self.text
        return not self.is_topic and entry.text == self.text and entry.action == self.action


class CommitResult(Struct, frozen=True, gc=False):
    """The result of a draft.

    `payload` is the new entry, encoded. It is None when the journal already had an entry with this `ref`:
    then `seq` is that entry's number, or 0 when that entry has other content.
    """

    seq: int
    payload: bytes | None


class RoomRecord(Struct, frozen=True, gc=False):
    """The journal's state of a room: `first` is the oldest kept number, `head` the newest assigned number.

    In a new room `first` is 1 and `head` 0; when all entries are removed `first` is `head` + 1.
    """

    shown: str
    epoch: str
    first: int
    head: int
    topic: str


class RoomTimes(Struct, frozen=True):
    """The `at` of the newest entry of all rooms, 0 without any, and the rooms whose newest entry is later
    than a limit: some of their names, as clients see them, and their count."""

    newest_ms: int
    ahead: list[str]
    ahead_count: int


class EntryPage(Struct, frozen=True, gc=False):
    """Entries without a gap, the first numbered `first`. Without entries `first` is where the read began."""

    first: int
    payloads: list[bytes]

    @property
    def last(self) -> int:
        return self.first + len(self.payloads) - 1


class Position(NamedTuple):
    """The position of an entry among the entries of all rooms, the newest first: by `at`, then by the room's
    key, then by number. All searches use this order, so the next page continues after a position."""

    at: int
    room: str
    seq: int

    @property
    def order(self) -> tuple[int, str, int]:
        """The sort key of positions: the newest has the smallest."""
        return (-self.at, self.room, -self.seq)

    def latest(self, room: str) -> int:
        """Return the latest `at` that an entry of a room after this position can have."""
        return self.at if room >= self.room else self.at - 1


class Hit(Struct, frozen=True, gc=False):
    """An entry that was found: its position and its payload."""

    position: Position
    payload: bytes


class Matches(Struct, frozen=True):
    """The entries that were found, the newest first. If there may be more they are after `rest`."""

    hits: list[Hit]
    rest: Position | None


class RetentionRule(Struct, frozen=True):
    """How long entries are kept: for a time, or a number of entries per room, whichever is less; 0 is no
    limit."""

    age_ms: int = 0
    entries: int = 0

    def __bool__(self) -> bool:
        return bool(self.age_ms or self.entries)

    @property
    def text(self) -> str:
        """The text in `welcome` for a journal that has no other limit."""
        words = []
        if self.age_ms:
            words.append(_duration(self.age_ms))
        if self.entries:
            words.append(f"at most {self.entries:,} {'entry' if self.entries == 1 else 'entries'} a room")
        return ", ".join(words) or "forever"


def _duration(ms: int) -> str:
    """Return a duration in the largest unit that divides it."""
    count, unit = next(
        (ms // size, unit)
        for size, unit in ((86_400_000, "day"), (3_600_000, "hour"), (1_000, "second"), (1, "millisecond"))
        if ms % size == 0
    )
    return f"{count:,} {unit}" + ("" if count == 1 else "s")


class Store(Protocol):
    """Every async method may raise `StoreError`. After an error or a cancellation the work may or may not be
    done, and the caller finds out by reading. Rooms are named by their keys."""

    kept: str
    """`memory`, `forever`, or a duration in words: the text in `welcome` about how long entries are kept."""

    server_id: str
    """The id of the server that owns this journal, the same in every run; empty for a journal in memory."""

    async def open(self, room: str, shown: str) -> RoomRecord:
        """Start using a room; a room without entries gets the name `shown`. Always passes a checkpoint."""
        ...

    def close(self, room: str) -> None:
        """Stop using a room; the store may drop all that it holds only for the room's users."""
        ...

    def first(self, room: str) -> int:
        """Return the oldest kept number of an open room, as far as it is known without waiting."""
        ...

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        """Number and keep a batch, all of it or none; return a result for each draft, in order. The rooms
        must be open.

        `now_ms` becomes the time of the entries, unless the clock went back: within a room the time never
        decreases. Within a room, an equal `key` gives an equal number. Need not pass a checkpoint.
        """
        ...

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        """Return the oldest kept entries above `after`, up to the number `through`: at least one if there is
        any, and else as many as both limits allow. Always passes a checkpoint."""
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
        """Return the newest `limit` entries that contain a text (see `search.py`): in these rooms, each up to
        its given number, and after the position `below` if there is one.

        Scans a limited number of entries, however few it finds; then `rest` is where to continue. An unknown
        room has no entries. Always passes a checkpoint.

        Stops soon after `is_abandoned` returns true, and returns no entries. Any thread may call
        `is_abandoned`.
        """
        ...

    async def room_times(self, limit_ms: int, names_max: int) -> RoomTimes:
        """Return the time of the newest entry, and the rooms in which it is later than `limit_ms`, with at
        most `names_max` of their names, the latest first. Always passes a checkpoint."""
        ...

    tidies: bool
    """Whether the store ever has something to `tidy`."""

    @property
    def backlog(self) -> int:
        """About how many entries wait to be tidied; each commit adds to it."""
        ...

    async def tidy(self, now_ms: int) -> bool:
        """Do one step of background work: add entries to the search index, and delete entries beyond the
        retention limits. Return whether there is more to do now. Always passes a checkpoint.

        A step takes some milliseconds, and a commit waits for at most one step. Ages count from `now_ms`: if
        it is far in the past, no entry is too old. It may be less than in the last call.
        """
        ...

    async def probe(self) -> None:
        """Check that the journal can be written, by a small write that changes nothing in it. A store without
        a file has nothing to check. Always passes a checkpoint."""
        ...

    async def aclose(self) -> None: ...
