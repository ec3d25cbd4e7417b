"""Events that arrived while the inbox was full and cannot be fetched again.

Pure, and bounded: at most `bound` whispers, names, errors and connection events are kept, with at most
`OVERFLOW_BYTES`; then the oldest are dropped. A `Room` is never dropped, nor the `Gap` before it: without
them the entries of one history would seem to continue those of another. There is at most one of each for a
rejoined room: no entry was kept between two of them, so the newer one replaces the older. A room that is left
adds the `Gap` of its end.
"""

from collections import deque

from msgspec.structs import replace

from trio_chat.client.event_size import event_bytes
from trio_chat.client.events import ClientEvent
from trio_chat.wire.messages import Gap, Room

__all__ = ["OVERFLOW_BYTES", "Overflow"]

OVERFLOW_BYTES = 1 << 20


class Overflow:
    """A bounded queue of events."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._events: deque[ClientEvent] = deque()
        self._droppable = 0
        self._weight = 0  # of the droppable events

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: ClientEvent) -> None:
        """Add an event and drop the oldest ones over the bound. The newest always stays."""
        self._events.append(event)
        self._count(event, 1)
        while self._droppable > 1 and (self._droppable > self._bound or self._weight > OVERFLOW_BYTES):
            self._remove(next(filter(_droppable, self._events)))

    def take(self) -> ClientEvent:
        """Remove and return the oldest event."""
        event = self._events[0]
        self._remove(event)
        return event

    def take_all(self) -> list[ClientEvent]:
        """Remove and return all events."""
        events = list(self._events)
        self._events.clear()
        self._droppable = self._weight = 0
        return events

    def rename(self, name: str, room: str) -> None:
        """Give a room's new history that waits here the present name of the room."""
        for index, event in enumerate(self._events):
            if isinstance(event, Room) and event.room == name:
                self._events[index] = replace(event, room=room)

    def forget_history(self, name: str) -> Room | None:
        """Remove and return the beginning of a room's history that has ended, if it waits here: the program
        need not see it."""
        for event in self._events:
            if isinstance(event, Room) and event.room == name:
                self._remove(event)
                return event
        return None

    def _remove(self, event: ClientEvent) -> None:
        self._events.remove(event)
        self._count(event, -1)

    def _count(self, event: ClientEvent, times: int) -> None:
        if _droppable(event):
            self._droppable += times
            self._weight += times * event_bytes(event)


def _droppable(event: ClientEvent) -> bool:
    return not isinstance(event, Room | Gap)
