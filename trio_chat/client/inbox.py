"""The inbox: events that have arrived and that the program has not taken.

Pure: events go in as they arrive and out as the program takes them. `question` says what to ask the server
next; others send it.

The inbox is bounded by `bound` events and by bytes (`event_size.py`). Whether it is full is decided once for
all events of a read, so one read may go over the bound, and a quick stream alone is not treated as too much.
While the inbox is full, the reader may pause. But a request may need the reader: its answer comes behind the
events. Events over the bound are treated by their kind:

- *entries* are not kept, since the server's journal has them. The room's position has its cursor (the newest
entry
  kept) and the newest entry seen. When the program has taken everything, pages of `history` bring the entries
  between, until a page reaches the newest seen;
- of *presence*, only the fact is kept that some was missed: after the entries, one page of `who` replaces it,
like an
  unasked `members` from a server;
- *whispers*, the member's new names, errors and connection events are kept, up to a bound (`overflow.py`);
- *typing* is dropped.

Rules for changes. A page is taken at its position in the stream, where the reader meets it and not where a
caller wakes up: so no event can come between "the page reaches the newest seen" and "live again". Entries at
or below the cursor are dropped: the answer to `history` may overtake the live entries that it holds. Only one
question is open at a time, because it is judged by the newest entry seen when it was asked. While events wait
in the overflow, all events in the inbox are older, and each event that is taken makes room for one of them.

A lost connection changes nothing here, except that the open question ends. A room is resumed behind the
newest entry *seen*, since the pages continue as well, and its presence counts as missed. If the room has
another history now, the old entries cannot be fetched any more, and the newest page of the new history counts
as missed.

A server decides for which rooms it sends entries, so the positions of rooms that were not joined are bounded
as well: at `STRANGE_ROOMS` the oldest is dropped, and its next entry counts as the first of that room.

Without an open question, an entry at or below the cursor was sent twice or too late, and an entry of a room
that was not joined should not have been sent at all. Programs do not see the former, but a test of a server
must: the newest such `strays` are kept.
"""

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import assert_never

from msgspec.structs import replace

from trio_chat.client.event_size import NewestEvents, event_bytes
from trio_chat.client.events import ClientEvent, Disconnected, Reconnected
from trio_chat.client.exceptions import protocol_error, unexpected_event
from trio_chat.client.overflow import Overflow
from trio_chat.wire.messages import (
    Error,
    Gap,
    History,
    HistoryPage,
    Members,
    Named,
    Presence,
    Room,
    Said,
    TopicChanged,
    TypingNotice,
    Whispered,
    Who,
)

__all__ = [
    "EVENT_BYTES",
    "INBOX_BYTES_MIN",
    "INBOX_EVENTS",
    "PAGE_ENTRIES",
    "STRANGE_ROOMS",
    "STRAYS",
    "STRAYS_BYTES",
    "Inbox",
]

INBOX_EVENTS = 1024
# An inbox may hold this many bytes for each event of its bound, the size of an ordinary message ...
EVENT_BYTES = 512
# ... and at least a thousand of the longest texts, so that long messages alone never fill a usual inbox.
INBOX_BYTES_MIN = 4 << 20
# The most that a query may ask for, also for a small inbox: the rates count queries.
PAGE_ENTRIES = 200
STRAYS = 1_000
STRAYS_BYTES = 1 << 20
# A program leaves rooms one by one, and late entries arrive soon.
STRANGE_ROOMS = 32

# After these codes the question is asked again later; after others it would be refused again.
_FOR_NOW = {"rate_limited", "unavailable"}


class _Position:
    """The program's position in a room: behind while a newer entry than its cursor was seen."""

    __slots__ = ("asked_for", "cursor", "missed_presence", "newest")

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.newest = cursor
        self.missed_presence = False
        self.asked_for = False  # entries may arrive both live and in an answer

    @property
    def behind(self) -> bool:
        return self.newest > self.cursor


@dataclass(frozen=True, slots=True)
class _Question:
    """The open question: about the room as joined at its sending, up to the newest entry seen then."""

    room: str
    position: _Position
    newest: int
    kind: type[HistoryPage] | type[Members]


class Inbox:
    """The events that were not taken, and the program's position in each room."""

    def __init__(self, bound: int = INBOX_EVENTS) -> None:
        self.bound = bound
        self._events: deque[ClientEvent] = deque()
        self._weight_max = max(INBOX_BYTES_MIN, EVENT_BYTES * bound)
        self._weighed = 0  # the number of oldest events whose bytes are in `_weight`
        self._weight = 0
        self._beyond = Overflow(bound)
        self.strays: NewestEvents[Said | TopicChanged] = NewestEvents(STRAYS, STRAYS_BYTES)
        self._positions: dict[str, _Position] = {}
        # the rooms with a position that were not joined, the oldest first
        self._strange: dict[str, None] = {}
        self._lagging: dict[str, _Position] = {}  # a dict keeps the order, so that runs can be replayed
        self._asked: _Question | None = None

    def __len__(self) -> int:
        return len(self._events) + len(self._beyond)

    @property
    def full(self) -> bool:
        return len(self._events) >= self.bound or self._weigh() >= self._weight_max

    # --- in -----------------------------------------------------------------------------------------

    def put_entry(self, entry: Said | TopicChanged, keep: bool) -> None:
        """Add an entry, as `put` does; faster for callers that have many entries."""
        position = self._positions.get(entry.room)
        if position is None:
            position = self._strange_position(entry.room, entry.seq - 1)
            self.strays.append(entry)
        if entry.seq <= position.cursor:
            if not position.asked_for:
                self.strays.append(entry)
            return
        if keep and position.newest == position.cursor:
            position.cursor = position.newest = entry.seq
            self._events.append(entry)
        else:
            self._miss(entry.room, position, entry.seq)

    def put(self, event: ClientEvent, keep: bool) -> None:
        """Add an event. `keep` is false for all events of a read that began with a full inbox."""
        match event:
            case Said() | TopicChanged():
                self.put_entry(event, keep)
            case Presence() | Members():
                self._put_presence(event, keep)
            case Gap():
                self._put_gap(event, keep)
            case TypingNotice():
                if keep:
                    self._events.append(event)
            case Whispered() | Named() | Error() | Room() | Disconnected() | Reconnected():
                self._put_kept(event, keep)
            case _:
                assert_never(event)

    def enter(self, room: str, cursor: int) -> None:
        """Note that a room was joined with entries after `cursor`. Its earlier state is void."""
        self._positions[room] = _Position(cursor)
        self._strange.pop(room, None)
        self._lagging.pop(room, None)

    def leave(self, room: str) -> None:
        """Note that a room was left. Missed entries cannot be fetched any more, which a gap reports."""
        position = self._positions.pop(room, None)
        self._strange.pop(room, None)
        self._lagging.pop(room, None)
        if position is not None and position.behind:
            self._put_kept(Gap(room, position.cursor, position.newest + 1, kept=True), keep=True)

    def give_up(self) -> None:
        """Note that nothing more can be fetched: like `leave` for every room that is behind."""
        for room in list(self._lagging):
            self.leave(room)

    # --- disconnected -------------------------------------------------------------------------------

    def lost(self) -> None:
        """Note that the connection is lost: the open question gets no answer."""
        self._asked = None

    def newest(self, room: str) -> int:
        """Return the newest entry seen of a room, where to resume."""
        position = self._positions.get(room)
        return 0 if position is None else position.newest

    def resume(self, name: str, room: str) -> None:
        """Note that a room was resumed. The server may write its name `name` in another way now."""
        position = self._take_position(name)
        if room != name:
            self._beyond.rename(name, room)
        self._strange.pop(room, None)
        self._positions[room] = self._lagging[room] = position
        position.missed_presence = True

    def change_epoch(self, name: str, answer: Room, keep: bool) -> None:
        """Add the new epoch of a room that was resumed from 0: no entry was seen under the old one."""
        unseen = self._beyond.forget_history(name)
        resumed = unseen is None or unseen.resumed  # else an older history ended, which the program must see
        self._put_kept(replace(answer, ref="", resumed=resumed), keep)

    def begin_anew(self, name: str, answer: Room, keep: bool) -> None:
        """Note that a room was rejoined and has another history than the room `name` had before."""
        position = self._take_position(name)
        self._strange.pop(answer.room, None)
        if not self._beyond.forget_history(name) and position.behind:
            self._put_kept(Gap(name, position.cursor, position.newest + 1, kept=False), keep)
        self._put_kept(replace(answer, ref=""), keep)
        position = self._positions[answer.room] = _Position(max(answer.head - PAGE_ENTRIES, answer.first - 1))
        position.missed_presence = True
        self._miss(answer.room, position, answer.head)

    # --- out ----------------------------------------------------------------------------------------

    def take(self) -> ClientEvent | None:
        """Remove and return the oldest event, or None."""
        if not self._events:
            return None
        if self._beyond:
            self._events.append(self._beyond.take())
        event = self._events.popleft()
        if self._weighed:
            self._weighed -= 1
            self._weight -= event_bytes(event)
        return event

    def take_all(self) -> list[ClientEvent]:
        """Remove and return all events."""
        events = [*self._events, *self._beyond.take_all()] if self._beyond else list(self._events)
        self._events.clear()
        self._weighed = self._weight = 0
        return events

    # --- catching up --------------------------------------------------------------------------------

    @property
    def lagging(self) -> bool:
        """Whether missed events can be fetched from the server."""
        return bool(self._lagging)

    def question(self, ref: str) -> History | Who | None:
        """Return the next query for missed events, or None. Send it when the program has taken everything.

        Pass its answer to `answer` or `refuse` before the next question.
        """
        if self._asked is not None or not self._lagging:
            return None
        room, position = next(iter(self._lagging.items()))
        kind = HistoryPage if position.behind else Members
        self._asked = _Question(room, position, position.newest, kind)
        position.asked_for = True
        if position.behind:
            return History(room, after=position.cursor, limit=PAGE_ENTRIES, ref=ref)
        return Who(room, ref=ref)

    def answer(self, event: HistoryPage | Members) -> None:
        """Take the answer to the question, at its position in the stream.

        Raises `ProtocolError` for an answer to another question, and for a page that does not continue.
        """
        assert self._asked is not None, "an answer to a question that was not asked"
        if not isinstance(event, self._asked.kind):
            raise unexpected_event(event)
        asked = self._end_question()
        if asked is None:
            return
        position = asked.position
        if isinstance(event, Members):
            position.missed_presence = False
            self._events.append(replace(event, ref=""))
        else:
            self._take_page(event, asked)
        if not position.behind and not position.missed_presence:
            del self._lagging[asked.room]

    def refuse(self, code: str) -> bool:
        """Take the refusal of the question. Return whether to ask again later.

        Otherwise the room continues from here, and a gap names the missing entries.
        """
        asked = self._end_question()
        if asked is None:
            return False
        if code in _FOR_NOW:
            return True
        position = asked.position
        if position.behind:
            self._events.append(Gap(asked.room, position.cursor, position.newest + 1, kept=True))
            position.cursor = position.newest
        position.missed_presence = False
        del self._lagging[asked.room]
        return False

    # --- internals ----------------------------------------------------------------------------------

    def _weigh(self) -> int:
        """Return the bytes of all events. Each is measured once, and not at all if taken before."""
        count = len(self._events) - self._weighed
        if count:
            self._weight += sum(map(event_bytes, islice(reversed(self._events), count)))
            self._weighed += count
        return self._weight

    def _strange_position(self, room: str, cursor: int) -> _Position:
        """Create a position for a room that was not joined, and drop the oldest such position at the
        bound."""
        if len(self._strange) >= STRANGE_ROOMS:
            oldest = next(iter(self._strange))
            del self._strange[oldest], self._positions[oldest]
            self._lagging.pop(oldest, None)
        self._strange[room] = None
        position = self._positions[room] = _Position(max(cursor, 0))
        return position

    def _take_position(self, name: str) -> _Position:
        """Remove and return the position of a room, whose name may change now.

        If a server gives two rooms one name, one position is left for both; the other begins at 0.
        """
        self._lagging.pop(name, None)
        self._strange.pop(name, None)
        return self._positions.pop(name, None) or _Position(0)

    def _put_kept(self, event: ClientEvent, keep: bool) -> None:
        # Behind the events that wait in the overflow, if any.
        if keep and not self._beyond:
            self._events.append(event)
        else:
            self._beyond.put(event)

    def _put_gap(self, gap: Gap, keep: bool) -> None:
        position = self._positions.get(gap.room)
        if position is None:
            position = self._strange_position(gap.room, gap.after)
        newest = gap.next - 1
        after = max(gap.after, position.cursor)
        if newest <= after:
            return
        if keep and not position.behind:
            self._events.append(replace(gap, after=after))
            position.cursor = position.newest = newest
        else:
            # Pages have the same hole if the server lacks the entries, and fill it otherwise.
            self._miss(gap.room, position, newest)

    def _put_presence(self, event: Presence | Members, keep: bool) -> None:
        position = self._positions.get(event.room)
        if keep and (position is None or not position.missed_presence):
            self._events.append(event)
        elif position is not None:
            position.missed_presence = True
            self._lagging[event.room] = position

    def _miss(self, room: str, position: _Position, seq: int) -> None:
        position.newest = max(position.newest, seq)
        self._lagging[room] = position

    def _end_question(self) -> _Question | None:
        """Return the open question; None if the room was left or rejoined since."""
        asked, self._asked = self._asked, None
        assert asked is not None, "an answer without a question"
        return asked if self._positions.get(asked.room) is asked.position else None

    def _take_page(self, page: HistoryPage, asked: _Question) -> None:
        position, before = asked.position, asked.position.cursor
        for entry in page.entries:
            if entry.seq <= position.cursor:
                continue
            self._note_hole(asked.room, position, entry.seq)
            self._events.append(entry)
            position.cursor = entry.seq
        if not page.entries or not page.more:
            # This is the last page after the cursor. Entries seen by then that are not in it are lost.
            self._note_hole(asked.room, position, asked.newest + 1)
            position.cursor = max(position.cursor, asked.newest)
        elif position.cursor == before:
            raise protocol_error(f"a page of history that does not continue after {before}")
        position.newest = max(position.newest, position.cursor)

    def _note_hole(self, room: str, position: _Position, seq: int) -> None:
        if seq > position.cursor + 1:
            self._events.append(Gap(room, position.cursor, seq, kept=False))
