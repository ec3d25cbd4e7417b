"""The session: one connection, from its first byte to its last.

Each connection has one task, which reads, decodes and executes commands. It never blocks on a send: bytes are
sent without blocking, or by the writer task that `outbound.py` starts. That is why an idle connection costs
only a few KiB. The task works in slices of a millisecond, and takes turns with other tasks once it has used
up its budget of work (`fair_share.py`).

Every session ends in `end`, whatever the reason. `end` does all the bookkeeping in one step, and the first
reason wins. Any task may call it. The session's own task then sends the goodbye and closes the connection.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from trio_chat.dialects import Control
from trio_chat.errors import BadMessage, FrameError, LinkBroken, Refused
from trio_chat.net.link import close_gracefully
from trio_chat.server.commands import execute, group_says, submit_all
from trio_chat.server.disconnect import CONNECTION_LOST, Disconnect, disconnect_for
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
EXCUSED_S = 0.1  # a longer wait for the server is credited to the member's rates
DRAIN_LINGER_S = 1.0


class Session:
    """A connection and, after its hello, its attachment to the hub."""

    __slots__ = (
        "_bad_messages_at",
        "_budget",
        "_commands",
        "_in_turn",
        "_initial_data",
        "_refused_hellos",
        "_settled",
        "_worked_since",
        "address",
        "attachment",
        "draining",
        "ended_with",
        "frame_since",
        "number",
        "outbound",
        "prefix",
        "probed_at",
        "received_at",
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
        accepted: Accepted,
        prefix: str,
    ) -> None:
        self.server = server
        self.number = number
        self.address = accepted.address
        self.prefix = prefix
        """The prefix of the peer's address if rates are limited by it, else empty."""
        self.outbound = OutboundQueue(link, accepted.packing, self)
        self.attachment: Attachment[Session] | None = None
        self.ended_with: Disconnect | None = None
        self.draining = False
        self.waiting = False  # for the server, or for the peer to read: the timeouts do not run
        self.received_at = accepted.since  # before hello: when it connected
        self.probed_at = accepted.since
        self.frame_since: float | None = None  # when an incomplete frame began
        self.typed_at = _NEVER
        self._commands: CommandReader = accepted.commands
        self._initial_data = accepted.first
        self._bad_messages_at: list[float] | None = None  # the times of the last bad messages
        self._refused_hellos = 0
        self._budget: WorkBudget | None = None  # after the hello, if rates are limited
        self._worked_since = _NEVER
        self._in_turn = True
        self.unsettled = 0  # submitted drafts without an outcome; counted up by the code that submits
        self._settled: trio.Event | None = None

    # --- the session's task --------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the connection until it ends, and close it.

        Cancelling closes it at once. An idle connection waits in this coroutine and in the link's only: each
        further coroutine would cost every connection a quarter of a KiB.
        """
        try:
            try:
                data, self._initial_data = self._initial_data, b""
                if data:
                    await self._process(data)
                elif (overdue := self.overdue(trio.current_time())) is not None:  # no byte arrived in time
                    await self.server.scheduler.do(partial(self.end, overdue))
                while not (self.is_ending or self._commands.ended):
                    data = b""  # free the bytes while waiting for more
                    try:
                        data = await self.outbound.link.receive_some()
                    except trio.ClosedResourceError:
                        continue  # interrupted: the loop's condition has changed
                    if not data:
                        break
                    if self.attachment is not None:
                        self.received_at = trio.current_time()
                    await self._process(data)
                await self._finish()
            except LinkBroken:
                await self.server.scheduler.do(self.connection_lost)  # thousands may break at once
            except FrameError as error:
                self.end(disconnect_for(error.code, error.detail, ref=error.ref))
            except Exception:
                log.exception("unexpected error in session %d", self.number)
                self.end(disconnect_for("internal", "internal server error"))
            await self._say_goodbye()
        except Exception:  # from the goodbye; it must not end other sessions
            log.exception("unexpected error: cannot close session %d", self.number)
        finally:
            self.end(CONNECTION_LOST)
            self.outbound.link.close()
            self.outbound.release_handler()

    async def _finish(self) -> None:
        """Wait for pending drafts at the end of the input, then end the session if it has not ended yet."""
        if self.ended_with is not None:
            return
        await self.settle()
        if self.draining:
            self.end(disconnect_for("draining", "the server is stopping; reconnect in a moment"))
        else:
            await self.server.scheduler.do(partial(self.end, CONNECTION_LOST))

    async def _process(self, data: bytes) -> None:
        """Execute the commands that `data` completes, in slices of work."""
        inside = self._commands.inside_frame
        server = self.server
        outbound = self.outbound
        clock = server.scheduler.clock
        answers_bytes = server.limits.answers_bytes
        count = 0  # of all items
        partial_count = 0  # of items inside an incomplete message: its parts, and control frames between them
        await self._begin_slice()
        if self.is_ending:
            return
        try:
            for command in group_says(self._commands.feed(data)):
                if isinstance(command, list):
                    count += len(command)
                    await self._say(command)
                else:
                    count += 1
                    if isinstance(command, BadMessage):
                        self._bad_message(command)
                    elif command is None or isinstance(command, Control):
                        partial_count += self._commands.inside_message
                        if command is not None:
                            outbound.send(command)
                    else:
                        await self._execute(command)
                if outbound.replies_bytes >= answers_bytes:
                    await self._wait_until_read()
                if clock() - self._worked_since >= SLICE_S:
                    await self._next_slice()
                if self.ended_with is not None or self.draining:
                    return
            outbound.flush()
            if not self._commands.inside_frame:
                self.frame_since = None
            elif count > partial_count or not inside:
                self.frame_since = trio.current_time()
        finally:
            self._charge()

    async def _say(self, run: list[Say]) -> None:
        """Submit consecutive texts, in one step as far as the committer's queue has room."""
        done = 0 if self.attachment is None else submit_all(self, self.attachment, run)
        for command in run[done:]:
            await self._execute(command)
            if self.is_ending:
                return

    async def _execute(self, command: Command) -> None:
        try:
            await execute(self, command)
        except BadMessage as error:
            self._bad_message(error, command.ref)
        except Refused as refusal:
            if self.attachment is None and isinstance(command, Hello):
                self._refuse_hello(refusal, command.ref)
            else:
                self.refuse(refusal, command.ref)

    def _refuse_hello(self, refusal: Refused, ref: str) -> None:
        """Send an error, and disconnect at the tenth: without a member, no rate limits refused hellos."""
        self.server.refusals.add(hello_refused(refusal.code), self.address)
        self._refused_hellos += 1
        if self._refused_hellos < REFUSED_HELLOS:
            self._send_error(refusal, ref)
            return
        detail = f"{REFUSED_HELLOS} refused hellos on one connection; the last: {refusal.detail}"
        self.end(disconnect_for("rate_limited", detail, after_s=REFUSED_HELLOS_AFTER_S, ref=ref))

    # --- sharing the loop ----------------------------------------------------------------------------

    @property
    def is_ending(self) -> bool:
        return self.ended_with is not None or self.draining

    def work_clock(self) -> float:
        return self.server.scheduler.clock()

    async def _begin_slice(self) -> None:
        """Wait for a turn if the session must take turns, and start to measure its work."""
        budget = self._budget
        self._in_turn = self.attachment is None or (budget is not None and budget.is_spent(self.received_at))
        scheduler = self.server.scheduler
        if self._in_turn and not scheduler.is_free:
            # `_wait` starts the measurement. Waiting for a turn earns no credit for the rates: a flooding
            # session would earn the most.
            await self._wait(scheduler.wait(newcomer=self.attachment is None), earns_credit=False)
        else:
            self._worked_since = scheduler.clock()

    async def _next_slice(self) -> None:
        """Pass a checkpoint, or wait for a turn."""
        self._charge()
        self.outbound.flush()
        if not self._in_turn:
            await trio.lowlevel.checkpoint()
        await self._begin_slice()

    def _charge(self) -> None:
        """Charge the work since the slice began to the budget and the scheduler."""
        scheduler = self.server.scheduler
        now = scheduler.clock()
        worked_s = now - self._worked_since
        self._worked_since = now
        if self._in_turn:
            scheduler.charge(worked_s)
        if self._budget is not None:
            self._budget.charge(worked_s, self.received_at)

    async def wait_for(self, work: Awaitable[T], *, earns_credit: bool = True) -> T:
        """Wait for work of the server, and return its result.

        The peer's timeouts and its budget of work do not run meanwhile, as nothing is read from it. With
        `earns_credit`, a long wait is credited to the rates beyond their bursts. Cancellation and exceptions
        are those of `work`.
        """
        self._charge()
        return await self._wait(work, earns_credit=earns_credit)

    async def _wait(self, work: Awaitable[T], *, earns_credit: bool) -> T:
        began = trio.current_time()
        self.waiting = True
        try:
            return await work
        finally:
            self.waiting = False
            self._worked_since = self.work_clock()
            self._discount_wait(trio.current_time() - began, earns_credit)

    def _discount_wait(self, waited_s: float, earns_credit: bool) -> None:
        """Exclude a wait from all timeouts except that of the hello, and credit it to the rates."""
        if self.frame_since is not None:
            self.frame_since += waited_s
        if self.attachment is not None:
            self.received_at += waited_s
            if earns_credit and waited_s > EXCUSED_S:
                self.attachment.member.allowance.excused_s += waited_s

    def check_rate(self, attachment: Attachment[Session], kind: str, text: str = "") -> None:
        """Charge a command, and the size of its text, to the rates of its member.

        A text is charged with the maximum length of a text at most. Raises `Refused`: `rate_limited`.
        """
        server = self.server
        if server.hub.has_rates:
            size = min(len(text) if text.isascii() else len(text.encode()), server.limits.text_bytes)
            now = trio.current_time()
            server.hub.check_rate(attachment, kind, now, server.lateness.total(now), size=size)

    async def _wait_until_read(self) -> None:
        """Wait until the peer has read enough of its replies; execute no command meanwhile."""
        outbound = self.outbound
        begun = trio.current_time()
        outbound.flush()
        if self.attachment is None:  # otherwise it could suspend the hello timeout at will
            self.end(disconnect_for("hello_timeout", "no hello, and the replies are not read"))
        self._charge()
        self.waiting = True
        try:
            while (
                outbound.replies_bytes >= self.server.limits.answers_bytes
                and self.ended_with is None
                and not self.draining
            ):
                await outbound.wait_progress()
        finally:
            self.waiting = False
        self._worked_since = self.work_clock()
        self.received_at = trio.current_time()
        if self.frame_since is not None:
            self.frame_since += self.received_at - begun

    async def _say_goodbye(self) -> None:
        """Send the rest of the output, for `goodbye_s` seconds at most, and close."""
        assert self.ended_with is not None, "the session has ended"
        limits = self.server.limits
        deadline = trio.current_time() + limits.goodbye_s
        with trio.move_on_at(deadline) as goodbye:
            await self.outbound.wait_sent()
        if goodbye.cancelled_caught or self.outbound.broken:
            return
        linger_s = min(DRAIN_LINGER_S, limits.goodbye_s) if self.draining else deadline - trio.current_time()
        # A server that stops reads without pacing, for a second: a client may just have sent a lot.
        pace = None if self.draining else self.server.scheduler.pace
        await close_gracefully(self.outbound.link, seconds=linger_s, pace=pace)

    # --- the end, and calls from other tasks ---------------------------------------------------------

    def end(self, disconnect: Disconnect) -> None:
        """End the session: notify its rooms, release its resources, and queue its goodbye. Idempotent."""
        if self.ended_with is not None:
            return
        self.ended_with = disconnect
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
            self.server.detach(attachment, disconnect.why)
        for stream in streams:
            self.server.streams.release(stream)
        self.server.remove(self)
        self.outbound.link.interrupt()

    def welcomed(self) -> None:
        """Accept larger frames from now on, and start the budget of work and the keepalive."""
        if self.attachment is not None:
            log_presence(self.attachment.member.name.shown, "connected", self.number, self.address)
        self._commands.welcomed()
        self.received_at = trio.current_time()
        if self.server.scheduler.are_limited:
            self._charge()  # the hello was work before the budget
            self._budget = WorkBudget(self.received_at)

    def drain(self) -> None:
        """Stop reading, wait for pending drafts, send the goodbye, and end."""
        self.draining = True
        self.outbound.notify()
        self.outbound.link.interrupt()

    def overdue(self, now: float) -> Disconnect | None:
        """Return the disconnect for a timeout that has passed, if any."""
        limits = self.server.limits
        stuck_since = self.outbound.stuck_since
        if stuck_since is not None and now - stuck_since > limits.stalled_s:
            return disconnect_for("slow_reader", f"no data was read for {limits.stalled_s} seconds")
        # Before the hello no wait suspends the timeout, except the wait for the first turn.
        if (
            self.attachment is None
            and now - self.received_at > limits.hello_s
            and not self._is_waiting_for_first_turn()
        ):
            return disconnect_for("hello_timeout", f"no hello within {limits.hello_s} seconds")
        if self.waiting:
            return None
        if self.frame_since is not None and now - self.frame_since > limits.frame_s:
            return disconnect_for("frame_timeout", f"a frame took longer than {limits.frame_s} seconds")
        if now - self.received_at > limits.silence_s:
            return disconnect_for("ping_timeout", f"no data was received for {limits.silence_s} seconds")
        return None

    def _is_waiting_for_first_turn(self) -> bool:
        return self.waiting and self._worked_since == _NEVER

    def probe(self, now: float) -> bool:
        """Ping an idle peer if the dialect has a ping; return whether it was sent."""
        probe = self.outbound.packing.probe
        due = max(self.received_at, self.probed_at) + self.server.limits.ping_s
        if probe is not None and self.attachment is not None and now >= due:
            self.probed_at = now
            self.outbound.send(probe)
            self.outbound.flush()
            return True
        return False

    # --- replies -------------------------------------------------------------------------------------

    def refuse(self, refusal: Refused, ref: str) -> None:
        """Count a refused command, and send its error."""
        self.server.refusals.add(command_refused(refusal.code), self.address)
        self._send_error(refusal, ref)

    def _send_error(self, refusal: Refused, ref: str) -> None:
        retry = UNSET if refusal.retry_after_s is None else refusal.retry_after_s
        error = Error(refusal.code, refusal.detail, refusal.field, retry, ref)
        self.outbound.send(encode(error))

    def _bad_message(self, error: BadMessage, ref: str = "") -> None:
        self.server.refusals.add(command_refused(error.code), self.address)
        now = trio.current_time()
        recent = [at for at in self._bad_messages_at or () if now - at < BAD_MESSAGES_S]
        self._bad_messages_at = [*recent, now]
        if len(self._bad_messages_at) >= BAD_MESSAGES:
            self.end(disconnect_for("bad_frame", f"{BAD_MESSAGES} bad messages within a minute"))
            return
        self.outbound.send(encode(Error(error.code, error.detail, error.field, ref=error.ref or ref)))

    # --- pending drafts (`commit.Author`) ------------------------------------------------------------

    def acked(self, acks: list[Ack]) -> None:
        if self.ended_with is None:
            self.outbound.send_all([encode(ack) for ack in acks if ack.ref])

    def failed(self, ref: str, why: Refused) -> None:
        if self.ended_with is None:
            self.refuse(why, ref)

    def settled(self, count: int) -> None:
        self.unsettled -= count
        if self.outbound.replies and self.ended_with is None:
            self.outbound.flush()
        if not self.unsettled and self._settled is not None:
            self._settled.set()

    async def settle(self) -> None:
        """Wait until all drafts of this session are committed or refused, and acked."""
        self.outbound.flush()
        while self.unsettled:
            self._settled = trio.Event()
            await self._settled.wait()

    # --- the outbound queue (`outbound_handler.OutboundHandler`) -------------------------------------

    def start_writer(self) -> None:
        self.server.start_writer(self)

    def connection_lost(self) -> None:
        self.outbound.broken = True
        self.end(CONNECTION_LOST)

    def members_page(self, stream: RoomStream) -> bytes:
        return encode(self.server.hub.rooms[stream.key].names())
