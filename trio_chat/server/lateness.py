"""How late the loop has been, in all. What peers sent in that time was not read and piled up."""

from __future__ import annotations

import trio

__all__ = ["LATE_S", "Lateness"]

LATE_S = 0.1  # less is not counted
TICK_S = 0.1  # while peers send something
IDLE_TICK_S = 1.0


class Lateness:
    """The sum of what a periodic task has been late by.

    From the moment on at which the task was due it is late: so a session that runs before it, after a stall,
    knows of the stall as well. The task is due soon after each read (`noticed_input`), and otherwise once a
    second: a stall is counted but for its first tenth of a second where something was read shortly before it,
    and else for its first second.
    """

    __slots__ = ("_due", "_is_active", "_total", "_wake")

    def __init__(self) -> None:
        self._due = float("inf")
        self._total = 0.0
        self._is_active = False
        self._wake = trio.Event()

    def total(self, now: float) -> float:
        """Return for how many seconds, in all, the loop has been late until now."""
        late_s = now - self._due
        return self._total + late_s if late_s > LATE_S else self._total

    def noticed_input(self) -> None:
        """Something was read: watch more closely for a moment."""
        if not self._is_active:
            self._is_active = True
            self._wake.set()

    async def run(self) -> None:
        """Measure, until cancelled."""
        while True:
            self._wake = trio.Event()
            self._due = trio.current_time() + (TICK_S if self._is_active else IDLE_TICK_S)
            if self._is_active:
                self._is_active = False
                await trio.sleep_until(self._due)
            else:
                with trio.move_on_at(self._due):
                    await self._wake.wait()
            self._total = self.total(trio.current_time())
