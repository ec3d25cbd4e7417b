"""The Chat: a program's messages, commands and events.

Each method is one command of docs/protocol.md; `ClientSession` does the work. Many tasks may call methods at
the same time, also inside `async for event in chat`: answers are matched by ref.
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
    """A chat with a server, created by `connect`, which also ends it.

    Every method that waits for an answer raises `Refused` if the server refuses the command, and
    `ClientError` (usually `ConnectionLost`) if the Chat has ended. A cancelled call may or may not have taken
    effect; its late answer is dropped, and the Chat stays usable.

    A lost connection does not end the Chat. It reconnects with its token, rejoins its rooms, and continues
    behind the last event, between the events `Disconnected` and `Reconnected` and after them. A `Gap` names
    entries that are lost. A `Room` means that a room has another history now, as after a restart with a
    journal in memory: its numbers begin again, with its newest entries. If its `resumed` is true, the program
    had seen no entry of the old history, and the whole new one follows. After an outage, `Members` names the
    members of a room.

    Commands over the server's rates wait, in the order of the calls, and later messages wait behind them;
    with `pace=False` they raise `Refused`. A call that is cancelled while it waits was not sent.

    While disconnected, calls wait, and so do calls without an answer from before: they are sent again, and a
    message is stored once. There are exceptions: `leave` leaves at once, `typing` is dropped, `quit` ends the
    Chat, and a `whisper` that was sent raises `ConnectionLost`, because it may have arrived. A call that was
    open when the server ended a connection with `internal` for the second time also raises `ConnectionLost`.
    If another server answers after an outage (`welcome.server_id`), waiting messages were written for the old
    one: they raise `ServerChanged`, and each room begins again with a `Room`. At most a thousand calls wait
    for answers; further calls wait for a place.
    """

    def __init__(self, conversation: ClientSession) -> None:
        self.token = conversation.welcome.token
        self._talk = conversation

    @property
    def welcome(self) -> Welcome:
        """The `welcome` of the present or last connection."""
        return self._talk.welcome

    @property
    def name(self) -> str:
        """The member's name, as the server wrote it last."""
        return self._talk.name

    # --- events -------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[ClientEvent]:
        """Iterate over events: entries of rooms, presence, whispers and so on.

        Iterating waits for the next event, and cancelling loses none: another loop continues where this one
        stopped. The loop ends after `quit`, and raises `ClientError` if the Chat has ended otherwise, both
        after all earlier events. A program that is too slow for its rooms still gets every entry once and in
        order (`inbox.py` says how, and which other events are dropped).
        """
        return self

    async def __anext__(self) -> ClientEvent:
        return await self._talk.next()

    def batches(self) -> AsyncIterator[list[ClientEvent]]:
        """Iterate over lists of all waiting events, for programs with very many events."""
        return _Batches(self._talk)

    def unexpected_entries(self) -> list[Said | TopicChanged]:
        """Remove and return the entries that a correct server does not send (the newest thousand): repeated
        or late entries, which iterating leaves out, and the first entry of a room that was not joined. For
        tests of servers.
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
        """Join a room with its newest `recent` entries, or continue `after` an entry of the same `epoch`.

        With both, `recent` is used if the room cannot continue there: it has another history, or the journal
        no longer holds some of the following entries. At most `limit` entries are sent. They come as events
        after the answer; a `Gap` names the entries behind `after` that are not sent.
        """
        command = Join(room, _given(recent), _given(after), epoch, self._talk.new_ref(), _given(limit))
        return await self._talk.request(command, Room)

    async def leave(self, room: str) -> None:
        """Leave a room after the pending messages to it. No event of the room follows."""
        await self._talk.request(Leave(room, self._talk.new_ref()), Ack)

    async def say(self, room: str, text: str, action: bool = False, ref: str | None = None) -> int:
        """Send a message, wait until the journal has it, and return its number.

        A message with the same `ref`, also from another Chat with the same token, is stored once. So pass a
        `ref` to be able to send again if the fate of the first try is unknown.
        """
        command = Say(room, text, action, ref or self._talk.new_ref())
        return _number(await self._talk.request(command, Ack))

    async def topic(self, room: str, text: str) -> int:
        """Set a room's topic, wait until the journal has it, and return its number."""
        return _number(await self._talk.request(Topic(room, text, self._talk.new_ref()), Ack))

    async def typing(self, room: str) -> None:
        """Show a room that the member is typing. Wait until the command is sent; it has no answer."""
        await self._talk.tell(Typing(room))

    # --- members ------------------------------------------------------------------------------------

    async def whisper(self, to: str, text: str) -> None:
        """Send a message to one member, and wait until the server has passed it on."""
        await self._talk.request(Whisper(to, text, self._talk.new_ref()), Ack)

    async def rename(self, name: str) -> str:
        """Change the member's name and return the new one."""
        return (await self._talk.request(Rename(name, self._talk.new_ref()), Named)).name

    async def who(self, room: str) -> list[str]:
        """Return the names of all members of a room, with as many queries as needed.

        Raises `ProtocolError` if a page does not continue the one before, or the list does not end.
        """

        async def ask(after: str) -> tuple[list[str], bool]:
            page = await self._talk.request(Who(room, after, self._talk.new_ref()), Members)
            return page.names, page.more

        return await all_pages(ask, str)

    # --- queries ------------------------------------------------------------------------------------

    async def rooms(self) -> list[RoomListing]:
        """Return all rooms that have members, with as many queries as needed. Raises like `who`."""

        async def ask(after: str) -> tuple[list[RoomListing], bool]:
            page = await self._talk.request(Rooms(after, self._talk.new_ref()), RoomsPage)
            return page.rooms, page.more

        return await all_pages(ask, lambda listing: listing.room)

    async def history(
        self, room: str, before: int | None = None, after: int | None = None, limit: int = 200
    ) -> HistoryPage:
        """Return a page of entries: the newest, the newest below `before`, or the first above `after`."""
        command = History(room, _given(before), _given(after), limit, self._talk.new_ref())
        return await self._talk.request(command, HistoryPage)

    async def search(
        self, text: str, room: str = "", before: int | None = None, limit: int = 100, next: str = ""
    ) -> Found:
        """Return the newest entries that match, of one room or of all joined rooms; pass its `next` to get
        more."""
        command = Search(text, room, _given(before), limit, self._talk.new_ref(), next)
        return await self._talk.request(command, Found)

    async def ping(self) -> float:
        """Return the round-trip time to the server in seconds."""
        began = trio.current_time()
        await self._talk.request(Ping(ref=self._talk.new_ref()), Pong)
        return trio.current_time() - began

    async def quit(self, reason: str = "") -> None:
        """End the Chat: wait until pending messages are committed and the server has sent `bye`.

        After it no command can be sent, and iterating ends after the earlier events. A connection that is
        lost meanwhile is no error here; while disconnected there is nothing to wait for. Any other answer of
        the server also ends the Chat. `connect` does this at the end of its block, for at most five seconds.
        """
        self._talk.leave_soon()
        with suppress(ClientError, Refused):
            await self._talk.request(Quit(reason, self._talk.new_ref()), Bye)
        self._talk.end(ConnectionLost("left without an answer from the server", code="quit", reconnect=False))


class _Batches:
    """An iterator instead of an async generator, which would need cleanup when a loop is left early."""

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
