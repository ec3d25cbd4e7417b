"""The conversation: what comes is given to the request that waits for it or to the inbox.

Three tasks serve it, and `connect` owns them: the reader, the connection's writer, and `keep_alive`. All
else runs in the program's own tasks. Nothing that a server does makes one of the three raise: the reader
notes why the conversation ended, and the program meets that where it waits, as one plain error, and not
as a cancellation out of nowhere. What was taken into the inbox before is still given out first.
"""

from copy import copy
from typing import TypeVar, assert_never

import trio
from trio.lowlevel import ParkingLot

from trio_chat.client.brake import Brake
from trio_chat.client.connection import Connection
from trio_chat.client.faults import lost, refused, unfitting
from trio_chat.client.inbox import Inbox, Incoming
from trio_chat.client.requests import Request, Requests
from trio_chat.errors import ClientError, ConnectionLost
from trio_chat.wire.messages import (
    Ack,
    Bye,
    Command,
    Error,
    Event,
    Found,
    Gap,
    Hello,
    HistoryPage,
    Join,
    Leave,
    Members,
    Named,
    Ping,
    Pong,
    Presence,
    Retitled,
    Room,
    RoomsPage,
    Said,
    TypingNotice,
    UnsetType,
    Welcome,
    Whispered,
)

__all__ = ["Conversation"]

ASK_AGAIN_S = 1

A = TypeVar("A", bound=Event)


class Conversation:
    """Requests out, answers and events in, over one connection, until it has `ended`."""

    def __init__(self, connection: Connection, inbox: Inbox, requests: Requests) -> None:
        self.name = ""
        self.leaving = False  # from here on the end is what the program asked for
        self.ended: ClientError | None = None
        self._connection = connection
        self._inbox = inbox
        self._requests = requests
        self._rooms: dict[str, str] = {}  # as asked for: as the server writes it
        self._brake = Brake(inbox)
        self._ask_at = 0.0
        self._arrived = ParkingLot()

    # --- the program's side -------------------------------------------------------------------------

    def new_ref(self) -> str:
        return self._requests.new_ref()

    async def request(self, command: Command, kind: type[A]) -> A:
        """Send a command with a ref, and wait for its answer.

        Cancelled before there was space for it, the command was not sent; cancelled later, it may take
        effect, and its answer is dropped. Raises `Refused`, and what ended the conversation.
        """
        frame = self._connection.pack(command)
        request = Request(command)
        with self._brake:
            await self._until_space()
            self._requests.add(request)
            self._connection.send_nowait(frame)
            await request.done.wait()
        return self._outcome(request, kind)

    async def greet(self, hello: Hello) -> Welcome:
        """Say hello and wait for the welcome, which sets one's name and the limits. Raises as `request`."""
        welcome = await self.request(hello, Welcome)
        self.name = welcome.name
        self._connection.frame_bytes = welcome.limits.frame_bytes
        return welcome

    async def tell(self, command: Command) -> None:
        """Send a command that has no answer. Cancelled, it was not sent.

        Raises what ended the conversation.
        """
        frame = self._connection.pack(command)
        with self._brake:
            await trio.lowlevel.checkpoint()
            await self._until_space()
            self._connection.send_nowait(frame)

    async def next(self) -> Incoming:
        """Wait for the next event. Cancelling loses none.

        Raises what ended the conversation, or `StopAsyncIteration` where the program ended it.
        """
        await trio.lowlevel.checkpoint()
        while (event := self._inbox.take()) is None:
            await self._more()
        self._brake.ease()
        return event

    async def next_batch(self) -> list[Incoming]:
        """Wait for events and take all that have come; otherwise as `next`."""
        if self._inbox:
            await trio.lowlevel.checkpoint()
        # Waiting is a checkpoint; another before it would be a tenth of all that a batch costs.
        while not self._inbox:
            await self._more()
        events = self._inbox.take_all()
        self._brake.ease()
        return events

    def strays(self) -> list[Said | Retitled]:
        strays = list(self._inbox.strays)
        self._inbox.strays.clear()
        return strays

    # --- the tasks ----------------------------------------------------------------------------------

    async def read(self) -> None:
        """The reader: runs until the conversation has ended."""
        while self.ended is None:
            await self._brake.wait()
            try:
                events = await self._connection.receive()
            except ClientError as error:
                self._end(error)
            else:
                self._take(events)

    async def keep_alive(self, ping_s: int) -> None:
        """Ping when nothing was said for `ping_s` by either side; end when the server says nothing at all.

        While the reader holds, what the server says is not heard, and its silence means nothing.
        """
        ping_s = max(ping_s, 1)  # 0 would have us say nothing else
        silence_s = 2 * ping_s + 10
        pinged_at = trio.current_time()
        while self.ended is None:
            connection, now = self._connection, trio.current_time()
            if self._brake.holds:
                connection.heard_at = now
            if now >= connection.heard_at + silence_s:
                self._end(ConnectionLost(f"connection lost: nothing heard from the server for {silence_s} s"))
                return
            due = max(min(connection.sent_at, connection.heard_at), pinged_at) + ping_s
            if now >= due:
                if not connection.crowded:
                    connection.send_nowait(connection.pack(Ping()))
                pinged_at = now
                continue
            await trio.sleep_until(min(due, connection.heard_at + silence_s))

    # --- what comes ---------------------------------------------------------------------------------

    def _take(self, events: list[Event]) -> None:
        keep = not self._inbox.full
        put, put_entry = self._inbox.put, self._inbox.put_entry
        for event in events:
            match event:
                case Said() | Retitled():
                    put_entry(event, keep)
                case Presence() | TypingNotice() | Whispered() | Gap():
                    put(event, keep)
                case Ack() | Room() | RoomsPage() | HistoryPage() | Found() | Welcome() | Pong():
                    self._take_answer(event)
                case Members() | Named() | Error():
                    if isinstance(event, Named):
                        self.name = event.name
                    if event.ref:
                        self._take_answer(event)
                    else:
                        put(event, keep)
                case Bye():
                    self._end(lost(event))
                    return
                case _:
                    assert_never(event)
        self._arrived.unpark_all()

    def _take_answer(
        self,
        event: Ack | Room | RoomsPage | HistoryPage | Found | Welcome | Pong | Members | Named | Error,
    ) -> None:
        """Hand an answer to its request. What it means for a room counts from this place in the stream on,
        whenever the one who asked wakes up, and if nobody does."""
        request = self._requests.take(event.ref)
        if request is None:
            return
        match request.command, event:
            case Join() as join, Room():
                self._rooms[join.room] = event.room
                self._inbox.enter(event.room, _cursor(join, event))
            case Leave(room=room), Ack():
                room = self._rooms.pop(room, room)
                self._inbox.leave(event.room or room)
            case _:
                pass
        if request.catching_up:
            self._caught_up(event)
        request.answer = event
        request.done.set()

    def _caught_up(self, event: Event) -> None:
        match event:
            case HistoryPage() | Members():
                self._inbox.answer(event)
            case Error():
                if self._inbox.refuse(event.code):
                    wait_s = (
                        ASK_AGAIN_S if isinstance(event.retry_after_s, UnsetType) else event.retry_after_s
                    )
                    self._ask_at = trio.current_time() + wait_s
            case _:
                self._end(unfitting(event))

    def _end(self, error: ClientError) -> None:
        """Note why the conversation ended, once, and wake whoever waits for more of it."""
        if self.ended is not None:
            return
        self.ended = error
        if self.leaving:
            self._inbox.give_up()
        self._connection.abandon()
        self._requests.end()
        self._arrived.unpark_all()

    # --- waiting ------------------------------------------------------------------------------------

    async def _until_space(self) -> None:
        if self._connection.crowded:
            await self._connection.space()
        self._check()

    async def _more(self) -> None:
        """Wait until there may be more in the inbox; ask for it where the server has what was not kept."""
        if self.leaving and self.ended is not None:
            raise StopAsyncIteration
        self._check()
        if not self._inbox.lagging:
            await self._arrived.park()
        elif trio.current_time() < self._ask_at:
            with trio.move_on_at(self._ask_at):
                await self._arrived.park()
        else:
            await self._ask()

    async def _ask(self) -> None:
        with self._brake:
            await self._until_space()
        question = self._inbox.question(self._requests.new_ref())
        if question is None:  # one is under way
            await self._arrived.park()
            return
        self._requests.add(Request(question, catching_up=True))
        self._connection.send_nowait(self._connection.pack(question))

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
        answer = request.answer
        if answer is None:
            raise self._why()
        if isinstance(answer, kind):
            return answer
        if isinstance(answer, Error):
            raise refused(answer)
        raise unfitting(answer)


def _cursor(join: Join, room: Room) -> int:
    """The number after which a room's replay begins (docs/protocol.md, `join`)."""
    if room.resumed and not isinstance(join.after, UnsetType):
        return join.after
    recent = 0 if isinstance(join.recent, UnsetType) else join.recent
    return max(room.head - recent, room.first - 1)
