"""How the loop's time is shared, so that no connection delays the others.

*Slices.* A task that works through what a peer has sent stops after `SLICE_S` of work and lets the loop go
round, whatever the number of commands was.

*Turns.* A session that stays within its budget of work (`WorkBudget`) runs as soon as its bytes are there.
All other work waits for a turn: connections that have not said hello, HTTP, connections that end, and
sessions and writers that have used up their budget. One slice of it runs between two passes of the loop, and
in the long run it gets `SHARE` of the time: most messages of the sessions that stay within their budget meet
no such work at all. After a quiet time `BURST_S` of it runs without a pause, which is a few thousand
newcomers.

There are two queues, which are served alternately: newcomers do not wait behind sessions that flood the
server.

Work is measured with a clock that is passed in, which tests control.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

__all__ = ["SHARE", "SLICE_S", "FairScheduler", "WorkBudget"]

SLICE_S = 0.001
SHARE = 1 / 4
BURST_S = 1.0
# Work is wall time. Where the machine stands still in the midst of a turn, newcomers must not pay for it.
CHARGE_MAX_S = 0.02
DEBT_MAX_S = 0.05
READ_S = 0.00005  # what reading 64 KiB takes, about
TURNS_MAX = 16  # in one pass, however cheap they were until now

BUDGET_BURST_S = 0.005  # joining some fifty rooms
BUDGET_PER_S = 0.002  # five messages and ten questions a second take less
BUDGET_DEBT_S = 10.0  # a session that has stopped flooding is within its budget again after so long


class WorkBudget:
    """What a session, or a task, may use of the loop before it has to take turns.

    A token bucket in the form of the generic cell rate algorithm (ITU-T I.371): one number, the time at which
    the bucket would be full again. It begins empty: otherwise a client that reconnects would have a full one
    each time.
    """

    __slots__ = ("_burst_s", "_full_at", "_per_s")

    def __init__(self, now: float, *, burst_s: float = BUDGET_BURST_S, per_s: float = BUDGET_PER_S) -> None:
        self._burst_s = burst_s
        self._per_s = per_s
        self._full_at = now + burst_s / per_s

    def charge(self, worked_s: float, now: float) -> None:
        full_at = max(self._full_at, now) + worked_s / self._per_s
        self._full_at = min(full_at, now + self._burst_s / self._per_s + BUDGET_DEBT_S)

    def is_spent(self, now: float) -> bool:
        return self._full_at - now > self._burst_s / self._per_s


class FairScheduler:
    """The queues of the work that waits for a turn; `run` gives the turns out.

    `are_limited` false is for a server that limits no rates: it gives out turns without a pause, and no
    session has a budget.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        are_limited: bool = True,
        share: float = SHARE,
        burst_s: float = BURST_S,
    ) -> None:
        self.clock = clock
        """The clock of work, in seconds."""
        self.are_limited = are_limited
        self._share = share if are_limited else 1.0
        self._burst_s = burst_s
        self._credit_s = burst_s  # how much work may be done without a pause
        self._left_s = SLICE_S  # in this pass
        self._cost_s = SLICE_S  # of one turn, about
        self._newcomers = trio.lowlevel.ParkingLot()
        self._others = trio.lowlevel.ParkingLot()
        self._newcomers_first = False
        self._deferred = trio.lowlevel.ParkingLot()  # given a turn in a pass whose time was up by then
        self._running = False  # whether something was worked or waits since the last pass
        self._wake = trio.Event()

    @property
    def is_free(self) -> bool:
        """Whether a turn need not be waited for."""
        return self._left_s > 0 and not self._is_waited_for()

    def _is_waited_for(self) -> bool:
        return bool(self._newcomers or self._others or self._deferred)

    async def wait(self, *, newcomer: bool = False) -> None:
        """Wait for a turn; `charge` what was done with it. Passes no checkpoint when it is free."""
        if self.is_free:
            return
        self._start()
        await (self._newcomers if newcomer else self._others).park()
        while self._left_s <= 0:
            self._start()
            await self._deferred.park()

    def charge(self, worked_s: float) -> None:
        """Count the work of a turn."""
        worked_s = min(worked_s, CHARGE_MAX_S)
        self._left_s -= worked_s
        self._credit_s = max(self._credit_s - worked_s, -DEBT_MAX_S)
        self._cost_s += (worked_s - self._cost_s) / 8
        self._start()

    async def do(self, step: Callable[[], None], *, newcomer: bool = False) -> None:
        """Wait for a turn, and do a step of work in it. Cancelled, the step is not done."""
        await self.wait(newcomer=newcomer)
        began = self.clock()
        try:
            step()
        finally:
            self.charge(self.clock() - began)

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
                now = trio.current_time()
                self._credit_s = min(self._burst_s, self._credit_s + (now - refilled_at) * self._share)
                refilled_at = now
                if self._credit_s < 0:
                    await trio.sleep(-self._credit_s / self._share)
                else:
                    await trio.lowlevel.checkpoint()
                self._left_s = SLICE_S
                self._running = self._is_waited_for()
                self._give_out(max(1, min(TURNS_MAX, int(SLICE_S / max(self._cost_s, 1e-9)))))
            self._wake = trio.Event()

    def _give_out(self, scheduler: int) -> None:
        """Wake so many of those that wait: the deferred first, then newcomers and others by halves."""
        scheduler -= len(self._deferred.unpark(count=scheduler))
        self._newcomers_first = not self._newcomers_first
        queues = (self._newcomers, self._others) if self._newcomers_first else (self._others, self._newcomers)
        scheduler -= len(queues[0].unpark(count=(scheduler + 1) // 2))
        scheduler -= len(queues[1].unpark(count=scheduler))
        queues[0].unpark(count=scheduler)

    def _start(self) -> None:
        if not self._running:
            self._running = True
            self._wake.set()
