"""Dispatch events to the requests that wait for them, or to the inbox.

This happens in the order of the stream and without a checkpoint: the effect of an answer on a room counts
from its position in the stream on, whenever its caller wakes up, and also if the caller was cancelled.
"""

from typing import assert_never

from trio.lowlevel import ParkingLot

from trio_chat.client.backlog import Backlog
from trio_chat.client.checks import check_named, check_room
from trio_chat.client.exceptions import connection_lost
from trio_chat.client.inbox import Inbox
from trio_chat.client.requests import Requests
from trio_chat.client.rooms import JoinedRooms
from trio_chat.errors import ClientError, ProtocolError
from trio_chat.wire.messages import (
    UNSET,
    Ack,
    Bye,
    Error,
    Event,
    Found,
    Gap,
    HistoryPage,
    Join,
    Leave,
    Members,
    Named,
    Pong,
    Presence,
    Room,
    RoomsPage,
    Said,
    TopicChanged,
    TypingNotice,
    Welcome,
    Whispered,
)

__all__ = ["Dispatcher"]


class Dispatcher:
    """Dispatch the events of every connection. `arrived` is the place to wait for more of them."""

    def __init__(self, inbox: Inbox, requests: Requests, rooms: JoinedRooms, backlog: Backlog) -> None:
        self.name = ""
        self.arrived = ParkingLot()
        self._keeps: bool | None = None  # while the events of one read are dispatched
        self._inbox = inbox
        self._requests = requests
        self._rooms = rooms
        self._backlog = backlog

    @property
    def keeps(self) -> bool:
        """Whether the inbox has space, or had at the beginning of the present read."""
        return not self._inbox.full if self._keeps is None else self._keeps

    def take(self, events: list[Event]) -> ClientError | None:
        """Dispatch the events of one read. Return the reason if the connection has ended."""
        self._keeps = keep = not self._inbox.full
        put, put_entry = self._inbox.put, self._inbox.put_entry
        end: ClientError | None = None
        for event in events:
            match event:
                case Said() | TopicChanged():
                    put_entry(event, keep)
                case Presence() | TypingNotice() | Whispered() | Gap():
                    put(event, keep)
                case Ack() | Room() | RoomsPage() | HistoryPage() | Found() | Welcome() | Pong():
                    if end := self._take_answer(event):
                        break
                case Members() | Named() | Error():
                    if isinstance(event, Named) and (end := self._take_name(event)):
                        break
                    if not event.ref:
                        put(event, keep)
                    elif end := self._take_answer(event):
                        break
                case Bye():
                    end = connection_lost(event)
                    break
                case _:
                    assert_never(event)
        self._keeps = None
        self.arrived.unpark_all()
        return end

    def leave(self, room: str, name: str = "") -> None:
        """Note that a room was left."""
        self._inbox.leave(self._rooms.left(room, name))

    def _take_name(self, event: Named) -> ProtocolError | None:
        try:
            check_named(event)
        except ProtocolError as fault:
            return fault
        self.name = event.name
        return None

    def _take_answer(
        self,
        event: Ack | Room | RoomsPage | HistoryPage | Found | Welcome | Pong | Members | Named | Error,
    ) -> ProtocolError | None:
        try:
            if isinstance(event, Room):
                check_room(event)  # before its request is removed, so that the request gets the error
            if isinstance(event, Error) and event.code == "rate_limited" and self._backlog.put_off(event):
                return None
            request = self._requests.take(event.ref)
            if request is None:
                return None
            self._backlog.answer(request)
            if request.then is not None:
                request.then(event)
                return None
        except ProtocolError as fault:
            return fault
        match request.command, event:
            case Join() as join, Room():
                self._rooms.entered(join.room, event)
                self._inbox.enter(event.room, _cursor(join, event))
            case Leave(room=room), Ack():
                self.leave(room, event.room)
            case _:
                pass
        request.answer = event
        request.done.set()
        return None


def _cursor(join: Join, room: Room) -> int:
    """Return the number after which a room's replay begins, or the `gap` before it (docs/protocol.md,
    `join`)."""
    if join.after is not UNSET:
        return join.after if room.resumed else 0
    recent = 0 if join.recent is UNSET else join.recent
    recent = recent if join.limit is UNSET else min(recent, join.limit)
    return max(room.head - recent, room.first - 1, 0)
