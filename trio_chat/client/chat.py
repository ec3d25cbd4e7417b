"""The Chat: what a program says and hears.

Each method is one command of docs/protocol.md; the work is done by the `ClientSession`. Every method may
be called by many tasks at once, also inside `async for event in chat`: answers are matched by ref.
"""

from collections.abc import AsyncIterator
from contextlib import suppress

import trio

from trio_chat.client.events import ClientEvent
from trio_chat.client.exceptions import protocol_error
from trio_chat.client.pagination import all_pages
from trio_chat.client.session import ClientSession
from trio_chat.errors import ClientError, ConnectionLost, Refused
from trio_chat.wire.messages import (
    UNSET,
    Ack,
    Bye,
    Found,
    History,
    HistoryPage,
    Join,
    Leave,
    Members,
    Named,
    Ping,
    Pong,
    Quit,
    Rename,
    Room,
    RoomListing,
    Rooms,
    RoomsPage,
    Said,
    Say,
    Search,
    Topic,
    TopicChanged,
    Typing,
    UnsetType,
    Welcome,
    Whisper,
    Who,
)

__all__ = ["Chat"]


class Chat:
    """A chat with a server that has welcomed us; made by `connect`, whose block is its life.

    Every method that waits for an answer raises `Refused` when the server will not, and `ClientError`
    (as a rule `ConnectionLost`) when the Chat has ended. A call that is cancelled may or may not
    have taken effect; its late answer is dropped, and the Chat is as good as before.

    A connection that is lost does not end it. It comes back with its token into its rooms, and what a
    program hears goes on behind what it has heard, between the events `Outage` and `Back` and after them.
    Where entries could not be had any more there is a `Gap`. A `Room` means that a room has another history
    now, as after a restart with a journal in memory: its numbers begin anew, with its newest entries. With
    `resumed` true the program had seen nothing of the history before, and all of the new one follows. After
    an outage `Members` says who is in a room.

    What the server would refuse as too fast waits until it does not, in the order of the calls, and so does
    all that is said behind it; only with `pace=False` is that `Refused`. Cancelled while it waits, it was
    not sent.

    What one calls during an outage waits for its end, and so does what was not answered when it began: it is
    asked or said again, and said once. The exceptions: `leave` leaves at once, `typing` is dropped, `quit`
    ends the Chat, and a `whisper` that was under way raises `ConnectionLost`, since it may have arrived. So
    does, with the code `internal`, what was under way when the server ended a connection by its own fault
    for the second time. Where another server answers after an outage (`welcome.server_id`), what waits to be
    said was written for the one before: it raises `ServerChanged`, and each room begins anew with a `Room`.
    At most a thousand calls wait for an answer at a time; more wait to be among them.
    """

    def __init__(self, conversation: ClientSession) -> None:
        self.token = conversation.welcome.token
        self._talk = conversation

    @property
    def welcome(self) -> Welcome:
        """What the server has welcomed us with, the last time."""
        return self._talk.welcome

    @property
    def name(self) -> str:
        """One's own name, as the server last said it."""
        return self._talk.name

    # --- hearing ------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[ClientEvent]:
        """The events nobody asked for, one by one: entries of rooms, presence, whispers and so on.

        Iterating waits for the next event, and cancelling loses none: another loop goes on where this
        one stopped. It ends when this Chat has `quit`, and raises `ClientError` when the Chat has
        ended otherwise; in both cases after what had come. A program that is too slow for its rooms
        still gets every entry once, in order (`inbox.py` says how, and what is not kept).
        """
        return self

    async def __anext__(self) -> ClientEvent:
        return await self._talk.next()

    def batches(self) -> AsyncIterator[list[ClientEvent]]:
        """The same events as lists, each of all that have come: for programs that take very many."""
        return _Batches(self._talk)

    def unexpected_entries(self) -> list[Said | TopicChanged]:
        """Entries that no server should have sent, taken from where they are noted (the newest thousand):
        those that came again or behind later ones, which iterating leaves out, and the first of a room
        that one is not in. For tests of servers; there are none as long as a server keeps its promises.
        """
        return self._talk.unexpected_entries()

    # --- rooms --------------------------------------------------------------------------------------

    async def join(
        self,
        room: str,
        recent: int | None = None,
        after: int | None = None,
        epoch: str = "",
        limit: int | None = None,
    ) -> Room:
        """Enter a room, with its newest `recent` entries; or go on `after` an entry of the same `epoch`.

        With both, `recent` counts where the room cannot go on there: its history is another one by now, or
        the journal has forgotten some of what followed. At most `limit` entries come. Entries come as
        events, after the answer, and a `Gap` says which of those behind `after` do not.
        """
        command = Join(room, _given(recent), _given(after), epoch, self._talk.new_ref(), _given(limit))
        return await self._talk.request(command, Room)

    async def leave(self, room: str) -> None:
        """Leave a room, once what one has said there is settled. Nothing of the room comes after it."""
        await self._talk.request(Leave(room, self._talk.new_ref()), Ack)

    async def say(self, room: str, text: str, action: bool = False, ref: str | None = None) -> int:
        """Say something, and wait until the room's journal holds it; its number there.

        Said again with the same `ref`, also by another Chat of the same token, it is still said once:
        so give one to be able to try again when it is not known whether the first time took effect.
        """
        command = Say(room, text, action, ref or self._talk.new_ref())
        return _number(await self._talk.request(command, Ack))

    async def topic(self, room: str, text: str) -> int:
        """Set a room's topic, and wait until the journal holds that; its number there."""
        return _number(await self._talk.request(Topic(room, text, self._talk.new_ref()), Ack))

    async def typing(self, room: str) -> None:
        """Tell a room that one is typing. Waits for the command to go out; there is no answer."""
        await self._talk.tell(Typing(room))

    # --- people -------------------------------------------------------------------------------------

    async def whisper(self, to: str, text: str) -> None:
        """Say something to one member, and wait until it was handed on."""
        await self._talk.request(Whisper(to, text, self._talk.new_ref()), Ack)

    async def rename(self, name: str) -> str:
        """Take another name; the name as it is now."""
        return (await self._talk.request(Rename(name, self._talk.new_ref()), Named)).name

    async def who(self, room: str) -> list[str]:
        """The names of all who are in a room, by as many questions as that takes.

        Raises `ServerFault` when the pages do not go on, or do not end.
        """

        async def ask(after: str) -> tuple[list[str], bool]:
            page = await self._talk.request(Who(room, after, self._talk.new_ref()), Members)
            return page.names, page.more

        return await all_pages(ask, str)

    # --- questions ----------------------------------------------------------------------------------

    async def rooms(self) -> list[RoomListing]:
        """All rooms with somebody in them, by as many questions as that takes. Raises as `who`."""

        async def ask(after: str) -> tuple[list[RoomListing], bool]:
            page = await self._talk.request(Rooms(after, self._talk.new_ref()), RoomsPage)
            return page.rooms, page.more

        return await all_pages(ask, lambda listing: listing.room)

    async def history(
        self, room: str, before: int | None = None, after: int | None = None, limit: int = 200
    ) -> HistoryPage:
        """A page of a room's entries: the newest, the newest below `before`, or the first above `after`."""
        command = History(room, _given(before), _given(after), limit, self._talk.new_ref())
        return await self._talk.request(command, HistoryPage)

    async def search(
        self, text: str, room: str = "", before: int | None = None, limit: int = 100, next: str = ""
    ) -> Found:
        """The newest entries that match, of one room or of all one is in; an answer's `next` gets more."""
        command = Search(text, room, _given(before), limit, self._talk.new_ref(), next)
        return await self._talk.request(command, Found)

    async def ping(self) -> float:
        """The time to the server and back, in seconds."""
        began = trio.current_time()
        await self._talk.request(Ping(ref=self._talk.new_ref()), Pong)
        return trio.current_time() - began

    async def quit(self, reason: str = "") -> None:
        """Say goodbye, and wait until what is pending is settled and the server has said it too.

        After it nothing can be said any more, and iterating ends with what had come. A connection that
        breaks meanwhile has ended as well, and is no error here; in an outage there is nothing to wait for.
        A server that answers anything but goodbye ends the Chat too: it cannot refuse to let a client go.
        `connect` does this at the end of its block, for at most five seconds.
        """
        self._talk.leave_soon()
        with suppress(ClientError, Refused):
            await self._talk.request(Quit(reason, self._talk.new_ref()), Bye)
        self._talk.end(
            ConnectionLost("left, and the server has not said goodbye", code="quit", reconnect=False)
        )


class _Batches:
    """An iterator and no async generator: nothing is left to be cleaned up when a loop is left early."""

    def __init__(self, conversation: ClientSession) -> None:
        self._talk = conversation

    def __aiter__(self) -> AsyncIterator[list[ClientEvent]]:
        return self

    async def __anext__(self) -> list[ClientEvent]:
        return await self._talk.next_batch()


def _given(number: int | None) -> int | UnsetType:
    return UNSET if number is None else number


def _number(ack: Ack) -> int:
    if isinstance(ack.seq, UnsetType):
        raise protocol_error("an ack without a number")
    return ack.seq
