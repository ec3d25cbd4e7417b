"""How late the loop has been, in all. What peers sent in that time was not read and piled up."""

from __future__ import annotations

import trio

__all__ = ["LATE_S", "TICK_S", "LoopLag"]

LATE_S = 0.1  # less is not counted
TICK_S = 0.25  # waking up more often would cost a quiet server more than its messages do


class LoopLag:
    """The sum of what a periodic task has been late by.

    From the moment on at which the task was due it is late: so a session that runs before it, after a stall,
    knows of the stall as well. Of each stall, up to the first quarter of a second is missed.
    """

    __slots__ = ("_due", "_total")

    def __init__(self) -> None:
        self._due = float("inf")
        self._total = 0.0

    def total(self, now: float) -> float:
        """Return for how many seconds, in all, the loop has been late until now."""
        late_s = now - self._due
        return self._total + late_s if late_s > LATE_S else self._total

    async def run(self) -> None:
        """Measure, until cancelled."""
        while True:
            self._due = trio.current_time() + TICK_S
            await trio.sleep_until(self._due)
            self._total = self.total(trio.current_time())
