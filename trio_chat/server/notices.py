"""Presence, told: one task that sends each room what changed in it.

In rooms of up to 200 members a notice goes out with the next pass of the server. In larger ones at most
one in 250 ms, or in ten times what the last one cost to send, so that a storm of joins in a room of ten
thousand spends at most a tenth of the server on telling everybody about everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_chat.server.fanout import SENDS_AT_ONCE, tell
from trio_chat.server.tail import Batch
from trio_chat.wire.codec import encode

if TYPE_CHECKING:
    from trio_chat.hub.hub import Hub
    from trio_chat.hub.rooms import Room
    from trio_chat.server.feeds import Feeds
    from trio_chat.server.session import Session

__all__ = ["Notices"]

INTERVAL_S = 0.25
COST_FACTOR = 10


class Notices:
    """Call `changed` after each change of a room; `run` tells it."""

    def __init__(self, hub: Hub[Session], feeds: Feeds, sends_at_once: int = SENDS_AT_ONCE) -> None:
        self._hub = hub
        self._feeds = feeds
        self._sends_at_once = sends_at_once
        self._due: dict[str, float] = {}  # rooms to be told, and when
        self._quiet_until: dict[str, float] = {}  # of large rooms
        self._news = trio.Event()

    def changed(self, room: Room[Session]) -> None:
        """The room has something to tell."""
        if not room.large:
            self._due[room.key] = 0.0
        elif room.key not in self._due:
            self._due[room.key] = self._quiet_until.pop(room.key, 0.0)
        self._news.set()

    async def run(self) -> None:
        """Tell what is due, until cancelled."""
        while True:
            with trio.move_on_at(min(self._due.values(), default=float("inf"))):
                await self._news.wait()
            # What else changes in this pass goes out with it.
            await trio.lowlevel.checkpoint()
            self._news = trio.Event()
            now = trio.current_time()
            for key in [key for key, due in self._due.items() if due <= now]:
                del self._due[key]
                await self._tell(key)
            for key in [key for key, until in self._quiet_until.items() if until <= now]:
                del self._quiet_until[key]

    async def _tell(self, key: str) -> None:
        room = self._hub.rooms.get(key)
        notice = room.notice() if room is not None else None
        if room is None or notice is None:
            return
        large = room.large
        begun = trio.current_time()
        await tell(self._feeds[key], Batch(0, [encode(notice)]), sends_at_once=self._sends_at_once)
        if large:
            now = trio.current_time()
            quiet_until = now + max(INTERVAL_S, COST_FACTOR * (now - begun))
            # What has changed while it was told waits as well.
            (self._due if key in self._due else self._quiet_until)[key] = quiet_until
