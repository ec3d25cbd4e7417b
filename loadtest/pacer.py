"""The pace: which messages are due, and which could not be started in time.

Pure. An open model: a message is due at its time, whether or not the ones before were answered, and its
latency counts from then. A generator that comes late starts what is due at once, and says how late it
was (its lag); what it would start more than a second late it does not start at all, and counts as
missed. A burst of old messages would load the server as nobody asked for.
"""

from dataclasses import dataclass
from math import ceil

__all__ = ["AT_ONCE", "LATE_S", "MessagePacer"]

LATE_S = 1.0
AT_ONCE = 500  # a rate that is too high must not keep this process from all else: from hearing, from Ctrl-C


@dataclass(slots=True)
class MessagePacer:
    """`rate` messages a second, `messages` in all; times are in seconds since the talk began."""

    rate: float
    messages: int
    next: int = 0
    missed: int = 0

    def due_s(self, number: int) -> float:
        return number / self.rate

    @property
    def is_over(self) -> bool:
        return self.next >= self.messages

    @property
    def next_due_s(self) -> float:
        return self.due_s(self.next)

    def take(self, now_s: float) -> list[tuple[int, float]]:
        """The messages to start now, each with the time at which it was due; at most 500 at a time."""
        self._miss(now_s)
        taken: list[tuple[int, float]] = []
        while self.next < self.messages and len(taken) < AT_ONCE and self.due_s(self.next) <= now_s:
            taken.append((self.next, self.due_s(self.next)))
            self.next += 1
        return taken

    def _miss(self, now_s: float) -> None:
        """Leave out what is too late: a billion of them in one step."""
        first = min(self.messages, ceil((now_s - LATE_S) * self.rate))
        while first < self.messages and now_s - self.due_s(first) > LATE_S:
            first += 1  # what rounding has left
        if first > self.next:
            self.missed += first - self.next
            self.next = first
