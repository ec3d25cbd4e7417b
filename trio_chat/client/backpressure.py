"""Backpressure: when the reader reads, and when it pauses.

The reader reads while the inbox has space. When the inbox is full, it pauses. The server's socket then takes
no more, and the server lets this session fall behind at no cost, until the program takes an event, or until a
request of the program needs the reader. Every 20 s the reader reads all the same, because a server ends a
session whose socket takes nothing for a minute.
"""

import trio
from trio.lowlevel import ParkingLot

from trio_chat.client.inbox import Inbox

__all__ = ["Backpressure"]

PAUSE_S = 20
READ_S = 1  # of reading after a pause: a single read may not open the window of a large socket buffer


class Backpressure:
    """Pause and resume the reader.

    Inside `with backpressure:` the reader does not pause. Use it around every wait for the server: an answer
    may come behind any number of events, and a server with many unread replies reads no commands.
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
        """Note that the program has taken an event."""
        if not self._inbox.full:
            self._held.unpark_all()

    async def wait(self) -> None:
        """Wait until there is a reason to read. Pass no checkpoint if there is one already."""
        if self._may_read():
            return
        with trio.move_on_after(PAUSE_S):
            while True:
                await self._held.park()
                if self._may_read():
                    return
        self._read_until = trio.current_time() + READ_S

    def _may_read(self) -> bool:
        return not self._inbox.full or self._waiting > 0 or trio.current_time() < self._read_until
