"""The session of a program: its requests and events, on one connection after another.

All of it runs in the program's own tasks. The tasks that serve a connection belong to `reconnect.py`, and
nothing that a server does makes one of them raise. The reason why the session has ended is stored, and the
program gets it where it waits, as one plain error. Events that are in the inbox then are still given out
first.

While `_direct` is a connection, a command is sent on it at once, unless there is a backlog (`backlog.py`) or
the server's rates do not allow it (`pacer.py`). Otherwise the command joins the waiting ones, and `sender.py`
sends them.
"""

from copy import copy
from typing import TypeVar

import trio

from trio_chat.client.backlog import Backlog
from trio_chat.client.backpressure import Backpressure
from trio_chat.client.connection import Connection
from trio_chat.client.delays import retry_s
from trio_chat.client.dispatch import Dispatcher
from trio_chat.client.events import ClientEvent, Disconnected
from trio_chat.client.exceptions import refused, unexpected_event
from trio_chat.client.inbox import Inbox
from trio_chat.client.pacer import Pacer
from trio_chat.client.requests import Request, Requests
from trio_chat.client.rooms import JoinedRooms, room_of
from trio_chat.client.server_change import check_admitted
from trio_chat.errors import ClientError, ConnectionLost, Refused
from trio_chat.wire.messages import (
    Ack,
    Command,
    Error,
    Event,
    HistoryPage,
    Leave,
    Members,
    Named,
    Said,
    TopicChanged,
    Welcome,
)

__all__ = ["ClientSession"]

A = TypeVar("A", bound=Event)


class ClientSession:
    """Send requests and receive answers and events, until it has `ended`."""

    def __init__(
        self,
        inbox: Inbox,
        requests: Requests,
        connection: Connection,
        welcome: Welcome,
        *,
        pace: bool = True,
    ) -> None:
        self.ended: ClientError | None = None
        self.is_leaving = False  # the program has asked for the end
        self.inbox = inbox
        self.requests = requests
        self.rooms = JoinedRooms()
        self.brake = Backpressure(inbox)
        self.backlog = Backlog(requests, Pacer(welcome.limits, trio.current_time(), is_on=pace))
        self.reception = Dispatcher(inbox, requests, self.rooms, self.backlog)
        self._is_away = False
        self._absence = trio.CancelScope()
        self._ask_at = 0.0
        self._direct: Connection | None = None
        self.greeted(connection, welcome)
        self.open(connection)

    # --- the program's side -------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The member's name, as the server wrote it last."""
        return self.reception.name

    def new_ref(self) -> str:
        return self.requests.new_ref()

    async def request(self, command: Command, kind: type[A]) -> A:
        """Send a command with a ref and wait for its answer.

        A call that is cancelled while it waits for space, for the pacer or for a connection was not sent. A
        call that is cancelled later may take effect, and its answer is dropped. Raises `Refused`, and the
        error that ended the session.
        """
        frame = self._connection.pack(command)
        request = Request(command)
        with self.brake:
            self._check()
            welcome = self.welcome
            await self.requests.admit(request)
            check_admitted(self.requests, request, welcome, self.welcome)
            try:
                connection = self._direct
                if connection is None:
                    if isinstance(command, Leave):
                        self.settle_leaves()
                    self.backlog.add()
                else:
                    await self._send(request, frame, connection)
                await request.done.wait()
            except BaseException:
                self.requests.give_up(request)
                raise
        return self._outcome(request, kind)

    async def _send(self, request: Request, frame: bytes, connection: Connection) -> None:
        """Send a request, or add it to the backlog, which the sender sends."""
        if connection.crowded:
            await connection.space()
        if not request.waits:  # it was sent meanwhile, perhaps on another connection
            return
        if not self.backlog.admits(request.command):
            self.backlog.add()
        elif connection.send_nowait(frame):
            self.backlog.count(request)

    async def tell(self, command: Command) -> None:
        """Send a command without an answer; drop it while disconnected. A cancelled call was not sent.

        Raises the error that ended the session.
        """
        frame = self._connection.pack(command)
        with self.brake:
            await trio.lowlevel.checkpoint()
            if self._direct is not None and self._direct.crowded:
                await self._direct.space()
            self._check()
            if self._direct is not None:
                self._direct.send_nowait(frame)

    async def next(self) -> ClientEvent:
        """Wait for the next event. Cancelling loses none.

        Raises the error that ended the session, or `StopAsyncIteration` if the program ended it.
        """
        await trio.lowlevel.checkpoint()
        while (event := self.inbox.take()) is None:
            await self._more()
        self.brake.resume()
        return event

    async def next_batch(self) -> list[ClientEvent]:
        """Wait for events and return all waiting ones; otherwise like `next`."""
        if self.inbox:
            await trio.lowlevel.checkpoint()
        # Waiting is a checkpoint; another one before it would be a tenth of the cost of a batch.
        while not self.inbox:
            await self._more()
        events = self.inbox.take_all()
        self.brake.resume()
        return events

    def leave_soon(self) -> None:
        """Note that the program quits: the end of the connection ends the session, while disconnected at
        once."""
        self.is_leaving = True
        if self._is_away:
            self.end(ConnectionLost("left while disconnected", code="quit", reconnect=False))

    def unexpected_entries(self) -> list[Said | TopicChanged]:
        strays = list(self.inbox.strays)
        self.inbox.strays.clear()
        return strays

    # --- connections -------------------------------------------------------------------------------

    def greeted(self, connection: Connection, welcome: Welcome) -> None:
        """Take a new connection with its welcome."""
        self._connection = connection
        self._is_away = False
        self.welcome = welcome
        self.backlog.pacer.set_limits(welcome.limits, trio.current_time())
        if self.name and welcome.name != self.name:
            self.inbox.put(Named(welcome.name), keep=not self.inbox.full)
        self.reception.name = welcome.name

    def open(self, connection: Connection) -> None:
        """Send commands directly from now on, unless there is a backlog."""
        if not connection.is_broken:
            self._direct = connection
        self.reception.arrived.unpark_all()

    def lost(self, why: ConnectionLost, outage: Disconnected | None) -> None:
        """Note that the connection is lost and a new one will follow. `outage` is the event for the program,
        if any."""
        self._connection.abandon()
        self._direct = None
        self._is_away = True
        self._absence = trio.CancelScope()
        self.inbox.lost()
        self.rooms.lost()
        self.settle_leaves()
        self.requests.lost(why)
        self.backlog.lose()
        if outage is not None:
            self.inbox.put(outage, keep=not self.inbox.full)
        self.reception.arrived.unpark_all()

    @property
    def absence(self) -> trio.CancelScope:
        """The scope for reconnecting; cancelled if the program quits before."""
        return self._absence

    def end(self, error: ClientError) -> None:
        """End the session with a reason, once, and wake all waiting callers."""
        if self.ended is not None:
            return
        self.ended = error
        if self.is_leaving:
            self.inbox.give_up()
        self._connection.abandon()
        self.requests.end()
        self.reception.arrived.unpark_all()
        self._absence.cancel()

    def settle_leaves(self) -> None:
        """Complete `leave` calls while disconnected, unless earlier commands about the room wait."""
        busy: dict[str, None] = {}
        for request in list(self.requests):
            if request.then is not None:
                continue
            room = room_of(request.command)
            membership = self.rooms.get(room) if room else None
            if (
                isinstance(request.command, Leave)
                and membership is not None
                and membership.name not in busy
                and not membership.is_back
                and not membership.is_asked
            ):
                self.reception.leave(request.command.room, membership.name)
                self.requests.answer(request, Ack(request.command.ref, membership.name))
            elif room and not request.is_given_up:
                busy[membership.name if membership else room] = None

    # --- waiting ------------------------------------------------------------------------------------

    async def _more(self) -> None:
        """Wait until there may be more events; fetch missed ones from the server."""
        if self.is_leaving and self.ended is not None:
            raise StopAsyncIteration
        self._check()
        arrived = self.reception.arrived
        if not self.inbox.lagging or self._direct is None:
            await arrived.park()
        elif trio.current_time() < self._ask_at:
            with trio.move_on_at(self._ask_at):
                await arrived.park()
        else:
            await self._ask(self._direct)

    async def _ask(self, connection: Connection) -> None:
        with self.brake:
            if connection.crowded:
                await connection.space()
            self._check()
        if connection is not self._direct:
            await trio.lowlevel.checkpoint()
            return
        question = self.inbox.question(self.requests.new_ref())
        if question is None:  # a question is open
            await self.reception.arrived.park()
            return
        try:
            frame = connection.pack(question)
        except Refused as refusal:  # the server's name of the room is too long for its own limit
            self.inbox.refuse(refusal.code)
            return
        self.requests.add(Request(question, then=self._caught_up))
        connection.send_nowait(frame)

    def _caught_up(self, event: Event) -> None:
        match event:
            case HistoryPage() | Members():
                self.inbox.answer(event)
            case Error():
                if self.inbox.refuse(event.code):
                    self._ask_at = trio.current_time() + retry_s(event.retry_after_s)
            case _:
                raise unexpected_event(event)

    def _check(self) -> None:
        if self.ended is not None:
            raise self._why()

    def _why(self) -> ClientError:
        """Return a copy of the reason for each caller: one exception raised in two tasks would mix their
        tracebacks."""
        assert self.ended is not None, "only the end of the session leaves a request without an answer"
        error = copy(self.ended)
        error.__cause__ = self.ended.__cause__
        return error

    def _outcome(self, request: Request, kind: type[A]) -> A:
        if request.failure is not None:
            raise request.failure
        answer = request.answer
        if answer is None:
            raise self._why()
        if isinstance(answer, kind):
            return answer
        if isinstance(answer, Error):
            raise refused(answer)
        raise unexpected_event(answer)
