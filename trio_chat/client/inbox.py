"""The inbox: what has come and the program has not taken yet.

Pure: events go in as they come, and out as the program takes them; what to ask the server is for
`question` to say and for others to send.

The inbox is bounded by `bound` events, and by what they weigh (`event_size.py`). Whether it is full is
judged once for all that came at once, so that one read may go over the bound and no stream that merely comes
quickly is treated as too much. While it is full, nobody need read on. But somebody may have to: an answer
that a request waits for comes behind the events. What then comes beyond the bound is treated by its kind:

- *entries* are not kept, since the server's journal has them. The room's place remembers its cursor, the
  newest entry that was kept, and the newest that was seen. Once the program has taken everything, pages
  of `history` bring what lies between, until a page reaches the newest seen;
- of *presence*, only that some was missed: once the entries are caught up, one page of `who` makes good
  for it, as an unasked `members` does from a server;
- *whispers*, names of one's own, errors and news of the connection are kept, up to a bound (`overflow.py`);
- *typing* is dropped.

Rules an editor must keep. A page is taken in the order of the stream, where the reader meets it and not
where somebody wakes up with it: so between "the page reaches the newest seen" and "live again" nothing
can come. What is at or below the cursor is dropped: the answer to `history` may overtake the live
entries that it holds. Only one question is under way at a time, since it is judged by what had been
seen when it was asked. While anything is beyond the bound, all within it is older: what is taken makes room
for it first.

An outage leaves all of this as it is, but for the question under way. A room is gone on with behind the
newest entry that was *seen*, since the pages go on as well, and its presence counts as missed. If its history
is another one now, nothing of the old can be had any more, and of the new one the newest page is missed.

A server decides in which rooms it shows entries, so the places of rooms that were not entered are bounded as
well: at `STRANGE_ROOMS` the oldest of them is forgotten, and its next entry counts as the first of that room.

Where nothing was asked for, an entry at or below the cursor is one that the server has sent twice or too
late, and one of a room that was not entered is one that it should not have sent at all. No program wants
to see the former, but whoever holds a server to its promises must: the newest such `strays` are kept.
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
# An inbox may weigh as much as its bound of events would with so much for each, an ordinary line of talk ...
EVENT_BYTES = 512
# ... and no less than a thousand of the longest texts, so that long lines alone never fill a usual inbox.
INBOX_BYTES_MIN = 4 << 20
# Always the most that one may ask for, also for a small inbox: questions are rated by their number.
PAGE_ENTRIES = 200
STRAYS = 1_000
STRAYS_BYTES = 1 << 20
# A program leaves rooms one by one, and what comes late comes at once.
STRANGE_ROOMS = 32

# A question refused so is asked again later; one refused otherwise will be refused again.
_FOR_NOW = {"rate_limited", "unavailable"}


class _Place:
    """Where the program is in a room: behind while something newer than its cursor was seen."""

    __slots__ = ("asked_for", "cursor", "missed_presence", "newest")

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.newest = cursor
        self.missed_presence = False
        self.asked_for = False  # entries may have come both live and in an answer

    @property
    def behind(self) -> bool:
        return self.newest > self.cursor


@dataclass(frozen=True, slots=True)
class _Question:
    """What is being asked: about the room as it was entered then, up to the newest entry seen then."""

    room: str
    place: _Place
    newest: int
    kind: type[HistoryPage] | type[Members]


class Inbox:
    """What has come and was not taken, and where the program is in each room."""

    def __init__(self, bound: int = INBOX_EVENTS) -> None:
        self.bound = bound
        self._events: deque[ClientEvent] = deque()
        self._weight_max = max(INBOX_BYTES_MIN, EVENT_BYTES * bound)
        self._weighed = 0  # so many of the oldest events weigh `_weight`; the others were not weighed yet
        self._weight = 0
        self._beyond = Overflow(bound)
        self.strays: NewestEvents[Said | TopicChanged] = NewestEvents(STRAYS, STRAYS_BYTES)
        self._places: dict[str, _Place] = {}
        self._strange: dict[str, None] = {}  # the rooms with a place that were not entered, the oldest first
        self._lagging: dict[str, _Place] = {}  # a dict keeps their order, so that a run can be replayed
        self._asked: _Question | None = None

    def __len__(self) -> int:
        return len(self._events) + len(self._beyond)

    @property
    def full(self) -> bool:
        return len(self._events) >= self.bound or self._weigh() >= self._weight_max

    # --- in -----------------------------------------------------------------------------------------

    def put_entry(self, entry: Said | TopicChanged, keep: bool) -> None:
        """Take an entry: what `put` does with it, for who knows that it is one and has many."""
        place = self._places.get(entry.room)
        if place is None:
            place = self._strange_place(entry.room, entry.seq - 1)
            self.strays.append(entry)
        if entry.seq <= place.cursor:
            if not place.asked_for:
                self.strays.append(entry)
            return
        if keep and place.newest == place.cursor:
            place.cursor = place.newest = entry.seq
            self._events.append(entry)
        else:
            self._miss(entry.room, place, entry.seq)

    def put(self, event: ClientEvent, keep: bool) -> None:
        """Take what came unasked. `keep` is false for all of a read that began with a full inbox."""
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
                self._put_news(event, keep)
            case _:
                assert_never(event)

    def enter(self, room: str, cursor: int) -> None:
        """A room was joined; what follows begins after `cursor`. Whatever was known of it is void."""
        self._places[room] = _Place(cursor)
        self._strange.pop(room, None)
        self._lagging.pop(room, None)

    def leave(self, room: str) -> None:
        """A room was left. What was missed there cannot be asked for any more, which a gap says."""
        place = self._places.pop(room, None)
        self._strange.pop(room, None)
        self._lagging.pop(room, None)
        if place is not None and place.behind:
            self._put_news(Gap(room, place.cursor, place.newest + 1, kept=True), keep=True)

    def give_up(self) -> None:
        """Nothing more can be asked for: as `leave`, of every room that is behind."""
        for room in list(self._lagging):
            self.leave(room)

    # --- an outage ----------------------------------------------------------------------------------

    def lost(self) -> None:
        """The connection is gone: what was asked is not answered any more."""
        self._asked = None

    def newest(self, room: str) -> int:
        """The newest entry that was seen of a room: one comes back to it after that."""
        place = self._places.get(room)
        return 0 if place is None else place.newest

    def resume(self, name: str, room: str) -> None:
        """A room was come back to, which goes on. It may be written otherwise than before, as `name`."""
        place = self._take_place(name)
        if room != name:
            self._beyond.rename(name, room)
        self._strange.pop(room, None)
        self._places[room] = self._lagging[room] = place
        place.missed_presence = True

    def change_epoch(self, name: str, answer: Room, keep: bool) -> None:
        """Put the new epoch of a room that was resumed from 0: nothing had been seen under the one before."""
        unseen = self._beyond.forget_history(name)
        resumed = (
            unseen is None or unseen.resumed
        )  # else an older history ended, and the program must hear it
        self._put_news(replace(answer, ref="", resumed=resumed), keep)

    def begin_anew(self, name: str, answer: Room, keep: bool) -> None:
        """A room was come back to, and its history is another one than that of the room `name` before."""
        place = self._take_place(name)
        self._strange.pop(answer.room, None)
        if not self._beyond.forget_history(name) and place.behind:
            self._put_news(Gap(name, place.cursor, place.newest + 1, kept=False), keep)
        self._put_news(replace(answer, ref=""), keep)
        place = self._places[answer.room] = _Place(max(answer.head - PAGE_ENTRIES, answer.first - 1))
        place.missed_presence = True
        self._miss(answer.room, place, answer.head)

    # --- out ----------------------------------------------------------------------------------------

    def take(self) -> ClientEvent | None:
        """The oldest event, or None when there is none."""
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
        """All that has come."""
        events = [*self._events, *self._beyond.take_all()] if self._beyond else list(self._events)
        self._events.clear()
        self._weighed = self._weight = 0
        return events

    # --- catching up --------------------------------------------------------------------------------

    @property
    def lagging(self) -> bool:
        """Whether something was missed that the server can be asked for."""
        return bool(self._lagging)

    def question(self, ref: str) -> History | Who | None:
        """What to ask the server next, if anything: to be asked when everything has been taken.

        Its answer is due at `answer` or `refuse` before there is another question.
        """
        if self._asked is not None or not self._lagging:
            return None
        room, place = next(iter(self._lagging.items()))
        kind = HistoryPage if place.behind else Members
        self._asked = _Question(room, place, place.newest, kind)
        place.asked_for = True
        if place.behind:
            return History(room, after=place.cursor, limit=PAGE_ENTRIES, ref=ref)
        return Who(room, ref=ref)

    def answer(self, event: HistoryPage | Members) -> None:
        """Take the answer to the question, at its place in the stream.

        Raises `ServerFault` for an answer to another question, and for a page that does not go on.
        """
        assert self._asked is not None, "an answer to a question that was not asked"
        if not isinstance(event, self._asked.kind):
            raise unexpected_event(event)
        asked = self._end_question()
        if asked is None:
            return
        place = asked.place
        if isinstance(event, Members):
            place.missed_presence = False
            self._events.append(replace(event, ref=""))
        else:
            self._take_page(event, asked)
        if not place.behind and not place.missed_presence:
            del self._lagging[asked.room]

    def refuse(self, code: str) -> bool:
        """Take the refusal of the question; true when it should be asked again, after a while.

        Otherwise the room goes on from here, and a gap says what is not part of it.
        """
        asked = self._end_question()
        if asked is None:
            return False
        if code in _FOR_NOW:
            return True
        place = asked.place
        if place.behind:
            self._events.append(Gap(asked.room, place.cursor, place.newest + 1, kept=True))
            place.cursor = place.newest
        place.missed_presence = False
        del self._lagging[asked.room]
        return False

    # --- within -------------------------------------------------------------------------------------

    def _weigh(self) -> int:
        """Return the weight of all events. Each is weighed once, and not at all if taken before that."""
        count = len(self._events) - self._weighed
        if count:
            self._weight += sum(map(event_bytes, islice(reversed(self._events), count)))
            self._weighed += count
        return self._weight

    def _strange_place(self, room: str, cursor: int) -> _Place:
        """Make a place for a room that was not entered, and forget the oldest such place at the bound."""
        if len(self._strange) >= STRANGE_ROOMS:
            oldest = next(iter(self._strange))
            del self._strange[oldest], self._places[oldest]
            self._lagging.pop(oldest, None)
        self._strange[room] = None
        place = self._places[room] = _Place(max(cursor, 0))
        return place

    def _take_place(self, name: str) -> _Place:
        """Take away the place of a room, whose name may be another one from here on.

        A server that gives two rooms one name has made one place of two: then it begins at the beginning.
        """
        self._lagging.pop(name, None)
        self._strange.pop(name, None)
        return self._places.pop(name, None) or _Place(0)

    def _put_news(self, event: ClientEvent, keep: bool) -> None:
        # Behind what waits beyond the bound already, if anything does.
        if keep and not self._beyond:
            self._events.append(event)
        else:
            self._beyond.put(event)

    def _put_gap(self, gap: Gap, keep: bool) -> None:
        place = self._places.get(gap.room)
        if place is None:
            place = self._strange_place(gap.room, gap.after)
        newest = gap.next - 1
        after = max(gap.after, place.cursor)
        if newest <= after:
            return
        if keep and not place.behind:
            self._events.append(replace(gap, after=after))
            place.cursor = place.newest = newest
        else:
            # Pages show the same hole where nobody has the entries, and fill it where the server does.
            self._miss(gap.room, place, newest)

    def _put_presence(self, event: Presence | Members, keep: bool) -> None:
        place = self._places.get(event.room)
        if keep and (place is None or not place.missed_presence):
            self._events.append(event)
        elif place is not None:
            place.missed_presence = True
            self._lagging[event.room] = place

    def _miss(self, room: str, place: _Place, seq: int) -> None:
        place.newest = max(place.newest, seq)
        self._lagging[room] = place

    def _end_question(self) -> _Question | None:
        """The question that was under way; None when the room was left, or entered anew, since."""
        asked, self._asked = self._asked, None
        assert asked is not None, "an answer to a question that nobody asked"
        return asked if self._places.get(asked.room) is asked.place else None

    def _take_page(self, page: HistoryPage, asked: _Question) -> None:
        place, before = asked.place, asked.place.cursor
        for entry in page.entries:
            if entry.seq <= place.cursor:
                continue
            self._note_hole(asked.room, place, entry.seq)
            self._events.append(entry)
            place.cursor = entry.seq
        if not page.entries or not page.more:
            # All that there is after the cursor. What had been seen by then and is not in it is gone.
            self._note_hole(asked.room, place, asked.newest + 1)
            place.cursor = max(place.cursor, asked.newest)
        elif place.cursor == before:
            raise protocol_error(f"a page of history that does not go on after {before}")
        place.newest = max(place.newest, place.cursor)

    def _note_hole(self, room: str, place: _Place, seq: int) -> None:
        if seq > place.cursor + 1:
            self._events.append(Gap(room, place.cursor, seq, kept=False))
