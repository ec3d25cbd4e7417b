"""The conversation: what a program says and hears, on one connection after another.

All of it runs in the program's own tasks. The tasks that serve a connection are those of `reconnect.py`, and
nothing that a server does makes one of them raise: why the conversation ended is noted, and the program meets
that where it waits, as one plain error, and not as a cancellation out of nowhere. What was taken into the
inbox before is still given out first.

While `_direct` is a connection, a command goes out on it at once, unless there is a backlog (`backlog.py`)
or the server's rates say no (`pacer.py`). Otherwise a command only joins those that wait, and `sender.py`
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
    """Requests out, answers and events in, until it has `ended`."""

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
        self.is_leaving = False  # from here on the end is what the program asked for
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
        """One's own name, as the server last said it."""
        return self.reception.name

    def new_ref(self) -> str:
        return self.requests.new_ref()

    async def request(self, command: Command, kind: type[A]) -> A:
        """Send a command with a ref, and wait for its answer.

        Cancelled before there was space for it, while the pacer held it back, or in an outage, the command
        was not sent; cancelled later, it may take effect, and its answer is dropped. Raises `Refused`, and
        what ended the conversation.
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
        """Send a request, or have it wait behind others or for the pacer: the sender sends it then."""
        if connection.crowded:
            await connection.space()
        if not request.waits:  # in the meantime it went out, perhaps on another connection
            return
        if not self.backlog.admits(request.command):
            self.backlog.add()
        elif connection.send_nowait(frame):
            self.backlog.count(request)

    async def tell(self, command: Command) -> None:
        """Send a command that has no answer, or drop it in an outage. Cancelled, it was not sent.

        Raises what ended the conversation.
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

        Raises what ended the conversation, or `StopAsyncIteration` where the program ended it.
        """
        await trio.lowlevel.checkpoint()
        while (event := self.inbox.take()) is None:
            await self._more()
        self.brake.resume()
        return event

    async def next_batch(self) -> list[ClientEvent]:
        """Wait for events and take all that have come; otherwise as `next`."""
        if self.inbox:
            await trio.lowlevel.checkpoint()
        # Waiting is a checkpoint; another before it would be a tenth of all that a batch costs.
        while not self.inbox:
            await self._more()
        events = self.inbox.take_all()
        self.brake.resume()
        return events

    def leave_soon(self) -> None:
        """The program goes: the end of the connection is the end, and in an outage it is now."""
        self.is_leaving = True
        if self._is_away:
            self.end(ConnectionLost("left during an outage", code="quit", reconnect=False))

    def unexpected_entries(self) -> list[Said | TopicChanged]:
        strays = list(self.inbox.strays)
        self.inbox.strays.clear()
        return strays

    # --- the visits' side ---------------------------------------------------------------------------

    def greeted(self, connection: Connection, welcome: Welcome) -> None:
        """There is a connection, and the server has welcomed us on it."""
        self._connection = connection
        self._is_away = False
        self.welcome = welcome
        self.backlog.pacer.set_limits(welcome.limits, trio.current_time())
        if self.name and welcome.name != self.name:
            self.inbox.put(Named(welcome.name), keep=not self.inbox.full)
        self.reception.name = welcome.name

    def open(self, connection: Connection) -> None:
        """From here on commands go out by themselves, unless there is a backlog."""
        if not connection.is_broken:
            self._direct = connection
        self.reception.arrived.unpark_all()

    def lost(self, why: ConnectionLost, outage: Disconnected | None) -> None:
        """The connection is gone, and one will come back. `outage` is the news of it, where it is some."""
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
        """To come back in: cancelled when the program goes before that."""
        return self._absence

    def end(self, error: ClientError) -> None:
        """Note why the conversation ended, once, and wake whoever waits for more of it."""
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
        """Who leaves a room in an outage has left it, unless something is to be sent there before."""
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
        """Wait until there may be more in the inbox; ask for it where the server has what was not kept."""
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
        if question is None:  # one is under way
            await self.reception.arrived.park()
            return
        try:
            frame = connection.pack(question)
        except Refused as refusal:  # the server's own name of the room is too long for its own limit
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
        """Why it ended: a copy for each who meets it, since one raised in two tasks tells of neither."""
        assert self.ended is not None, "only an end leaves a request without an answer"
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
