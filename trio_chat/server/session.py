"""One connection, from its first byte to its last.

One task a connection: this one reads, decodes and obeys. It never sends by waiting: what it owes goes
out without blocking, or through the writer that `owed.py` asks for. That is why an idle connection costs
a few KiB.

`end` is where every session ends, whoever ends it: it does all the bookkeeping in one step, and the
first reason wins. Whatever task calls it, the session's own task then comes home and says goodbye.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from trio_chat.dialects import Control
from trio_chat.errors import BadMessage, FrameError, LinkBroken, Refused
from trio_chat.net.link import close_politely
from trio_chat.server.commands import obey, say
from trio_chat.server.owed import Owed
from trio_chat.server.partings import LOST, Parting, parting
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import UNSET, Ack, Error, Say

if TYPE_CHECKING:
    from trio_chat.dialects import CommandReader, Packing
    from trio_chat.hub.members import Seat
    from trio_chat.net.link import Link
    from trio_chat.server.serve import Server
    from trio_chat.server.tail import Feed
    from trio_chat.wire.messages import Command

__all__ = ["Session"]

log = logging.getLogger("trio_chat.session")

COMMANDS_AT_ONCE = 256  # one read can hold thousands; others are served in between
BAD_MESSAGES = 10
BAD_MESSAGES_S = 60.0
DRAIN_LINGER_S = 1.0


class Session:
    """A connection and, once it has said hello, its seat in the hub."""

    __slots__ = (
        "_bad",
        "_commands",
        "_settled",
        "draining",
        "frame_since",
        "heard_at",
        "number",
        "over",
        "owed",
        "probed_at",
        "reading",
        "seat",
        "server",
        "typed_at",
        "unsettled",
    )

    def __init__(
        self, server: Server, link: Link, number: int, commands: CommandReader, packing: Packing, since: float
    ) -> None:
        self.server = server
        self.number = number
        self.owed = Owed(link, packing, self)
        self.seat: Seat[Session] | None = None
        self.over: Parting | None = None
        self.draining = False
        self.reading = False  # while it is not, no clock of the sweep runs
        self.heard_at = since  # before hello: since when it is connected
        self.probed_at = since
        self.frame_since: float | None = None  # a frame has begun and is not whole
        self.typed_at = float("-inf")
        self._commands = commands
        self._bad: list[float] | None = None  # when the last bad messages came
        self.unsettled = 0  # drafts on their way; whoever submits one counts it
        self._settled: trio.Event | None = None

    # --- its task -----------------------------------------------------------------------------------

    async def run(self, first: bytes = b"") -> None:
        """Serve the connection until it ends, and close it. `first` is what has been read of it.

        Cancelling closes it at once.
        """
        try:
            try:
                await self._converse(first)
            except LinkBroken:
                self.lost()
            except FrameError as error:
                self.end(parting(error.code, error.detail, ref=error.ref))
            except Exception:
                log.exception("a bug ended session %d", self.number)
                self.end(parting("internal", "something went wrong in the server"))
            await self._part()
        except Exception:  # of saying goodbye: nor does that end anybody else
            log.exception("a bug ended the goodbye of session %d", self.number)
        finally:
            self.end(LOST)
            self.owed.link.close()

    async def _converse(self, first: bytes) -> None:
        """Obey commands until one side ends it; then settle what is pending."""
        link = self.owed.link
        if first:
            await self._take(first)
        while self.over is None and not self.draining and not self._commands.ended:
            self.reading = True
            try:
                data = await link.receive_some()
            except trio.ClosedResourceError:
                continue  # interrupted, and the reason is one of the two above
            finally:
                self.reading = False
            if not data:
                break
            if self.seat is not None:
                self.heard_at = trio.current_time()
            await self._take(data)
        if self.over is None:
            await self.settle()
            if self.draining:
                self.end(parting("draining", "the server is stopping, come back in a moment"))
            else:
                self.end(LOST)

    async def _take(self, data: bytes) -> None:
        """Obey the commands that `data` makes whole."""
        inside = self._commands.inside_frame
        server = self.server
        owed = self.owed
        committer = server.committer
        answers_bytes = server.limits.answers_bytes
        count = 0  # of everything
        asides = 0  # … that made nothing whole: the parts of a message, and what comes between them
        for command in self._commands.feed(data):
            count += 1
            seat = self.seat
            if type(command) is Say and seat is not None and not committer.full:
                try:
                    say(self, seat, command, command.action)
                except Refused as refusal:
                    self.refuse(refusal, command.ref)
            elif isinstance(command, BadMessage):
                self._bad_message(command)
            elif command is None or isinstance(command, Control):
                asides += self._commands.inside_message
                if command is not None:
                    owed.answer(command)
            else:
                await self._obey(command)
            if owed.answers_bytes >= answers_bytes:
                await self._until_read()
            if count % COMMANDS_AT_ONCE == 0:
                owed.flush()
                await trio.lowlevel.checkpoint()
            if self.over is not None or self.draining:
                return
        owed.flush()
        if not self._commands.inside_frame:
            self.frame_since = None
        elif count > asides or not inside:
            self.frame_since = trio.current_time()

    async def _obey(self, command: Command) -> None:
        begun = trio.current_time()
        try:
            await obey(self, command)
        except BadMessage as error:
            self._bad_message(error, command.ref)
        except Refused as refusal:
            self.refuse(refusal, command.ref)
        # The peer is not to blame for the time in which nobody read: its clocks stood still.
        waited = trio.current_time() - begun
        self.heard_at += waited
        if self.frame_since is not None:
            self.frame_since += waited

    async def _until_read(self) -> None:
        """Take no further command while the peer does not read its answers."""
        owed = self.owed
        begun = trio.current_time()
        owed.flush()
        if self.seat is None:  # its ten seconds would stand still for as long as it likes
            self.end(parting("hello_timeout", "no hello, and answers that nobody reads"))
        while (
            owed.answers_bytes >= self.server.limits.answers_bytes and self.over is None and not self.draining
        ):
            await owed.moved()
        self.heard_at = trio.current_time()
        if self.frame_since is not None:
            self.frame_since += self.heard_at - begun

    async def _part(self) -> None:
        """Say goodbye as far as the peer listens, and close."""
        over = self.over
        assert over is not None, "only a session that has ended parts"
        limits = self.server.limits
        deadline = trio.current_time() + limits.goodbye_s
        with trio.move_on_at(deadline) as goodbye:
            await self.owed.finished()
        if goodbye.cancelled_caught or self.owed.broken:
            return
        linger_s = min(DRAIN_LINGER_S, limits.goodbye_s) if self.draining else deadline - trio.current_time()
        await close_politely(self.owed.link, seconds=linger_s)

    # --- its end, and what other tasks tell it -------------------------------------------------------

    def end(self, parting: Parting) -> None:
        """End the session: others are told, its places are free, its goodbye is on the way. Idempotent."""
        if self.over is not None:
            return
        self.over = parting
        seat, self.seat = self.seat, None
        feeds = list(self.owed.feeds)
        self.owed.close(parting.bye, self._commands.farewell(parting.code), drop=not parting.orderly)
        if seat is not None:
            self.server.stand_up(seat, parting.why)
        for feed in feeds:
            self.server.feeds.release(feed)
        self.server.forget(self)
        self.owed.link.interrupt()

    def welcomed(self) -> None:
        """The peer is known and may send larger frames; its silence counts from here."""
        self._commands.welcomed()
        self.heard_at = trio.current_time()

    def drain(self) -> None:
        """Read no further; settle, say goodbye, end."""
        self.draining = True
        self.owed.nudge()
        self.owed.link.interrupt()

    def overdue(self, now: float) -> Parting | None:
        """Whether the session has kept the server waiting for too long."""
        limits = self.server.limits
        stuck_since = self.owed.stuck_since
        if stuck_since is not None and now - stuck_since > limits.stalled_s:
            return parting("slow_reader", f"nothing was read for {limits.stalled_s} seconds")
        if not self.reading:
            return None
        if self.seat is None and now - self.heard_at > limits.hello_s:
            return parting("hello_timeout", f"no hello within {limits.hello_s} seconds")
        if self.frame_since is not None and now - self.frame_since > limits.frame_s:
            return parting("frame_timeout", f"a frame took longer than {limits.frame_s} seconds")
        if now - self.heard_at > limits.silence_s:
            return parting("ping_timeout", f"nothing was heard for {limits.silence_s} seconds")
        return None

    def probe(self, now: float) -> None:
        """Have a peer that has been silent for a while say that it is there, where the dialect can."""
        probe = self.owed.packing.probe
        due = max(self.heard_at, self.probed_at) + self.server.limits.ping_s
        if probe is not None and self.seat is not None and now >= due:
            self.probed_at = now
            self.owed.answer(probe)
            self.owed.flush()

    # --- answers -------------------------------------------------------------------------------------

    def refuse(self, refusal: Refused, ref: str) -> None:
        """Answer a command with an error."""
        retry = UNSET if refusal.retry_after_s is None else refusal.retry_after_s
        error = Error(refusal.code, refusal.detail, refusal.field, retry, ref)
        self.owed.answer(encode(error))

    def _bad_message(self, error: BadMessage, ref: str = "") -> None:
        now = trio.current_time()
        recent = [at for at in self._bad or () if now - at < BAD_MESSAGES_S]
        self._bad = [*recent, now]
        if len(self._bad) >= BAD_MESSAGES:
            self.end(parting("bad_frame", f"{BAD_MESSAGES} bad messages within a minute"))
            return
        self.owed.answer(encode(Error(error.code, error.detail, error.field, ref=error.ref or ref)))

    # --- what is pending (`commit.Author`) -----------------------------------------------------------

    def acked(self, ref: str, room: str, seq: int) -> None:
        if ref and self.over is None:
            self.owed.answer(encode(Ack(ref, room, seq)))

    def failed(self, ref: str, why: Refused) -> None:
        if self.over is None:
            self.refuse(why, ref)

    def settled(self, count: int) -> None:
        self.unsettled -= count
        if self.owed.answers and self.over is None:
            self.owed.flush()
        if not self.unsettled and self._settled is not None:
            self._settled.set()

    async def settle(self) -> None:
        """Wait until what this session said is committed or refused, and answered."""
        self.owed.flush()
        while self.unsettled:
            self._settled = trio.Event()
            await self._settled.wait()

    # --- what it is owed (`owed.Owner`) --------------------------------------------------------------

    def fell_behind(self) -> None:
        self.server.start_writer(self)

    def lost(self) -> None:
        self.owed.broken = True
        self.end(LOST)

    def who_is_here(self, feed: Feed) -> bytes:
        return encode(self.server.hub.rooms[feed.key].names())
