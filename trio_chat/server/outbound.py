"""The outbound queue of a session: the unsent remainder, the private replies, and a cursor for each room.

A session that keeps up is *live*: it is in the live set of each of its rooms, and each batch is sent to it
with one non-blocking send. When its socket takes fewer bytes than it was given, the session leaves the live
sets and is *behind*. From then on nothing is copied for it. The queue keeps only the rest of the shared
bytes that were being sent, and for each room the last sequence number sent (the cursor). A writer task waits
until the socket is writable, and `_drain` sends, always in this order: the remainder, the private replies,
the entries after the cursors. When every cursor is at the head of its room, the session goes live again, in
one step without a checkpoint.

Slow sessions, joins with history and resumed sessions all use this one mechanism.

Replies are also sent while the writer waits for the journal, so a disk that hangs does not delay a `bye`.

Replies go before entries, so a `room` reply is sent before its replay. The reply to `leave` must come after
all earlier entries of the room. `membership.leave` waits for that (`is_behind`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import trio

from trio_chat.errors import LinkBroken, StoreError
from trio_chat.server.fair_share import SLICE_S, WorkBudget
from trio_chat.server.outbound_handler import NO_HANDLER
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Gap

if TYPE_CHECKING:
    from trio_chat.dialects import Control, Packing
    from trio_chat.net.link import Link
    from trio_chat.server.fair_share import FairScheduler
    from trio_chat.server.outbound_handler import OutboundHandler
    from trio_chat.server.stream import Batch, RoomStream
    from trio_chat.server.streams import RoomStreams

__all__ = ["OutboundQueue"]

# With large buffers, Linux reports a slowly read socket as writable only after minutes, so try it more often.
WRITE_RETRY_S = 1.0
READ_RETRY_S = 1.0  # after a failed read of the journal

_NO_NOTICES: dict[RoomStream, int] = {}  # shared by all live sessions


class OutboundQueue:
    """The outbound queue of one session. Any task may call its synchronous methods; they never wait."""

    __slots__ = (
        "_budget",
        "_handler",
        "_next_remainder",
        "_progress",
        "_reading",
        "_remainder",
        "_seen_notices",
        "_sent",
        "_writing",
        "broken",
        "link",
        "live",
        "packing",
        "replies",
        "replies_bytes",
        "send_bare",
        "streams",
        "stuck_since",
    )

    def __init__(self, link: Link, packing: Packing, handler: OutboundHandler) -> None:
        self.link = link
        self.packing = packing
        self.send_bare = link.send_bare
        self._handler = handler
        self._budget: WorkBudget | None = None  # of the writer, once it has started
        self.live = True  # false while it is behind
        self.broken = False  # the connection is gone
        self.replies: list[bytes] = []
        self.replies_bytes = 0
        self.streams: dict[RoomStream, int] = {}  # the cursors, which are not updated while live
        # While behind: how many presence notices of each room the session has had.
        self._seen_notices: dict[RoomStream, int] = _NO_NOTICES
        self.stuck_since: float | None = None  # since when the socket has taken nothing
        self._remainder = b""
        self._sent = 0
        self._next_remainder = b""  # follows the remainder
        self._writing = False
        self._reading: tuple[RoomStream, trio.CancelScope] | None = None  # what the writer reads
        self._progress: trio.Event | None = None

    # --- input ---------------------------------------------------------------------------------------

    def send(self, payload: bytes) -> None:
        """Queue a private reply. The next `flush` or batch sends it."""
        self.replies.append(payload)
        self.replies_bytes += len(payload)

    def send_all(self, payloads: list[bytes]) -> None:
        self.replies += payloads
        self.replies_bytes += sum(map(len, payloads))

    def take_replies(self) -> bytes:
        """Return the bytes of all queued replies, which the caller must send, and empty the queue."""
        data = self.packing.pack(self.replies)
        self.replies.clear()
        self.replies_bytes = 0
        return data

    def flush(self) -> None:
        """Send what the socket takes now. Never raises: the handler is notified of a broken connection."""
        if self.live:
            if not self.replies:
                return
            data = self.take_replies()
            try:
                sent = self.link.send_nowait(data)
            except LinkBroken:
                self._handler.connection_lost()
                return
            if sent != len(data):
                self.fall_behind(data, sent)
        elif not self._writing:
            self._drain_inline()
        elif self._reading is not None:
            self._send_replies_during_read(self._reading[1])

    def subscribe(self, stream: RoomStream, cursor: int) -> None:
        """Send all entries of a room after `cursor`, from now on."""
        if not self.live:
            self._seen_notices[stream] = stream.notices
        elif cursor >= stream.head:
            stream.live[self] = None
        else:
            # Behind in one room is behind in all, as they share one socket. The next `flush` starts to send.
            self.fall_behind(b"", 0)
            self._seen_notices[stream] = stream.notices
        self.streams[stream] = cursor

    def unsubscribe(self, stream: RoomStream) -> None:
        """Send no more entries of a room."""
        stream.remove(self)
        self.streams.pop(stream, None)
        self._seen_notices.pop(stream, None)
        if self._reading is not None and self._reading[0] is stream:
            self._reading[1].cancel()

    def fall_behind(self, data: bytes, sent: int, then: bytes = b"") -> None:
        """Leave the live sets: the socket took `sent` bytes of `data`, and none of `then`. Copies nothing."""
        self.live = False
        self._seen_notices = {stream: stream.notices for stream in self.streams}
        for stream in self.streams:
            self.streams[stream] = stream.cursor(self)
            stream.remove(self)
        self._remainder = data
        self._sent = sent
        self._next_remainder = then
        if data:
            self.stuck_since = trio.current_time()
            self._writing = True
            self._handler.start_writer()

    def is_behind(self, stream: RoomStream, through: int) -> bool:
        """Return whether some of the room's entries up to `through` are not sent yet."""
        return (
            stream in self.streams and (stream.cursor(self) if self.live else self.streams[stream]) < through
        )

    # --- closing -------------------------------------------------------------------------------------

    def connection_lost(self) -> None:
        """Handle a connection that broke during another task's send."""
        self._handler.connection_lost()

    def close(self, bye: bytes | None, close_frame: Control | None = None, *, drop: bool) -> None:
        """Leave all rooms, and send `bye` and `close_frame` (the dialect's close frame) as the last replies.

        With `drop`, a session that is behind gets no queued replies either: of the remainder, only the frame
        that was partly sent is completed. A live session gets its replies in any case.
        """
        for stream in list(self.streams):
            self.unsubscribe(stream)
        if drop and not self.live:
            self.replies.clear()
            self.replies_bytes = 0
            self._remainder = self._remainder[: self.packing.frame_boundary(self._remainder, self._sent)]
            self._next_remainder = b""
        for last in filter(None, (bye, close_frame)):
            self.send(last)
        self.flush()
        self.notify()

    def release_handler(self) -> None:
        """Release the handler, to break a reference cycle.

        Until the garbage collector found it, the session would keep its input buffer of up to 64 KiB.
        """
        self._handler = NO_HANDLER

    async def wait_sent(self) -> None:
        """Wait until everything is sent, or the connection is gone."""
        while self._writing:
            await self.wait_progress()

    async def wait_progress(self) -> None:
        """Wait until the writer makes progress. Return at once when no writer runs."""
        if not self._writing:
            await trio.lowlevel.checkpoint()
            return
        if self._progress is None:
            self._progress = trio.Event()
        await self._progress.wait()

    # --- the writer ----------------------------------------------------------------------------------

    async def catch_up(self, streams: RoomStreams, scheduler: FairScheduler) -> None:
        """Write until everything is sent and the session is live again.

        Only one task at a time may run this. It works in slices, and takes turns with other tasks once it
        has used up its budget. Raises `LinkBroken` when the connection is gone.
        """
        if self._budget is None and scheduler.are_limited:
            self._budget = WorkBudget(trio.current_time())
        try:
            while True:
                if in_turn := self._budget is not None and self._budget.is_spent(trio.current_time()):
                    await scheduler.wait()
                began = scheduler.clock()
                stuck = self._drain()
                worked_s = scheduler.clock() - began
                if in_turn:
                    scheduler.charge(worked_s)
                if self._budget is not None:
                    self._budget.charge(worked_s, trio.current_time())
                if stuck is None:
                    return
                self.notify()
                if stuck == "socket":
                    await self._wait_writable()
                elif stuck == "slice":
                    await trio.lowlevel.checkpoint()
                else:
                    await self._read_page(stuck, streams)
        finally:
            self._writing = False
            self.notify()

    def _drain_inline(self) -> None:
        """Send what the socket takes without a writer task; start one only when something is left."""
        try:
            stuck = self._drain()
        except LinkBroken:
            self._handler.connection_lost()
            return
        if stuck is not None:
            self._writing = True
            self._handler.start_writer()

    def _send_replies_during_read(self, page: trio.CancelScope) -> None:
        """Send the replies while the writer waits for a page.

        When the socket does not take all of them, cancel the read: the writer must send the rest first.
        """
        try:
            while self._send_remainder() and self.replies:
                self._remainder = self.take_replies()
        except LinkBroken:
            self._handler.connection_lost()
        if self._remainder:
            page.cancel()

    def _drain(self) -> RoomStream | Literal["socket", "slice"] | None:
        """Send what the socket takes, and return why it stopped.

        The reason is the full socket, the end of a slice of work, or a room whose tail does not reach back to
        the cursor. None means that everything is sent and the session is live again.
        """
        until = self._handler.work_clock() + SLICE_S
        while self._send_remainder():
            if self.replies:
                self._remainder = self.take_replies()
            elif stream := self._next_stream():
                batch = stream.after(self.streams[stream])
                if batch is None:
                    return stream
                self._send_batch(stream, batch)
            elif not self._send_missed_presence():
                self._go_live()
                return None
            if self._handler.work_clock() >= until:  # checked last, so that each slice sends something
                return "slice"
        return "socket"

    def _send_remainder(self) -> bool:
        """Send the remainder; return whether all of it was sent."""
        while self._remainder:
            rest = memoryview(self._remainder)[self._sent :] if self._sent else self._remainder
            sent = self.link.send_nowait(rest)
            self._sent += sent
            if sent < len(rest):
                if sent or self.stuck_since is None:
                    self.stuck_since = trio.current_time()
                return False
            self._remainder, self._sent, self._next_remainder = self._next_remainder, 0, b""
        self.stuck_since = None
        return True

    def _next_stream(self) -> RoomStream | None:
        """Return a room with entries after its cursor."""
        for stream, cursor in self.streams.items():
            if cursor < stream.head:
                return stream
        return None

    def _send_batch(self, stream: RoomStream, batch: Batch) -> None:
        # The room moves to the end: a busy room must not block all others of a slow session.
        self._remainder = batch.packed(self.packing, self.streams.pop(stream))
        self.streams[stream] = batch.last

    def _send_missed_presence(self) -> bool:
        """Queue the member list of one room whose notices were missed; return false when there is none.

        All rooms at once could be six megabytes.
        """
        for stream, notices in self._seen_notices.items():
            if notices != stream.notices:
                self._seen_notices[stream] = stream.notices
                self.send(self._handler.members_page(stream))
                return True
        return False

    def _go_live(self) -> None:
        self.live = True
        self._seen_notices = _NO_NOTICES
        for stream in self.streams:
            stream.live[self] = None

    async def _wait_writable(self) -> None:
        # An interrupt means that there may be something new to send.
        with suppress(trio.ClosedResourceError), trio.move_on_after(WRITE_RETRY_S):
            await self.link.wait_writable()

    async def _read_page(self, stream: RoomStream, streams: RoomStreams) -> None:
        """Read the next page of a room from the journal and send it, unless replies become more urgent."""
        cursor = self.streams[stream]
        batch: Batch | None = None
        with trio.CancelScope() as page:
            self._reading = (stream, page)
            try:
                batch = await streams.after(stream, cursor)
            except StoreError:
                await trio.sleep(READ_RETRY_S)
            finally:
                self._reading = None
        if batch is None or self._remainder or self.streams.get(stream) != cursor:
            return  # the read was cancelled or failed, the socket is full, or the room was left meanwhile
        if batch.first > cursor + 1:
            self.send(encode(Gap(stream.shown, cursor, batch.first, kept=False)))
            self.streams[stream] = batch.first - 1
        else:
            self._send_batch(stream, batch)

    def notify(self) -> None:
        """Wake the tasks in `wait_progress`."""
        if self._progress is not None:
            self._progress.set()
            self._progress = None
