"""A connection: commands out and events in, over one link.

A command is handed to the link at once, and what the link would not take waits in the outbox for the
writer. So a frame is never torn by a cancelled caller: once a command is queued, it belongs to the
writer. The outbox is bounded: who has a command waits for space before it is queued.

Only the reader says that a connection has ended, and why. A send that fails says nothing of the reason,
which may be a `bye` that has come and was not read yet.
"""

import trio
from trio.lowlevel import ParkingLot

from trio_chat.client.exceptions import protocol_error
from trio_chat.client.foreign import Opening, as_lines
from trio_chat.dialects import EventReader
from trio_chat.dialects.frames import FrameEvents
from trio_chat.errors import BadMessage, ConnectionLost, ForeignServer, FrameError, LinkBroken, Refused
from trio_chat.net.link import Link
from trio_chat.wire.codec import encode
from trio_chat.wire.framing import FRAME_BYTES_MAX
from trio_chat.wire.messages import Command, Event, Hello

__all__ = ["OUTBOX_BYTES", "Connection"]

OUTBOX_BYTES = 65_536


class Connection:
    """Commands out and events in. One task runs `write`, one calls `receive`, any may send."""

    def __init__(self, link: Link, wire: EventReader | None = None) -> None:
        self.sent_at = self.heard_at = trio.current_time()
        self.frame_bytes = FRAME_BYTES_MAX
        self._link = link
        self._wire: EventReader = wire or FrameEvents()
        # Until the first message: over a WebSocket the answer to the upgrade has named the server.
        self._opening = Opening() if isinstance(self._wire, FrameEvents) else None
        self._outbox = bytearray()
        self._broken = False
        self._line = trio.Lock()  # fair: who waits for space first is first to send
        self._queued = ParkingLot()
        self._written = ParkingLot()

    async def receive(self) -> list[Event]:
        """Wait for what comes next, and take all of it that is there; may be nothing whole yet.

        Cancelling loses nothing. Raises `ConnectionLost` at the end of the connection, and `ServerFault`
        for what is no frame or no message; there is nothing more to receive after either.
        """
        try:
            data = await self._link.receive_some()
        except LinkBroken as error:
            raise self.foreign() or ConnectionLost(str(error)) from error
        except trio.ClosedResourceError as error:
            raise ConnectionLost("connection lost: it was closed here") from error
        if self._opening is not None:
            self._opening.feed(data)
        if not data:
            raise self.foreign() or ConnectionLost("connection lost: the server closed it without a word")
        try:
            events = self._wire.feed(data)
        except (FrameError, BadMessage) as error:
            raise self.foreign() or protocol_error(error.detail) from error
        if events:
            self._opening = None
        # Half a frame is no sign of life, nor is anything behind a close frame: bytes that never become a
        # frame must not keep a connection from being given up.
        if not self._wire.ended and (events or not self._wire.inside_frame):
            self.heard_at = trio.current_time()
        replies = self._wire.replies()
        if replies and not self.crowded:  # else the server does not read, and will not miss them
            self.send_nowait(replies)
        return events

    def pack(self, command: Command) -> bytes:
        """The frame of a command. Raises `Refused` for one that the server would end the connection for."""
        return self._frame(encode(command))

    def pack_hello(self, hello: Hello) -> bytes:
        """As `pack`; a server that reads lines answers this frame at once, too."""
        payload = encode(hello)
        return self._frame(payload if self._opening is None else as_lines(payload))

    def _frame(self, payload: bytes) -> bytes:
        if len(payload) > self.frame_bytes:
            raise Refused("too_long", f"longer than a frame may be ({self.frame_bytes} bytes)")
        return self._wire.frame(payload)

    def foreign(self) -> ForeignServer | None:
        """Return the error that names a server of another protocol, by what it sent before any message."""
        return self._opening.error() if self._opening is not None else None

    @property
    def is_broken(self) -> bool:
        """Whether nothing is sent on it any more."""
        return self._broken

    @property
    def crowded(self) -> bool:
        """Whether to wait for `space` before sending: the outbox is full, or others wait already."""
        return len(self._outbox) >= OUTBOX_BYTES or self._line.locked()

    async def space(self) -> None:
        """Wait until one more command may be queued, in the order of asking. To be used at once."""
        async with self._line:
            while len(self._outbox) >= OUTBOX_BYTES:
                await self._written.park()

    def send_nowait(self, frame: bytes) -> bool:
        """Send a frame, or queue what does not go out at once. On a broken connection it is forgotten,
        which is false: `receive` has the news, or will."""
        if self._broken:
            return False
        self.sent_at = trio.current_time()
        behind = bool(self._outbox)
        self._outbox += frame
        if not behind:
            self._push()
            self._queued.unpark_all()
        return True

    def close(self) -> None:
        """Close the link at once; idempotent."""
        self.abandon()
        self._link.close()

    def abandon(self) -> None:
        """Send nothing more; who waits for space goes on."""
        self._broken = True
        self._outbox.clear()
        self._written.unpark_all()

    async def write(self) -> None:
        """Send what the link did not take at once, until the connection breaks."""
        while not self._broken:
            await self.flush()
            if not self._broken:
                await self._queued.park()

    async def flush(self) -> None:
        """Wait until everything queued is out, or the connection broken."""
        while self._outbox:
            try:
                await self._link.wait_writable()
            except (LinkBroken, trio.ClosedResourceError):
                self.abandon()
            else:
                self._push()

    def _push(self) -> None:
        try:
            with memoryview(self._outbox) as view:
                took = self._link.send_nowait(view)
        except LinkBroken:
            self.abandon()
        else:
            del self._outbox[:took]
            self._written.unpark_all()
