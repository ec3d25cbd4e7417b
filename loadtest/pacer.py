"""Decide which messages are due, and which could not be sent in time. Pure.

This is an open model: a message is due at its time whether or not earlier messages were acked, and its
latency counts from then. A late generator sends the due messages at once and reports how late it was (its
lag). A message that is more than a second late is not sent, and counts as missed: a burst of old messages
would be a load that the scenario does not ask for.
"""

from dataclasses import dataclass
from math import ceil

__all__ = ["BATCH_MAX", "LATE_S", "MessagePacer"]

LATE_S = 1.0
BATCH_MAX = 500  # so that a rate that is too high does not block receiving, or Ctrl-C


@dataclass(slots=True)
class MessagePacer:
    """Paces `messages` messages at `rate` a second; times are in seconds since the first was due."""

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

    def take_due(self, now_s: float) -> list[tuple[int, float]]:
        """Return up to 500 messages to send now, each with its due time."""
        self._skip_late(now_s)
        due: list[tuple[int, float]] = []
        while self.next < self.messages and len(due) < BATCH_MAX and self.due_s(self.next) <= now_s:
            due.append((self.next, self.due_s(self.next)))
            self.next += 1
        return due

    def _skip_late(self, now_s: float) -> None:
        """Skip all messages that are too late, in one step."""
        first = min(self.messages, ceil((now_s - LATE_S) * self.rate))
        while first < self.messages and now_s - self.due_s(first) > LATE_S:
            first += 1  # corrects the rounding
        if first > self.next:
            self.missed += first - self.next
            self.next = first
