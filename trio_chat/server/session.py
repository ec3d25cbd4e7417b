"""One connection, from its first byte to its last.

One task a connection: this one reads, decodes and obeys. It never sends by waiting: what it owes goes out
without blocking, or through the writer that `outbound.py` asks for. That is why an idle connection costs a
few KiB. It works in slices of a millisecond, and in turn with others once it has worked too much
(`fair_share.py`).

`end` is where every session ends, whoever ends it: it does all the bookkeeping in one step, and the
first reason wins. Whatever task calls it, the session's own task then comes home and says goodbye.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from trio_chat.dialects import Control
from trio_chat.errors import BadMessage, FrameError, LinkBroken, Refused
from trio_chat.net.link import close_gracefully
from trio_chat.server.commands import in_runs, obey, say_all
from trio_chat.server.disconnect import LOST, Disconnect, disconnect_for
from trio_chat.server.fair_share import SLICE_S, WorkBudget
from trio_chat.server.logs import log_presence
from trio_chat.server.outbound import OutboundQueue
from trio_chat.server.refusals import command_refused, hello_refused, session_ended
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import UNSET, Error, Hello, Say

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trio_chat.dialects import CommandReader
    from trio_chat.hub.members import Attachment
    from trio_chat.net.link import Link
    from trio_chat.server.acceptor import Accepted
    from trio_chat.server.serve import Server
    from trio_chat.server.stream import RoomStream
    from trio_chat.wire.messages import Ack, Command

__all__ = ["Session"]

log = logging.getLogger("trio_chat.session")

T = TypeVar("T")

_NEVER = float("-inf")
BAD_MESSAGES = 10
BAD_MESSAGES_S = 60.0
REFUSED_HELLOS = 10
REFUSED_HELLOS_AFTER_S = 5
EXCUSED_S = 0.1  # a wait for the server that is longer is not held against the member's rates
DRAIN_LINGER_S = 1.0


class Session:
    """A connection and, once it has said hello, its seat in the hub."""

    __slots__ = (
        "_bad",
        "_budget",
        "_commands",
        "_first",
        "_in_turn",
        "_refused_hellos",
        "_settled",
        "_worked_since",
        "address",
        "attachment",
        "draining",
        "frame_since",
        "heard_at",
        "number",
        "outbound",
        "over",
        "prefix",
        "probed_at",
        "server",
        "typed_at",
        "unsettled",
        "waiting",
    )

    def __init__(
        self,
        server: Server,
        link: Link,
        number: int,
        caller: Accepted,
        prefix: str,
    ) -> None:
        self.server = server
        self.number = number
        self.address = caller.address
        self.prefix = prefix
        """Of the peer's address, where rates are limited by it; else empty."""
        self.outbound = OutboundQueue(link, caller.packing, self)
        self.attachment: Attachment[Session] | None = None
        self.over: Disconnect | None = None
        self.draining = False
        self.waiting = False  # for the server, or for the peer to read: no silence is the peer's fault
        self.heard_at = caller.since  # before hello: since when it is connected
        self.probed_at = caller.since
        self.frame_since: float | None = None  # a frame has begun and is not whole
        self.typed_at = _NEVER
        self._commands: CommandReader = caller.commands
        self._first = caller.first
        self._bad: list[float] | None = None  # when the last bad messages came
        self._refused_hellos = 0
        self._budget: WorkBudget | None = None  # from the welcome on, where rates are limited
        self._worked_since = _NEVER
        self._in_turn = True
        self.unsettled = 0  # drafts on their way; whoever submits one counts it
        self._settled: trio.Event | None = None

    # --- its task -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the connection until it ends, and close it.

        Cancelling closes it at once. All that an idle connection waits in is this coroutine and the link's,
        as each further one would cost every connection a quarter of a KiB.
        """
        try:
            try:
                data, self._first = self._first, b""
                if data:
                    await self._take(data)
                elif (overdue := self.overdue(trio.current_time())) is not None:  # no byte came in time
                    await self.server.scheduler.do(partial(self.end, overdue))
                while not (self._is_ending() or self._commands.ended):
                    data = b""  # not kept while it waits for more
                    try:
                        data = await self.outbound.link.receive_some()
                    except trio.ClosedResourceError:
                        continue  # interrupted, and the reason is one of the two above
                    if not data:
                        break
                    if self.attachment is not None:
                        self.heard_at = trio.current_time()
                    await self._take(data)
                await self._settle_in_the_end()
            except LinkBroken:
                await self.server.scheduler.do(self.lost)  # thousands may break in one moment
            except FrameError as error:
                self.end(disconnect_for(error.code, error.detail, ref=error.ref))
            except Exception:
                log.exception("a bug ended session %d", self.number)
                self.end(disconnect_for("internal", "something went wrong in the server"))
            await self._part()
        except Exception:  # of saying goodbye: nor does that end anybody else
            log.exception("a bug ended the goodbye of session %d", self.number)
        finally:
            self.end(LOST)
            self.outbound.link.close()
            self.outbound.release_handler()

    async def _settle_in_the_end(self) -> None:
        """Settle what is pending once no more is read, unless the session has ended already."""
        if self.over is not None:
            return
        await self.settle()
        if self.draining:
            self.end(disconnect_for("draining", "the server is stopping, come back in a moment"))
        else:
            await self.server.scheduler.do(partial(self.end, LOST))

    async def _take(self, data: bytes) -> None:
        """Obey the commands that `data` makes whole, in slices of work."""
        inside = self._commands.inside_frame
        server = self.server
        outbound = self.outbound
        clock = server.scheduler.clock
        answers_bytes = server.limits.answers_bytes
        count = 0  # of everything
        asides = 0  # … that made nothing whole: the parts of a message, and what comes between them
        await self._begin_slice()
        if self._is_ending():
            return
        try:
            for command in in_runs(self._commands.feed(data)):
                if isinstance(command, list):
                    count += len(command)
                    await self._say(command)
                else:
                    count += 1
                    if isinstance(command, BadMessage):
                        self._bad_message(command)
                    elif command is None or isinstance(command, Control):
                        asides += self._commands.inside_message
                        if command is not None:
                            outbound.send(command)
                    else:
                        await self._obey(command)
                if outbound.answers_bytes >= answers_bytes:
                    await self._until_read()
                if clock() - self._worked_since >= SLICE_S:
                    await self._next_slice()
                if self.over is not None or self.draining:
                    return
            outbound.flush()
            if not self._commands.inside_frame:
                self.frame_since = None
            elif count > asides or not inside:
                self.frame_since = trio.current_time()
        finally:
            self._charge()

    async def _say(self, run: list[Say]) -> None:
        """Say a run of texts, at once as far as the committer has places."""
        done = 0 if self.attachment is None else say_all(self, self.attachment, run)
        for command in run[done:]:
            await self._obey(command)
            if self._is_ending():
                return

    async def _obey(self, command: Command) -> None:
        try:
            await obey(self, command)
        except BadMessage as error:
            self._bad_message(error, command.ref)
        except Refused as refusal:
            if self.attachment is None and isinstance(command, Hello):
                self._refuse_hello(refusal, command.ref)
            else:
                self.refuse(refusal, command.ref)

    def _refuse_hello(self, refusal: Refused, ref: str) -> None:
        """Answer with an error; the tenth ends the connection: no rate counts them, as there is no member."""
        self.server.refusals.add(hello_refused(refusal.code), self.address)
        self._refused_hellos += 1
        if self._refused_hellos < REFUSED_HELLOS:
            self._send_error(refusal, ref)
            return
        detail = f"{REFUSED_HELLOS} refused hellos on one connection; the last: {refusal.detail}"
        self.end(disconnect_for("rate_limited", detail, after_s=REFUSED_HELLOS_AFTER_S, ref=ref))

    # --- its share of the loop ------------------------------------------------------------------------

    def _is_ending(self) -> bool:
        return self.over is not None or self.draining

    def work_clock(self) -> float:
        return self.server.scheduler.clock()

    async def _begin_slice(self) -> None:
        """Wait for a turn where the session has to take turns, and start counting its work."""
        budget = self._budget
        self._in_turn = self.attachment is None or (budget is not None and budget.is_spent(self.heard_at))
        scheduler = self.server.scheduler
        if self._in_turn and not scheduler.is_free:
            # Noting when the work begins. To wait for a turn is no excuse for the rates: a flood would earn
            # one.
            await self._wait(scheduler.wait(newcomer=self.attachment is None), is_excuse=False)
        else:
            self._worked_since = scheduler.clock()

    async def _next_slice(self) -> None:
        """Let the loop go round, or wait for a turn."""
        self._charge()
        self.outbound.flush()
        if not self._in_turn:
            await trio.lowlevel.checkpoint()
        await self._begin_slice()

    def _charge(self) -> None:
        """Count the work since the slice began."""
        scheduler = self.server.scheduler
        now = scheduler.clock()
        worked_s = now - self._worked_since
        self._worked_since = now
        if self._in_turn:
            scheduler.charge(worked_s)
        if self._budget is not None:
            self._budget.charge(worked_s, self.heard_at)

    async def wait_for(self, work: Awaitable[T], *, is_excuse: bool = True) -> T:
        """Wait for something that the server does.

        Neither the timeouts of the peer nor its budget of work run meanwhile: nothing was read from it. If
        the wait `is_excuse`, its rates grow beyond their bursts. Cancelling and raising are those of `work`.
        """
        self._charge()
        return await self._wait(work, is_excuse=is_excuse)

    async def _wait(self, work: Awaitable[T], *, is_excuse: bool) -> T:
        began = trio.current_time()
        self.waiting = True
        try:
            return await work
        finally:
            self.waiting = False
            self._worked_since = self.work_clock()
            self._excuse(trio.current_time() - began, is_excuse)

    def _excuse(self, waited_s: float, for_rates: bool) -> None:
        """Hold a wait for the server against no timeout but that of the hello, and against no rate."""
        if self.frame_since is not None:
            self.frame_since += waited_s
        if self.attachment is not None:
            self.heard_at += waited_s
            if for_rates and waited_s > EXCUSED_S:
                self.attachment.member.allowance.excused_s += waited_s

    def check_rate(self, attachment: Attachment[Session], kind: str, text: str = "") -> None:
        """Charge a command to the rates of its member, with its text where it has one.

        A text is charged as no longer than a text may be. Raises `Refused`: `rate_limited`.
        """
        server = self.server
        if server.hub.has_rates:
            size = min(len(text) if text.isascii() else len(text.encode()), server.limits.text_bytes)
            now = trio.current_time()
            server.hub.check_rate(attachment, kind, now, server.lateness.total(now), size=size)

    async def _until_read(self) -> None:
        """Take no further command while the peer does not read its answers."""
        outbound = self.outbound
        begun = trio.current_time()
        outbound.flush()
        if self.attachment is None:  # its ten seconds would stand still for as long as it likes
            self.end(disconnect_for("hello_timeout", "no hello, and answers that nobody reads"))
        self._charge()
        self.waiting = True
        try:
            while (
                outbound.answers_bytes >= self.server.limits.answers_bytes
                and self.over is None
                and not self.draining
            ):
                await outbound.wait_progress()
        finally:
            self.waiting = False
        self._worked_since = self.work_clock()
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
            await self.outbound.finished()
        if goodbye.cancelled_caught or self.outbound.broken:
            return
        linger_s = min(DRAIN_LINGER_S, limits.goodbye_s) if self.draining else deadline - trio.current_time()
        # A server that stops reads all, for a second: an honest client may just have said much.
        pace = None if self.draining else self.server.scheduler.pace
        await close_gracefully(self.outbound.link, seconds=linger_s, pace=pace)

    # --- its end, and what other tasks tell it -------------------------------------------------------

    def end(self, disconnect: Disconnect) -> None:
        """End the session: others are told, its places are free, its goodbye is on the way. Idempotent."""
        if self.over is not None:
            return
        self.over = disconnect
        attachment, self.attachment = self.attachment, None
        streams = list(self.outbound.streams)
        self.outbound.close(
            disconnect.bye, self._commands.close_frame(disconnect.code), drop=not disconnect.orderly
        )
        self.server.refusals.add(session_ended(disconnect.code), self.address)
        if attachment is not None:
            log_presence(
                attachment.member.name.shown, f"disconnected ({disconnect.why})", self.number, self.address
            )
            self.server.stand_up(attachment, disconnect.why)
        for stream in streams:
            self.server.streams.release(stream)
        self.server.forget(self)
        self.outbound.link.interrupt()

    def welcomed(self) -> None:
        """The peer is known and may send larger frames; its silence counts from here."""
        if self.attachment is not None:
            log_presence(self.attachment.member.name.shown, "connected", self.number, self.address)
        self._commands.welcomed()
        self.heard_at = trio.current_time()
        if self.server.scheduler.are_limited:
            self._charge()  # the hello was work of a newcomer
            self._budget = WorkBudget(self.heard_at)

    def drain(self) -> None:
        """Read no further; settle, say goodbye, end."""
        self.draining = True
        self.outbound.notify()
        self.outbound.link.interrupt()

    def overdue(self, now: float) -> Disconnect | None:
        """Whether the session has kept the server waiting for too long."""
        limits = self.server.limits
        stuck_since = self.outbound.stuck_since
        if stuck_since is not None and now - stuck_since > limits.stalled_s:
            return disconnect_for("slow_reader", f"nothing was read for {limits.stalled_s} seconds")
        # For a stranger no wait counts, whatever it sends meanwhile, but the one for its first turn.
        if (
            self.attachment is None
            and now - self.heard_at > limits.hello_s
            and not self._waits_for_first_turn()
        ):
            return disconnect_for("hello_timeout", f"no hello within {limits.hello_s} seconds")
        if self.waiting:
            return None
        if self.frame_since is not None and now - self.frame_since > limits.frame_s:
            return disconnect_for("frame_timeout", f"a frame took longer than {limits.frame_s} seconds")
        if now - self.heard_at > limits.silence_s:
            return disconnect_for("ping_timeout", f"nothing was heard for {limits.silence_s} seconds")
        return None

    def _waits_for_first_turn(self) -> bool:
        return self.waiting and self._worked_since == _NEVER

    def probe(self, now: float) -> bool:
        """Have a peer that has been silent for a while say that it is there, where the dialect can.

        Whether it was asked to.
        """
        probe = self.outbound.packing.probe
        due = max(self.heard_at, self.probed_at) + self.server.limits.ping_s
        if probe is not None and self.attachment is not None and now >= due:
            self.probed_at = now
            self.outbound.send(probe)
            self.outbound.flush()
            return True
        return False

    # --- answers -------------------------------------------------------------------------------------

    def refuse(self, refusal: Refused, ref: str) -> None:
        """Answer a command with an error."""
        self.server.refusals.add(command_refused(refusal.code), self.address)
        self._send_error(refusal, ref)

    def _send_error(self, refusal: Refused, ref: str) -> None:
        retry = UNSET if refusal.retry_after_s is None else refusal.retry_after_s
        error = Error(refusal.code, refusal.detail, refusal.field, retry, ref)
        self.outbound.send(encode(error))

    def _bad_message(self, error: BadMessage, ref: str = "") -> None:
        self.server.refusals.add(command_refused(error.code), self.address)
        now = trio.current_time()
        recent = [at for at in self._bad or () if now - at < BAD_MESSAGES_S]
        self._bad = [*recent, now]
        if len(self._bad) >= BAD_MESSAGES:
            self.end(disconnect_for("bad_frame", f"{BAD_MESSAGES} bad messages within a minute"))
            return
        self.outbound.send(encode(Error(error.code, error.detail, error.field, ref=error.ref or ref)))

    # --- what is pending (`commit.Author`) -----------------------------------------------------------

    def acked(self, acks: list[Ack]) -> None:
        if self.over is None:
            self.outbound.send_all([encode(ack) for ack in acks if ack.ref])

    def failed(self, ref: str, why: Refused) -> None:
        if self.over is None:
            self.refuse(why, ref)

    def settled(self, count: int) -> None:
        self.unsettled -= count
        if self.outbound.answers and self.over is None:
            self.outbound.flush()
        if not self.unsettled and self._settled is not None:
            self._settled.set()

    async def settle(self) -> None:
        """Wait until what this session said is committed or refused, and answered."""
        self.outbound.flush()
        while self.unsettled:
            self._settled = trio.Event()
            await self._settled.wait()

    # --- what it is owed (`outbound.Owner`) --------------------------------------------------------------

    def fell_behind(self) -> None:
        self.server.start_writer(self)

    def lost(self) -> None:
        self.outbound.broken = True
        self.end(LOST)

    def members_page(self, stream: RoomStream) -> bytes:
        return encode(self.server.hub.rooms[stream.key].names())
