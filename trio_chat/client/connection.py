"""A connection: commands out and events in, over one link.

A command is given to the link at once. Bytes that the link does not take wait in the outbox for the writer,
so a cancelled caller never tears a frame: a queued command belongs to the writer. The outbox is bounded:
callers wait for space before they queue a command.

Only the reader reports that a connection has ended, and why. A failed send does not know the reason, which
may be a `bye` that is not read yet.
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
        # Until the first message; with a WebSocket the answer to the upgrade has identified the server.
        self._opening = Opening() if isinstance(self._wire, FrameEvents) else None
        self._outbox = bytearray()
        self._broken = False
        self._line = trio.Lock()  # fair: the first caller that waits for space sends first
        self._queued = ParkingLot()
        self._written = ParkingLot()

    async def receive(self) -> list[Event]:
        """Wait for the next bytes and return the events in them; possibly none yet.

        Cancelling loses nothing. Raises `ConnectionLost` at the end of the connection, and `ProtocolError`
        for bytes that are no frame or no message; nothing more can be received after either.
        """
        try:
            data = await self._link.receive_some()
        except LinkBroken as error:
            raise self.foreign() or ConnectionLost(str(error)) from error
        except trio.ClosedResourceError as error:
            raise ConnectionLost("connection lost: this client closed it") from error
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
        # Half a frame is no sign of life, nor are bytes behind a close frame: bytes that never become a frame
        # must not keep a dead connection open.
        if not self._wire.ended and (events or not self._wire.inside_frame):
            self.heard_at = trio.current_time()
        replies = self._wire.replies()
        if replies and not self.crowded:  # a server that does not read needs no replies
            self.send_nowait(replies)
        return events

    def pack(self, command: Command) -> bytes:
        """Return the frame of a command. Raises `Refused` if it is too long for the server."""
        return self._frame(encode(command))

    def pack_hello(self, hello: Hello) -> bytes:
        """Return the frame of a `hello`. A server of a line protocol answers it at once, too."""
        payload = encode(hello)
        return self._frame(payload if self._opening is None else as_lines(payload))

    def _frame(self, payload: bytes) -> bytes:
        if len(payload) > self.frame_bytes:
            raise Refused("too_long", f"the command is longer than a frame ({self.frame_bytes} bytes)")
        return self._wire.frame(payload)

    def foreign(self) -> ForeignServer | None:
        """Return the error for a server of another protocol, by its bytes before the first message."""
        return self._opening.error() if self._opening is not None else None

    @property
    def is_broken(self) -> bool:
        """Whether the connection sends nothing any more."""
        return self._broken

    @property
    def crowded(self) -> bool:
        """Whether a caller must wait for `space`: the outbox is full, or other callers wait."""
        return len(self._outbox) >= OUTBOX_BYTES or self._line.locked()

    async def space(self) -> None:
        """Wait until one more command may be queued, in the order of the calls. Queue it without a
        checkpoint."""
        async with self._line:
            while len(self._outbox) >= OUTBOX_BYTES:
                await self._written.park()

    def send_nowait(self, frame: bytes) -> bool:
        """Send a frame, and queue the bytes that the link does not take. Return False on a broken connection,
        which drops the frame; `receive` reports the reason."""
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
        """Send nothing more, and wake the callers that wait for space."""
        self._broken = True
        self._outbox.clear()
        self._written.unpark_all()

    async def write(self) -> None:
        """Send queued bytes until the connection breaks."""
        while not self._broken:
            await self.flush()
            if not self._broken:
                await self._queued.park()

    async def flush(self) -> None:
        """Wait until the outbox is empty or the connection broken."""
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
