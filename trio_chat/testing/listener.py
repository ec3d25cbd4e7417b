"""Listening on a `MemoryNetwork`: the queue of a listening socket, and the two listeners that use it.

`MemoryListener` shares the accept loop of the real listener (`net/listen.py`), so it behaves as a socket does
when a process has no file descriptor left, or a peer disconnects before it is accepted.
"""

import errno
import os
from collections import deque
from collections.abc import Callable
from math import inf

import trio

from trio_chat.net.link import Link
from trio_chat.net.listen import BaseListener
from trio_chat.testing.connection import MemoryConnection
from trio_chat.testing.pipe import Waiter
from trio_chat.testing.stream import MemoryStream

__all__ = ["ListenQueue", "MemoryListener", "StreamListener"]

BACKLOG = 4_096  # as many as our own listener asks the kernel for


class ListenQueue:
    """The connections that wait to be accepted. Such a connection is open already, as with TCP: its dialler
    may send. The queue is bounded: at the bound, dials hang."""

    def __init__(
        self, lacks_files: Callable[[], bool], changed: Callable[[], None], backlog: int = BACKLOG
    ) -> None:
        self._lacks_files = lacks_files
        self._changed = changed
        self._backlog = backlog
        self._waiting: deque[MemoryConnection] = deque()
        self._turn = Waiter()
        self.is_closed = False

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= self._backlog

    def come(self, connection: MemoryConnection) -> None:
        """Wait to be accepted."""
        self._waiting.append(connection)
        self._turn.wake()

    async def someone(self) -> None:
        """Wait until there is a connection to accept. Cancelling accepts none. Raises
        `trio.ClosedResourceError` when the queue is closed."""
        if self._waiting:
            await trio.lowlevel.checkpoint()
        while not self._waiting and not self.is_closed:
            await self._turn.wait(inf)
        if self.is_closed:
            raise trio.ClosedResourceError("closed")

    def accept(self) -> MemoryConnection:
        """Return the oldest waiting connection. Raises OSErrors as `socket.accept` does."""
        if not self._waiting:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        if self._lacks_files():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        connection = self._waiting.popleft()
        if (note := connection.ways[0].note) is not None:
            note("accept", connection.name)
        self._changed()
        return connection

    def close(self) -> None:
        """Refuse dials from now on, and reset the connections that were not accepted."""
        if self.is_closed:
            return
        self.is_closed = True
        for connection in self._waiting:
            connection.rst()
            connection.accepted.close()
        self._waiting.clear()
        self._turn.wake()
        self._changed()


class MemoryListener(BaseListener):
    """A `trio_chat.net.listen.Listener`; made by `MemoryNetwork.listen`."""

    def __init__(self, door: ListenQueue, address: str) -> None:
        super().__init__()
        self._door = door
        self.address = address

    async def _wait_for_connection(self) -> None:
        await self._door.someone()

    def _accept_one(self) -> Link:
        return self._door.accept().accepted

    def close(self) -> None:
        """Refuse dials from now on, and reset the connections that were not accepted; idempotent."""
        self._door.close()


class StreamListener(trio.abc.Listener[MemoryStream]):
    """A listener for `trio.serve_listeners`; made by `MemoryNetwork.listen_streams`."""

    def __init__(self, door: ListenQueue) -> None:
        self._door = door

    async def accept(self) -> MemoryStream:
        """Wait for a connection. Cancelling takes none. Raises OSError (EMFILE) while the host has no files,
        and `trio.ClosedResourceError` when the listener is closed."""
        await self._door.someone()
        return MemoryStream(self._door.accept().accepted)

    async def aclose(self) -> None:
        """Refuse dials from now on, and reset the connections that were not accepted; idempotent."""
        self._door.close()
        await trio.lowlevel.checkpoint()
