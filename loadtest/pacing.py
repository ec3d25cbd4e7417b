"""The pace: which messages are due, and which could not be started in time.

Pure. An open model: a message is due at its time, whether or not the ones before were answered, and its
latency counts from then. A generator that comes late starts what is due at once, and says how late it
was (its lag); what it would start more than a second late it does not start at all, and counts as
missed. A burst of old messages would load the server as nobody asked for.
"""

from dataclasses import dataclass

__all__ = ["LATE_S", "Pace"]

LATE_S = 1.0


@dataclass(slots=True)
class Pace:
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
        """The messages to start now, each with the time at which it was due."""
        taken = []
        while self.next < self.messages and self.due_s(self.next) <= now_s:
            due_s = self.due_s(self.next)
            if now_s - due_s > LATE_S:
                self.missed += 1
            else:
                taken.append((self.next, due_s))
            self.next += 1
        return taken
