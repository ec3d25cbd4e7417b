"""How the loop's time is shared: no input, however odd or dear, holds up everybody.

*Slices.* A task that works through what a peer has sent stops after `SLICE_S` of work and lets the loop go
round, whatever the number of commands was.

*Turns.* A session that stays within its budget of work (`WorkBudget`) runs as soon as its bytes are there.
All other work waits for a turn, first come, first served: connections that have not said hello, HTTP,
connections that end, and sessions that have used up their budget. One slice of it runs between two passes of
the loop, and in the long run it gets `SHARE` of the time: so most messages of the sessions that stay within
their budget meet no such work at all. After a quiet time `BURST_S` of it run without a pause, which is a few
thousand newcomers.

Work is measured with a clock that is passed in, which tests control.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

__all__ = ["SHARE", "SLICE_S", "Turns", "WorkBudget"]

SLICE_S = 0.001
SHARE = 1 / 4
BURST_S = 1.0
READ_S = 0.00005  # what reading 64 KiB takes, about
TURNS_MAX = 16  # in one pass, however cheap they were until now

BUDGET_BURST_S = 0.005  # joining some fifty rooms
BUDGET_PER_S = 0.002  # five messages and ten questions a second take less
BUDGET_DEBT_S = 10.0  # a session that has stopped flooding is within its budget again after so long


class WorkBudget:
    """What a session may use of the loop before it has to take turns.

    A token bucket in the form of the generic cell rate algorithm (ITU-T I.371): one number, the time at which
    the bucket would be full again. It begins empty: otherwise a client that reconnects would have a full one
    each time.
    """

    __slots__ = ("_full_at",)

    def __init__(self, now: float) -> None:
        self._full_at = now + BUDGET_BURST_S / BUDGET_PER_S

    def charge(self, worked_s: float, now: float) -> None:
        full_at = max(self._full_at, now) + worked_s / BUDGET_PER_S
        self._full_at = min(full_at, now + BUDGET_BURST_S / BUDGET_PER_S + BUDGET_DEBT_S)

    def is_spent(self, now: float) -> bool:
        return self._full_at - now > BUDGET_BURST_S / BUDGET_PER_S


class Turns:
    """The queue of the work that waits for a turn; `run` gives the turns out.

    `share` 1.0 gives out turns without a pause, for a server that limits no rates.
    """

    def __init__(self, clock: Callable[[], float], *, share: float = SHARE, burst_s: float = BURST_S) -> None:
        self.clock = clock
        """The clock of work, in seconds."""
        self._share = share
        self._burst_s = burst_s
        self._credit_s = burst_s  # how much work may be done without a pause
        self._left_s = SLICE_S  # in this pass
        self._cost_s = SLICE_S  # of one turn, about
        self._waiting = trio.lowlevel.ParkingLot()
        self._passed_over = trio.lowlevel.ParkingLot()  # given a turn in a pass whose time was up by then
        self._running = False  # whether something was worked or waits since the last pass
        self._wake = trio.Event()

    @property
    def is_free(self) -> bool:
        """Whether a turn need not be waited for."""
        return self._left_s > 0 and not (self._waiting or self._passed_over)

    async def wait(self) -> None:
        """Wait for a turn; `charge` what was done with it. Passes no checkpoint when it is free."""
        if self.is_free:
            return
        self._start()
        await self._waiting.park()
        while self._left_s <= 0:
            self._start()
            await self._passed_over.park()

    def charge(self, worked_s: float) -> None:
        """Count the work of a turn."""
        self._left_s -= worked_s
        self._credit_s -= worked_s
        self._cost_s += (worked_s - self._cost_s) / 8
        self._start()

    async def pace(self) -> None:
        """Wait for a turn in which to read once more from a peer that is being closed."""
        self.charge(READ_S)
        await self.wait()

    async def run(self) -> None:
        """Give out turns, until cancelled."""
        refilled_at = trio.current_time()
        while True:
            await self._wake.wait()
            while self._running:
                if self._credit_s < 0:
                    await trio.sleep(-self._credit_s / self._share)
                else:
                    await trio.lowlevel.checkpoint()
                now = trio.current_time()
                self._credit_s = min(self._burst_s, self._credit_s + (now - refilled_at) * self._share)
                refilled_at = now
                self._left_s = SLICE_S
                self._running = bool(self._waiting or self._passed_over)
                turns = self._turns_at_once()
                turns -= len(self._passed_over.unpark(count=turns))
                self._waiting.unpark(count=turns)
            self._wake = trio.Event()

    def _turns_at_once(self) -> int:
        return max(1, min(TURNS_MAX, int(SLICE_S / max(self._cost_s, 1e-9))))

    def _start(self) -> None:
        if not self._running:
            self._running = True
            self._wake.set()
