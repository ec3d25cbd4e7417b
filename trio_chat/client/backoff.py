"""The back-off: how long to wait before the next try to reconnect.

Pure. The algorithm is "full jitter" (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015): a random
wait up to a bound that doubles. With equal waits all clients of a server would return in the same moment,
again and again.

A server may say in `bye` how long to wait at least. It says so to all clients, so the jitter is added to that
time.
"""

from collections.abc import Callable

__all__ = ["CAP_S", "FIRST_S", "HELD_S", "Backoff"]

FIRST_S = 0.5
CAP_S = 30.0
HELD_S = 60.0  # a connection that lasted this long resets the back-off; one that fails at once does not


class Backoff:
    """The waits of one client; `random` returns numbers from 0 up to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._bound_s = FIRST_S

    def held(self, held_s: float) -> None:
        """Note that a welcomed connection has ended after `held_s` seconds."""
        if held_s >= HELD_S:
            self._bound_s = FIRST_S

    def next_s(self, earliest_s: float = 0) -> float:
        """Return how long to wait before the next try."""
        bound_s, self._bound_s = self._bound_s, min(2 * self._bound_s, CAP_S)
        return earliest_s + bound_s * self._random()
