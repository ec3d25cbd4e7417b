"""Share the event loop's time fairly, so that no connection delays the others.

*Slices.* A task that processes the input of a peer passes a checkpoint after `SLICE_S` of work, whatever the
number of commands was.

*Turns.* A session within its budget of work (`WorkBudget`) runs as soon as its bytes arrive. All other work
waits for a turn: connections before their hello, HTTP, connections that end, and sessions and writers that
have used up their budget. One slice of this work runs between two passes of the loop, and in the long run it
gets `SHARE` of the time. So it does not delay most messages of the sessions within their budget. After a
quiet time, `BURST_S` of it runs without a pause, which is enough for a few thousand new connections.

There are two queues, which are served alternately, so that new connections do not wait behind sessions that
flood the server.

Work is measured with a clock that is passed in, which tests control.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

__all__ = ["SHARE", "SLICE_S", "FairScheduler", "WorkBudget"]

SLICE_S = 0.001
SHARE = 1 / 4
BURST_S = 1.0
# Work is measured in wall time. If the machine stalls during a turn, other tasks must not pay for the stall.
CHARGE_MAX_S = 0.02
DEBT_MAX_S = 0.05
READ_S = 0.00005  # about how long reading 64 KiB takes
TURNS_MAX = 16  # in one pass, even if the last turns were cheap

BUDGET_BURST_S = 0.005  # enough to join about fifty rooms
BUDGET_PER_S = 0.002  # five messages and ten queries a second take less
BUDGET_DEBT_S = 10.0  # after a flood, the longest time until a session is within its budget again


class WorkBudget:
    """How much work a session or a task may do before it must take turns.

    A token bucket in the form of the generic cell rate algorithm (ITU-T I.371). Its state is one number, the
    time at which the bucket would be full again. It starts empty, as a client could otherwise get a full
    bucket by reconnecting.
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
    """The queues of tasks that wait for a turn. `run` grants the turns.

    A server without rate limits has `are_limited` false: it grants turns without a pause, and no session has
    a budget.
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
        """The clock that measures work, in seconds."""
        self.are_limited = are_limited
        self._share = share if are_limited else 1.0
        self._burst_s = burst_s
        self._credit_s = burst_s  # work that may be done without a pause
        self._pass_left_s = SLICE_S  # left for turns in this pass
        self._cost_s = SLICE_S  # about the cost of one turn, as a moving average
        self._newcomers = trio.lowlevel.ParkingLot()
        self._others = trio.lowlevel.ParkingLot()
        self._newcomers_first = False
        self._deferred = trio.lowlevel.ParkingLot()  # were granted a turn in a pass that had no time left
        self._running = False  # whether there was work, or a waiting task, since the last pass
        self._wake = trio.Event()

    @property
    def is_free(self) -> bool:
        """Whether a turn is available without waiting."""
        return self._pass_left_s > 0 and not self._is_waited_for()

    def _is_waited_for(self) -> bool:
        return bool(self._newcomers or self._others or self._deferred)

    async def wait(self, *, newcomer: bool = False) -> None:
        """Wait for a turn. Call `charge` with the work done in it. Passes no checkpoint when it is free."""
        if self.is_free:
            return
        self._start_passes()
        await (self._newcomers if newcomer else self._others).park()
        while self._pass_left_s <= 0:
            self._start_passes()
            await self._deferred.park()

    def charge(self, worked_s: float) -> None:
        """Count the work done in a turn."""
        worked_s = min(worked_s, CHARGE_MAX_S)
        self._pass_left_s -= worked_s
        self._credit_s = max(self._credit_s - worked_s, -DEBT_MAX_S)
        self._cost_s += (worked_s - self._cost_s) / 8
        self._start_passes()

    async def do(self, step: Callable[[], None], *, newcomer: bool = False) -> None:
        """Wait for a turn, and run a step of work in it. When cancelled, the step does not run."""
        await self.wait(newcomer=newcomer)
        began = self.clock()
        try:
            step()
        finally:
            self.charge(self.clock() - began)

    async def pace(self) -> None:
        """Wait for a turn to read once more from a connection that is being closed."""
        self.charge(READ_S)
        await self.wait()

    async def run(self) -> None:
        """Grant turns until cancelled."""
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
                self._pass_left_s = SLICE_S
                self._running = self._is_waited_for()
                self._grant_turns(max(1, min(TURNS_MAX, int(SLICE_S / max(self._cost_s, 1e-9)))))
            self._wake = trio.Event()

    def _grant_turns(self, count: int) -> None:
        """Wake up to `count` waiting tasks: deferred ones first, then half from each of the two queues."""
        count -= len(self._deferred.unpark(count=count))
        self._newcomers_first = not self._newcomers_first
        queues = (self._newcomers, self._others) if self._newcomers_first else (self._others, self._newcomers)
        count -= len(queues[0].unpark(count=(count + 1) // 2))
        count -= len(queues[1].unpark(count=count))
        queues[0].unpark(count=count)

    def _start_passes(self) -> None:
        if not self._running:
            self._running = True
            self._wake.set()
