"""Measure how late the event loop is. Bytes that arrived in that time were not read."""

from __future__ import annotations

import trio

__all__ = ["LATE_S", "TICK_S", "LoopLag"]

LATE_S = 0.1  # a smaller delay is not counted
TICK_S = 0.25  # a shorter interval would cost a quiet server more than its messages do


class LoopLag:
    """The sum of the delays of a periodic task.

    The delay counts from the moment at which the task was due. So a session that runs before the task, after
    a stall, already sees the stall. Up to the first quarter of a second of each stall is missed.
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
