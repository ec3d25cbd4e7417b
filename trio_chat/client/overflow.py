"""What came while the inbox was full, and is nowhere else to be had.

Pure, and bounded: of whispers, names, errors, outages and their ends `bound` are kept, and no more than weigh
`OVERFLOW_BYTES`, and then the oldest of them are dropped. A `Room` is never dropped, nor the `Gap` before it:
without them the entries of one history would seem to go on those of another. But there is one of each at most
for a room that one comes back to: no entry has come between two of them that was kept, and so the newer one
says it all. A room that is left behind the bound adds the `Gap` of its leaving.
"""

from collections import deque

from msgspec.structs import replace

from trio_chat.client.event_size import event_bytes
from trio_chat.client.events import ClientEvent
from trio_chat.wire.messages import Gap, Room

__all__ = ["OVERFLOW_BYTES", "Overflow"]

OVERFLOW_BYTES = 1 << 20


class Overflow:
    """Events in the order in which they came."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._events: deque[ClientEvent] = deque()
        self._droppable = 0
        self._weight = 0  # of those that are droppable

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: ClientEvent) -> None:
        """Take an event; where that is one too many, the oldest are dropped. The newest stays."""
        self._events.append(event)
        self._count(event, 1)
        while self._droppable > 1 and (self._droppable > self._bound or self._weight > OVERFLOW_BYTES):
            self._remove(next(filter(_droppable, self._events)))

    def take(self) -> ClientEvent:
        """The oldest."""
        event = self._events[0]
        self._remove(event)
        return event

    def take_all(self) -> list[ClientEvent]:
        """All of them."""
        events = list(self._events)
        self._events.clear()
        self._droppable = self._weight = 0
        return events

    def rename(self, name: str, room: str) -> None:
        """Give the beginning of a room's history that waits here the name that the room has now."""
        for index, event in enumerate(self._events):
            if isinstance(event, Room) and event.room == name:
                self._events[index] = replace(event, room=room)

    def forget_history(self, name: str) -> Room | None:
        """The history of a room is over. If its very beginning waits here, take it away and return it: nobody
        need hear of it."""
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
