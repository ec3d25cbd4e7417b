"""The presence notifier: one task sends each room its changes of membership.

The first change in a room is sent in the next pass of the event loop. After a notice, changes are collected
for a while (the quiet time) and then sent together. In rooms of up to 200 members it is 20 ms, so that many
joins at once do not cause a notice each. In larger rooms it is 250 ms, or ten times as long as sending the
last notice took. So even in a room of ten thousand, presence takes at most a tenth of the server's time.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

import trio

from trio_chat.server.fair_share import SLICE_S, WorkBudget
from trio_chat.server.fanout import SENDS_AT_ONCE, send_notice
from trio_chat.server.stream import Batch
from trio_chat.wire.codec import encode

if TYPE_CHECKING:
    from trio_chat.hub.hub import Hub
    from trio_chat.hub.rooms import RoomMembers
    from trio_chat.server.fair_share import FairScheduler
    from trio_chat.server.session import Session
    from trio_chat.server.streams import RoomStreams

__all__ = ["PresenceNotifier"]

GATHER_S = 0.02
INTERVAL_S = 0.25
COST_FACTOR = 10
# One rename may cause a notice in each of a hundred rooms of two hundred members: 20 ms of work.
BUDGET_BURST_S = 0.05
BUDGET_PER_S = 0.1


class PresenceNotifier:
    """Sends presence notices from `run`. Call `changed` after each change of a room."""

    def __init__(
        self,
        hub: Hub[Session],
        streams: RoomStreams,
        scheduler: FairScheduler,
        sends_at_once: int = SENDS_AT_ONCE,
    ) -> None:
        self._hub = hub
        self._streams = streams
        self._sends_at_once = sends_at_once
        self._scheduler = scheduler
        self._budget: WorkBudget | None = None
        self._due: dict[str, None] = {}  # rooms to notify now
        self._gathering: dict[str, None] = {}  # rooms to notify after their quiet time
        self._quiet_until: dict[str, float] = {}
        self._quiet_ends: list[tuple[float, str]] = []  # a heap of the quiet times; may hold outdated ones
        self._wakeup = trio.Event()

    def changed(self, room: RoomMembers[Session]) -> None:
        """Schedule a notice to the room."""
        key = room.key
        quiet_until = self._quiet_until.get(key)
        if quiet_until is not None:
            if room.large or quiet_until - trio.current_time() <= GATHER_S:
                self._gathering[key] = None
                return
            del self._quiet_until[key]  # a large room became small
            self._gathering.pop(key, None)
        self._due[key] = None
        self._wakeup.set()

    async def run(self) -> None:
        """Send due notices until cancelled, in slices. Beyond its budget, take turns with other tasks."""
        if self._scheduler.are_limited:
            self._budget = WorkBudget(trio.current_time(), burst_s=BUDGET_BURST_S, per_s=BUDGET_PER_S)
        while True:
            with trio.move_on_at(self._quiet_ends[0][0] if self._quiet_ends else float("inf")):
                await self._wakeup.wait()
            # Include further changes of this pass of the loop.
            await trio.lowlevel.checkpoint()
            self._wakeup = trio.Event()
            self._end_quiet(trio.current_time())
            due, self._due = self._due, {}
            began = self._scheduler.clock()
            in_turn = False
            for key in due:
                await self._notify_room(key)
                if self._scheduler.clock() - began >= SLICE_S:
                    in_turn = await self._next_slice(began, in_turn)
                    began = self._scheduler.clock()
            self._charge(began, in_turn)

    async def _next_slice(self, began: float, in_turn: bool) -> bool:
        """Pass a checkpoint, or wait for a turn when the budget is spent; return whether it was a turn."""
        self._charge(began, in_turn)
        if self._budget is not None and self._budget.is_spent(trio.current_time()):
            await self._scheduler.wait()
            return True
        await trio.lowlevel.checkpoint()
        return False

    def _charge(self, began: float, in_turn: bool) -> None:
        worked_s = self._scheduler.clock() - began
        if in_turn:
            self._scheduler.charge(worked_s)
        if self._budget is not None:
            self._budget.charge(worked_s, trio.current_time())

    def _end_quiet(self, now: float) -> None:
        while self._quiet_ends and self._quiet_ends[0][0] <= now:
            until, key = heappop(self._quiet_ends)
            if self._quiet_until.get(key) != until:
                continue
            del self._quiet_until[key]
            if key in self._gathering:
                del self._gathering[key]
                self._due[key] = None

    async def _notify_room(self, key: str) -> None:
        room = self._hub.rooms.get(key)
        notice = room.notice() if room is not None else None
        if room is None or notice is None:
            return
        large = room.large
        begun = trio.current_time()
        await send_notice(self._streams[key], Batch(0, [encode(notice)]), sends_at_once=self._sends_at_once)
        now = trio.current_time()
        quiet_until = now + (max(INTERVAL_S, COST_FACTOR * (now - begun)) if large else GATHER_S)
        self._quiet_until[key] = quiet_until
        heappush(self._quiet_ends, (quiet_until, key))
        if key in self._due:  # changes during the send wait for the quiet time as well
            del self._due[key]
            self._gathering[key] = None
