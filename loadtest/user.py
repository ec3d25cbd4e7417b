"""One user: a `Chat` on its own connection, with every event passed to the judge.

A user is one task: it connects, receives events, disconnects when the runner requests it, and reconnects
after a second with its token and cursor. Each message is sent in its own task, since an open model does not
wait for replies. Messages that a broken connection left unacked are sent again after the reconnect with the
same ref, and must be stored once.
"""

from contextlib import suppress
from dataclasses import dataclass

import trio

from loadtest.recorder import Recorder
from loadtest.scenario import DISCONNECT_WAYS
from loadtest.stats import Stats, ticks
from loadtest.transport import DialTransport, Transport
from trio_chat.client import Chat, Link, connect
from trio_chat.contract import BreachKind, Judge, Visit
from trio_chat.errors import ChatError, ClientError, ConnectionLost, Refused

__all__ = ["RECONNECT_AFTER_S", "RunContext", "User"]

RECONNECT_AFTER_S = 1.0
DISCONNECT_S = 10.0
JOIN_S = 15.0
LINGER_S = 0.25  # after leaving at the end, to detect late events
# Large enough that the client never drops events, so that the judge sees all that the server sends.
INBOX_EVENTS = 65_536


@dataclass
class RunContext:
    """The state that all users of a run share."""

    host: str
    port: int
    dial: DialTransport
    judge: Judge
    stats: Stats
    tag: str
    """The prefix of the refs of this run, which makes them unique."""


class User:
    """One user. `is_connected`: it can send messages; `is_over`: it will not reconnect."""

    def __init__(self, context: RunContext, name: str, room: str) -> None:
        self.name = name
        self.room = room
        self.is_connected = False
        self.is_over = False
        self.failed: ChatError | None = None
        self.entered = trio.Event()
        self._context = context
        self._token = ""
        self._epoch = ""
        self._cursor: int | None = None
        self._unanswered: dict[str, str] = {}  # texts by ref
        self._is_stored = False
        self._requested_way = ""
        self._recorder = Recorder(context.judge, context.stats, name, room)
        self._receive_scope = trio.CancelScope()
        self._transport: Transport
        self._chat: Chat
        self._visit: Visit
        self._nursery: trio.Nursery

    @property
    def is_stored(self) -> bool:
        """Whether the server's journal has messages of this user, as far as is known."""
        return self._is_stored or bool(self._unanswered)

    # --- called by the runner -------------------------------------------------------------------------

    def disconnect(self, way: str) -> None:
        """Disconnect in one of the ways and reconnect, or in the way `end` for good."""
        self.is_connected = False
        self._requested_way = way
        self._receive_scope.cancel()

    def say(self, number: int, text: str, due: int) -> None:
        """Start to send a message that was due at the tick `due`."""
        context = self._context
        context.judge.says(self.room, self.name, text, due)
        context.stats.sent += 1
        ref = f"{context.tag}.{number}"
        self._unanswered[ref] = text
        self._nursery.start_soon(self._say, ref, text, due)

    def check_unexpected(self) -> None:
        """Record the entries that the client dropped since the last batch."""
        if self.entered.is_set() and not self.is_over:
            self._recorder.check_unexpected()

    # --- its task -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, disconnect and reconnect until requested to end.

        `entered` is set when the user is in its room for the first time, or has failed to join it; `failed`
        is then the error. A connection that ends without a request ends the user, and is a breach.
        """
        while not self.is_over:
            if self.entered.is_set():
                await trio.sleep(RECONNECT_AFTER_S)
            try:
                async with connect(
                    self._context.host,
                    self._context.port,
                    name=self.name,
                    token=self._token,
                    dial=self._dial,
                    come_back=False,
                    inbox_events=INBOX_EVENTS,
                    pace=False,  # the schedule does not wait for the server, and refusals are counted
                ) as chat:
                    self._token = chat.token
                    self._chat = self._recorder.chat = chat
                    await self._join()
                    self.entered.set()
                    async with trio.open_nursery() as self._nursery:
                        try:
                            await self._take_part()
                        except (ClientError, Refused) as error:
                            self._fail(error)
                        self._nursery.cancel_scope.cancel()
            except (ClientError, Refused) as error:
                self._fail(error)
                self.entered.set()

    async def _dial(self, host: str, port: int) -> Link:
        self._transport = await self._context.dial(host, port)
        return self._transport

    async def _join(self) -> None:
        judge = self._context.judge
        judge.asks(self.room, self.name)
        after = self._cursor
        with trio.move_on_after(JOIN_S) as timeout:
            answer = await self._chat.join(self.room, after=after, epoch="" if after is None else self._epoch)
        if timeout.cancelled_caught:
            raise ConnectionLost(f"no reply to its join within {JOIN_S:g} s")
        self._epoch = answer.epoch
        self._visit = judge.entered(
            self.room,
            self.name,
            epoch=answer.epoch,
            head=answer.head,
            members=answer.members,
            after=after,
            resumed=answer.resumed,
        )
        self._recorder.start_visit(self._visit)

    async def _take_part(self) -> None:
        """Receive events and disconnect on request; return when the connection is to be closed."""
        for ref, text in self._unanswered.items():
            # The delay is caused by this user, so it is not measured.
            self._context.judge.says_again(text)
            self._context.stats.again += 1
            self._nursery.start_soon(self._say, ref, text, 0)
        while True:
            self.is_connected = True
            with trio.CancelScope() as self._receive_scope:
                if self._requested_way:
                    self._receive_scope.cancel()
                await self._receive()
            way, self._requested_way = self._requested_way, ""
            self._visit.going(*(("leave", "left") if way == "end" else (way, DISCONNECT_WAYS[way])))
            with trio.move_on_after(DISCONNECT_S) as timeout:
                await self._disconnect(way)
            self._recorder.check_unexpected()
            self._cursor = self._visit.cursor
            self._visit.gone()
            if timeout.cancelled_caught:
                description = f"{self.name} was not disconnected within {DISCONNECT_S:g} s after {way}"
                self._context.judge.findings.add(BreachKind.ENDED, self.room, self.name, description)
            elif way == "leave":
                await self._join()
                continue
            return

    async def _disconnect(self, way: str) -> None:
        chat = self._chat
        match way:
            case "quit":
                await chat.quit()
                await self._receive_rest()
            case "fin":
                self._transport.end()
                await self._receive_rest()
            case "rst":
                self._transport.reset()
            case "leave":
                await trio.lowlevel.checkpoint()  # messages that were just started are sent first
                await chat.leave(self.room)
                with trio.move_on_after(RECONNECT_AFTER_S):
                    await self._receive()
            case "end":
                self.is_over = True
                await chat.leave(self.room)
                with trio.move_on_after(LINGER_S):
                    await self._receive()
                await chat.quit()

    def _fail(self, error: ChatError) -> None:
        self.is_connected = False
        self.is_over = True
        self.failed = error
        if not self.entered.is_set():
            return
        context, visit = self._context, self._visit
        if not visit.is_over:
            description = f"{self.name} was disconnected from {self.room} at {visit.cursor}: {error}"
            # A user whose hello or join was refused quits.
            visit.going("connection lost", "quit" if isinstance(error, Refused) else "lost")
            visit.gone()
        else:
            description = f"{self.name} could not rejoin {self.room} after {visit.cursor}: {error}"
        if isinstance(error, Refused) and error.code == "rate_limited":
            context.stats.count_refusal(error.code)  # makes the run invalid, but is not a breach
        else:
            context.judge.findings.add(BreachKind.ENDED, self.room, self.name, description)
        for text in self._unanswered.values():
            context.judge.excused(text)

    # --- sending -------------------------------------------------------------------------------------

    async def _say(self, ref: str, text: str, due: int) -> None:
        context = self._context
        try:
            seq = await self._chat.say(self.room, text, ref=ref)
        except Refused as refusal:
            context.stats.count_refusal(refusal.code)
            if refusal.code == "unavailable":  # the journal may have it nevertheless
                self._is_stored = True
                context.judge.excused(text)
            else:
                context.judge.refused(text)
        except ClientError:
            return  # sent again after the reconnect
        else:
            self._is_stored = True
            context.judge.acked(text, seq)
            if due:
                context.stats.ack.add((ticks(trio.current_time()) - due,))
        self._unanswered.pop(ref, None)

    # --- receiving --------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        async for batch in self._chat.batches():
            self._recorder.record(batch)

    async def _receive_rest(self) -> None:
        with suppress(ClientError):
            await self._receive()
