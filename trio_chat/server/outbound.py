"""What a session is owed: the remainder its socket did not take, its private answers, a cursor a room.

A session that keeps up is *live*: it stands in the live set of each of its rooms and is handed every
batch by one non-blocking send. When its socket takes less than it was given, it leaves the live sets.
From then on nothing is copied for it: what is kept is the rest of the shared bytes it was being sent,
and for each room the number it has seen. A writer task waits until the socket can take more, and
`_pump` gives it, always in this order: the remainder, the private answers, what the rooms have said
since. At the head of every room it goes live again, in one step without a checkpoint.

Joining with history, resuming, and being slow are this one mechanism.

Answers go out beside a writer that waits for the journal: a disk that hangs keeps nobody from its `bye`.

The order answers → rooms is what makes `room` come before its replay. The other way round, nothing of a
room after the answer to `leave`, is the leaver's to see to: it waits while it is `behind`.
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

# With large buffers Linux reports that a socket is writable only after minutes of slow reading; so it is
# tried every second.
TRY_S = 1.0
READ_AGAIN_S = 1.0  # … and a journal that cannot be read, as often

_NONE_TOLD: dict[RoomStream, int] = {}  # shared by all who are live, which is nearly everybody


class OutboundQueue:
    """One session's way out. What is not async never waits, and any task may call it."""

    __slots__ = (
        "_budget",
        "_moved",
        "_owner",
        "_reading",
        "_remainder",
        "_sent",
        "_then",
        "_told",
        "_writing",
        "answers",
        "answers_bytes",
        "broken",
        "link",
        "live",
        "packing",
        "send_bare",
        "streams",
        "stuck_since",
    )

    def __init__(self, link: Link, packing: Packing, owner: OutboundHandler) -> None:
        self.link = link
        self.packing = packing
        self.send_bare = link.send_bare
        self._owner = owner
        self._budget: WorkBudget | None = None  # of the writer, from its first start on
        self.live = True
        self.broken = False  # the connection is gone
        self.answers: list[bytes] = []
        self.answers_bytes = 0
        self.streams: dict[RoomStream, int] = {}  # the cursor; without meaning while live
        self._told: dict[RoomStream, int] = _NONE_TOLD  # while behind: how many notices each room had before
        self.stuck_since: float | None = None  # since when the socket takes nothing
        self._remainder = b""
        self._sent = 0
        self._then = b""  # what comes right behind the remainder
        self._writing = False
        self._reading: tuple[RoomStream, trio.CancelScope] | None = None  # the page that the writer waits for
        self._moved: trio.Event | None = None

    # --- what comes in -------------------------------------------------------------------------------

    def send(self, payload: bytes) -> None:
        """Owe a private answer. It goes out with the next `flush` or batch, whichever comes first."""
        self.answers.append(payload)
        self.answers_bytes += len(payload)

    def send_all(self, payloads: list[bytes]) -> None:
        self.answers += payloads
        self.answers_bytes += sum(map(len, payloads))

    def take_replies(self) -> bytes:
        """The bytes of all private answers owed, which the caller sends."""
        data = self.packing.pack(self.answers)
        self.answers.clear()
        self.answers_bytes = 0
        return data

    def flush(self) -> None:
        """Send what can be sent now. Never raises: a broken connection is told to the owner."""
        if self.live:
            if not self.answers:
                return
            data = self.take_replies()
            try:
                sent = self.link.send_nowait(data)
            except LinkBroken:
                self._owner.lost()
                return
            if sent != len(data):
                self.fall_behind(data, sent)
        elif not self._writing:
            self._wake()
        elif self._reading is not None:
            self._send_beside(self._reading[1])

    def enter(self, stream: RoomStream, cursor: int) -> None:
        """Owe everything of a room above `cursor`."""
        if not self.live:
            self._told[stream] = stream.notices
        elif cursor >= stream.head:
            stream.live[self] = None
        else:
            # Behind in one room is behind in all: one socket, one order. The next `flush` begins.
            self.fall_behind(b"", 0)
            self._told[stream] = stream.notices
        self.streams[stream] = cursor

    def exit(self, stream: RoomStream) -> None:
        """Owe nothing more of a room."""
        stream.gone(self)
        self.streams.pop(stream, None)
        self._told.pop(stream, None)
        if self._reading is not None and self._reading[0] is stream:
            self._reading[1].cancel()

    def fall_behind(self, data: bytes, sent: int, then: bytes = b"") -> None:
        """Leave the live sets: of `data` the socket took `sent` bytes, of `then` none. Nothing is copied."""
        self.live = False
        self._told = {stream: stream.notices for stream in self.streams}
        for stream in self.streams:
            self.streams[stream] = stream.cursor(self)
            stream.gone(self)
        self._remainder = data
        self._sent = sent
        self._then = then
        if data:
            self.stuck_since = trio.current_time()
            self._writing = True
            self._owner.fell_behind()

    def behind(self, stream: RoomStream, through: int) -> bool:
        """Whether some of the room's entries up to `through` are still owed."""
        return (
            stream in self.streams and (stream.cursor(self) if self.live else self.streams[stream]) < through
        )

    # --- the end -------------------------------------------------------------------------------------

    def break_off(self) -> None:
        """The connection broke under a send that another task made."""
        self._owner.lost()

    def close(self, bye: bytes | None, farewell: Control | None = None, *, drop: bool) -> None:
        """Owe nothing of any room any more, and `bye` as the last answer; behind it what the dialect says.

        With `drop`, a session that is behind is not sent what has not begun either: of the remainder only
        the frame half out. One that keeps up has its answers, however its commands were cut into segments.
        """
        for stream in list(self.streams):
            self.exit(stream)
        if drop and not self.live:
            self.answers.clear()
            self.answers_bytes = 0
            self._remainder = self._remainder[: self.packing.frame_boundary(self._remainder, self._sent)]
            self._then = b""
        for last in filter(None, (bye, farewell)):
            self.send(last)
        self.flush()
        self.notify()

    def release_handler(self) -> None:
        """Let go of the owner, with which this is a cycle: until the collector finds it, the session would
        keep what it has read, 64 KiB of half a frame."""
        self._owner = NO_HANDLER

    async def finished(self) -> None:
        """Wait until nothing is owed. Ends early when the connection is gone."""
        while self._writing:
            await self.wait_progress()

    async def wait_progress(self) -> None:
        """Wait until the writer has got on. Returns at once where there is none to wait for."""
        if not self._writing:
            await trio.lowlevel.checkpoint()
            return
        if self._moved is None:
            self._moved = trio.Event()
        await self._moved.wait()

    # --- the writer ----------------------------------------------------------------------------------

    async def catch_up(self, streams: RoomStreams, scheduler: FairScheduler) -> None:
        """Write until nothing is owed and the session is live again. One task at a time, for as long as
        the session is behind; raises `LinkBroken` when the connection is gone.

        In slices of work, and in turn with others where it has used up its budget.
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
                    await self._writable()
                elif stuck == "slice":
                    await trio.lowlevel.checkpoint()
                else:
                    await self._read_on(stuck, streams)
        finally:
            self._writing = False
            self.notify()

    def _wake(self) -> None:
        """Go on without a task as far as that goes."""
        try:
            stuck = self._drain()
        except LinkBroken:
            self._owner.lost()
            return
        if stuck is not None:
            self._writing = True
            self._owner.fell_behind()

    def _send_beside(self, page: trio.CancelScope) -> None:
        """Send the answers while the writer waits for a page; any that are left it has to see to first."""
        try:
            while self._send_remainder() and self.answers:
                self._remainder = self.take_replies()
        except LinkBroken:
            self._owner.lost()
        if self._remainder:
            page.cancel()

    def _drain(self) -> RoomStream | Literal["socket", "slice"] | None:
        """Give the socket what it takes. What is in the way of more: the socket, the end of a slice of work,
        or a room whose tail does not reach back far enough. None when nothing is owed: the session is live
        again."""
        until = self._owner.work_clock() + SLICE_S
        while self._send_remainder():
            if self.answers:
                self._remainder = self.take_replies()
            elif stream := self._next_stream():
                batch = stream.after(self.streams[stream])
                if batch is None:
                    return stream
                self._send_batch(stream, batch)
            elif not self._send_missed_presence():
                self._go_live()
                return None
            if self._owner.work_clock() >= until:  # last, so that no slice is in vain
                return "slice"
        return "socket"

    def _send_remainder(self) -> bool:
        """Send the remainder; true when all of it is gone."""
        while self._remainder:
            rest = memoryview(self._remainder)[self._sent :] if self._sent else self._remainder
            took = self.link.send_nowait(rest)
            self._sent += took
            if took < len(rest):
                if took or self.stuck_since is None:
                    self.stuck_since = trio.current_time()
                return False
            self._remainder, self._sent, self._then = self._then, 0, b""
        self.stuck_since = None
        return True

    def _next_stream(self) -> RoomStream | None:
        """A room that has said something since."""
        for stream, cursor in self.streams.items():
            if cursor < stream.head:
                return stream
        return None

    def _send_batch(self, stream: RoomStream, batch: Batch) -> None:
        # The room comes last now: a busy one must not keep a slow session from all others.
        self._remainder = batch.packed(self.packing, self.streams.pop(stream))
        self.streams[stream] = batch.last

    def _send_missed_presence(self) -> bool:
        """Owe the presence missed in one room (all at once could be six megabytes); false when none was."""
        for stream, notices in self._told.items():
            if notices != stream.notices:
                self._told[stream] = stream.notices
                self.send(self._owner.members_page(stream))
                return True
        return False

    def _go_live(self) -> None:
        self.live = True
        self._told = _NONE_TOLD
        for stream in self.streams:
            stream.live[self] = None

    async def _writable(self) -> None:
        # Interrupted is a reason to look again what is owed.
        with suppress(trio.ClosedResourceError), trio.move_on_after(TRY_S):
            await self.link.wait_writable()

    async def _read_on(self, stream: RoomStream, streams: RoomStreams) -> None:
        """Have the next page of a room's journal handed over, unless something else becomes more urgent."""
        cursor = self.streams[stream]
        batch: Batch | None = None
        with trio.CancelScope() as page:
            self._reading = (stream, page)
            try:
                batch = await streams.after(stream, cursor)
            except StoreError:
                await trio.sleep(READ_AGAIN_S)
            finally:
                self._reading = None
        if batch is None or self._remainder or self.streams.get(stream) != cursor:
            return  # nothing came, or the socket is full, or the room was left meanwhile
        if batch.first > cursor + 1:
            self.send(encode(Gap(stream.shown, cursor, batch.first, kept=False)))
            self.streams[stream] = batch.first - 1
        else:
            self._send_batch(stream, batch)

    def notify(self) -> None:
        """Wake whoever waits in `wait_progress`."""
        if self._moved is not None:
            self._moved.set()
            self._moved = None
