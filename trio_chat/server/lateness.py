"""How late the loop has been: time in which it read nothing, and for which no peer is to blame."""

__all__ = ["Lateness"]

LATE_S = 0.1  # less is not counted


class Lateness:
    """The sum of what a periodic task has been late by.

    The task says when it is due next (`expect`) and that it runs (`arrived`). In between, it is late from
    the moment on at which it was due: so a session that runs before it, after a stall, knows of the stall as
    well. A stall between two such moments is counted only as far as it reaches beyond the second.
    """

    __slots__ = ("_due", "_total")

    def __init__(self) -> None:
        self._due = float("inf")
        self._total = 0.0

    def expect(self, due: float) -> None:
        """The periodic task is to run at that time."""
        self._due = due

    def arrived(self, now: float) -> None:
        """The periodic task runs."""
        self._total = self.total(now)
        self._due = float("inf")

    def total(self, now: float) -> float:
        """Return for how many seconds, in all, the loop has been late until now."""
        late_s = now - self._due
        return self._total + late_s if late_s > LATE_S else self._total
