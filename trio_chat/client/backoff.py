"""The back-off: how long to wait before the next try to come back.

Pure. The algorithm is "full jitter" (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015): anything
from nothing to a bound that doubles with each try. When a server goes, all its clients go in one moment; if
they waited for equal times they would all come back in one moment too, again and again.

A server that says when to come back at the earliest, as a `bye` may, says it to all of them: the jitter comes
on top of that.
"""

from collections.abc import Callable

__all__ = ["CAP_S", "FIRST_S", "HELD_S", "Backoff"]

FIRST_S = 0.5
CAP_S = 30.0
HELD_S = 60.0  # a connection that lasted so long was a good one: a server that falls over at once is not


class Backoff:
    """The waits of one client; `random` gives numbers from 0 up to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._bound_s = FIRST_S

    def held(self, held_s: float) -> None:
        """A connection has ended that was welcomed and lasted so long."""
        if held_s >= HELD_S:
            self._bound_s = FIRST_S

    def next_s(self, earliest_s: float = 0) -> float:
        """How long to wait before the next try."""
        bound_s, self._bound_s = self._bound_s, min(2 * self._bound_s, CAP_S)
        return earliest_s + bound_s * self._random()
