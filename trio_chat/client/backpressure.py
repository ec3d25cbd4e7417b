"""The brake: when the reader reads, and when it holds.

It reads while the inbox has space. When that is full it holds, and the server, whose socket takes no
more, lets this session fall behind at no cost: until the program takes something, or something the
program waits for needs the reader. Every 20 s it takes what there is all the same, since a server ends a
session whose socket takes nothing for a minute.
"""

import trio
from trio.lowlevel import ParkingLot

from trio_chat.client.inbox import Inbox

__all__ = ["Backpressure"]

HOLD_S = 20
BREATH_S = 1  # of reading after it: one read alone need not open the window of a large socket buffer


class Backpressure:
    """Between the reader and its next read.

    `with brake:` the reader goes on, whatever comes, for as long as the block lasts: around every wait
    whose end depends on the server. An answer may come behind any number of events, and a server that is
    owed much reads no commands.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._waiting = 0
        self._read_until = 0.0
        self._held = ParkingLot()

    @property
    def paused(self) -> bool:
        return bool(self._held)

    def __enter__(self) -> None:
        self._waiting += 1
        self._held.unpark_all()

    def __exit__(self, *_: object) -> None:
        self._waiting -= 1

    def resume(self) -> None:
        """The program has taken something."""
        if not self._inbox.full:
            self._held.unpark_all()

    async def wait(self) -> None:
        """Wait until there is a reason to read. Does not wait, nor pass a checkpoint, while there is one."""
        if self._off():
            return
        with trio.move_on_after(HOLD_S):
            while True:
                await self._held.park()
                if self._off():
                    return
        self._read_until = trio.current_time() + BREATH_S

    def _off(self) -> bool:
        return not self._inbox.full or self._waiting > 0 or trio.current_time() < self._read_until
