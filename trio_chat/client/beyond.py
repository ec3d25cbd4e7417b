"""What came while the inbox was full, and is nowhere else to be had.

Pure, and bounded: of whispers, names, errors, outages and their ends `bound` are kept, and then the oldest of
them are dropped. A `Room` is never dropped, nor the `Gap` before it: without them the entries of one history
would seem to go on those of another. But there is one of each at most for a room that one comes back to: no
entry has come between two of them that was kept, and so the newer one says it all. A room that is left behind
the bound adds the `Gap` of its leaving.
"""

from collections import deque

from trio_chat.client.news import Incoming
from trio_chat.wire.messages import Gap, Room

__all__ = ["Beyond"]


class Beyond:
    """Events in the order in which they came."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._events: deque[Incoming] = deque()
        self._droppable = 0

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Incoming) -> None:
        """Take an event; where that is one too many, the oldest is dropped."""
        self._events.append(event)
        self._droppable += _droppable(event)
        if self._droppable > self._bound:
            self._remove(next(filter(_droppable, self._events)))

    def take(self) -> Incoming:
        """The oldest."""
        event = self._events[0]
        self._remove(event)
        return event

    def take_all(self) -> list[Incoming]:
        """All of them."""
        events = list(self._events)
        self._events.clear()
        self._droppable = 0
        return events

    def forget_history(self, name: str) -> bool:
        """The history of a room is over. If its very beginning waits here, nobody need hear of it: true."""
        for event in self._events:
            if isinstance(event, Room) and event.room == name:
                self._remove(event)
                return True
        return False

    def _remove(self, event: Incoming) -> None:
        self._events.remove(event)
        self._droppable -= _droppable(event)


def _droppable(event: Incoming) -> bool:
    return not isinstance(event, Room | Gap)
