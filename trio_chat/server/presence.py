"""Presence, told: one task that sends each room what changed in it.

The first change in a room goes out with the next pass of the server. After a notice the room is quiet for a
while, in which further changes gather: 20 ms in rooms of up to 200 members, so that a storm of joins does not
make a notice to everybody for each. In larger rooms it is 250 ms, or ten times what the last notice cost to
send, so that a storm in a room of ten thousand spends at most a tenth of the server on presence.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

import trio

from trio_chat.server.fair_share import SLICE_S, WorkBudget
from trio_chat.server.fanout import SENDS_AT_ONCE, tell
from trio_chat.server.stream import Batch
from trio_chat.wire.codec import encode

if TYPE_CHECKING:
    from trio_chat.hub.hub import Hub
    from trio_chat.hub.rooms import Room
    from trio_chat.server.fair_share import FairScheduler
    from trio_chat.server.session import Session
    from trio_chat.server.streams import RoomStreams

__all__ = ["PresenceNotifier"]

GATHER_S = 0.02
INTERVAL_S = 0.25
COST_FACTOR = 10
# One rename may be a notice in each of a hundred rooms of two hundred members: 20 ms of work.
BUDGET_BURST_S = 0.05
BUDGET_PER_S = 0.1


class PresenceNotifier:
    """Call `changed` after each change of a room; `run` tells it."""

    def __init__(
        self,
        hub: Hub[Session],
        streams: RoomStreams,
        scheduler: FairScheduler,
        sends_at_once: int = SENDS_AT_ONCE,
    ) -> None:
        self._hub = hub
        self._feeds = streams
        self._sends_at_once = sends_at_once
        self._turns = scheduler
        self._budget: WorkBudget | None = None
        self._due: dict[str, None] = {}  # rooms to be told now
        self._gathering: dict[str, None] = {}  # rooms to be told when their quiet ends
        self._quiet_until: dict[str, float] = {}
        self._ends: list[tuple[float, str]] = []  # a heap of these; some may count no more
        self._news = trio.Event()

    def changed(self, room: Room[Session]) -> None:
        """The room has something to tell."""
        key = room.key
        quiet_until = self._quiet_until.get(key)
        if quiet_until is not None:
            if room.large or quiet_until - trio.current_time() <= GATHER_S:
                self._gathering[key] = None
                return
            del self._quiet_until[key]  # a large room has become small
            self._gathering.pop(key, None)
        self._due[key] = None
        self._news.set()

    async def run(self) -> None:
        """Tell what is due, until cancelled; in slices, and in turn with others beyond the budget."""
        if self._turns.are_limited:
            self._budget = WorkBudget(trio.current_time(), burst_s=BUDGET_BURST_S, per_s=BUDGET_PER_S)
        while True:
            with trio.move_on_at(self._ends[0][0] if self._ends else float("inf")):
                await self._news.wait()
            # What else changes in this pass goes out with it.
            await trio.lowlevel.checkpoint()
            self._news = trio.Event()
            self._end_quiet(trio.current_time())
            due, self._due = self._due, {}
            began = self._turns.clock()
            in_turn = False
            for key in due:
                await self._tell(key)
                if self._turns.clock() - began >= SLICE_S:
                    in_turn = await self._next_slice(began, in_turn)
                    began = self._turns.clock()
            self._charge(began, in_turn)

    async def _next_slice(self, began: float, in_turn: bool) -> bool:
        """Let the loop go round, or wait for a turn; return which."""
        self._charge(began, in_turn)
        if self._budget is not None and self._budget.is_spent(trio.current_time()):
            await self._turns.wait()
            return True
        await trio.lowlevel.checkpoint()
        return False

    def _charge(self, began: float, in_turn: bool) -> None:
        worked_s = self._turns.clock() - began
        if in_turn:
            self._turns.charge(worked_s)
        if self._budget is not None:
            self._budget.charge(worked_s, trio.current_time())

    def _end_quiet(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            until, key = heappop(self._ends)
            if self._quiet_until.get(key) != until:
                continue
            del self._quiet_until[key]
            if key in self._gathering:
                del self._gathering[key]
                self._due[key] = None

    async def _tell(self, key: str) -> None:
        room = self._hub.rooms.get(key)
        notice = room.notice() if room is not None else None
        if room is None or notice is None:
            return
        large = room.large
        begun = trio.current_time()
        await tell(self._feeds[key], Batch(0, [encode(notice)]), sends_at_once=self._sends_at_once)
        now = trio.current_time()
        quiet_until = now + (max(INTERVAL_S, COST_FACTOR * (now - begun)) if large else GATHER_S)
        self._quiet_until[key] = quiet_until
        heappush(self._ends, (quiet_until, key))
        if key in self._due:  # what has changed while it was told waits as well
            del self._due[key]
            self._gathering[key] = None
