"""The size of an event in memory.

Pure. The number of events says little: a frame of 64 KiB may be one `presence` with 13,000 names, each an
object of 50 bytes. So queues that a server can fill are also bounded by bytes.
"""

import sys
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from msgspec import Struct

__all__ = ["NewestEvents", "event_bytes"]

E = TypeVar("E", bound=Struct)

_POINTER_BYTES = 8


def event_bytes(value: object) -> int:
    """Return the bytes of an event or a value inside one; numbers and flags count as a pointer."""
    if isinstance(value, str):
        return sys.getsizeof(value)
    if isinstance(value, list):
        return sys.getsizeof(value) + sum(map(event_bytes, value))
    if isinstance(value, Struct):
        fields = (getattr(value, name) for name in value.__struct_fields__)
        return sys.getsizeof(value) + sum(map(event_bytes, fields))
    return _POINTER_BYTES


class NewestEvents(Generic[E]):
    """The newest events of a stream, bounded by number and bytes."""

    def __init__(self, number_max: int, weight_max: int) -> None:
        self._number_max = number_max
        self._weight_max = weight_max
        self._events: deque[E] = deque()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[E]:
        return iter(self._events)

    def append(self, event: E) -> None:
        """Add an event and drop the oldest ones over the bounds. The newest always stays."""
        self._events.append(event)
        self._weight += event_bytes(event)
        while len(self._events) > self._number_max or (
            self._weight > self._weight_max and len(self._events) > 1
        ):
            self._weight -= event_bytes(self._events.popleft())

    def clear(self) -> None:
        self._events.clear()
        self._weight = 0
