"""Resume on a new connection: rejoin the rooms, and send the waiting requests that may be sent already.

Each room is joined behind the newest entry seen of its history (`inbox.py`). Requests about a room are sent
once it is joined, in the order of their creation, and before later ones. A room that is refused for now is
asked for again later. A room that is refused for good is left, and the program gets the server's error.
"""

from collections.abc import Callable
from functools import partial
from math import inf

import trio

from trio_chat.client.connection import Connection
from trio_chat.client.delays import retry_s
from trio_chat.client.exceptions import unexpected_event
from trio_chat.client.requests import Request
from trio_chat.client.rooms import Membership
from trio_chat.client.sender import Sender
from trio_chat.client.session import ClientSession
from trio_chat.errors import Refused
from trio_chat.wire.messages import UNSET, Error, Event, Join, Room

__all__ = ["Resumption"]

_FOR_NOW = ("rate_limited", "unavailable")


class Resumption:
    """Resume once. `on_back` is called when every room that can be rejoined is."""

    def __init__(self, talk: ClientSession, connection: Connection, on_back: Callable[[], None]) -> None:
        self._talk = talk
        self._connection = connection
        self._on_back = on_back
        self._is_back = False

    async def run(self) -> None:
        """Rejoin the rooms; afterwards the `Sender` sends waiting requests. Cancelling leaves them
        waiting."""
        talk = self._talk
        sender = Sender(talk, self._connection)
        with talk.brake:
            while True:
                changed = talk.backlog.renew()
                talk.settle_leaves()
                await self._join_rooms()
                if self._connection.is_broken:
                    return  # the reader has met its end, perhaps before this task began
                self._check_back()
                if self._is_back:
                    break
                await sender.send_waiting()
                with trio.move_on_at(min(self._again_at(), sender.again_at)):
                    await changed.wait()
        talk.open(self._connection)

    # --- rooms --------------------------------------------------------------------------------------

    async def _join_rooms(self) -> None:
        talk = self._talk
        for membership in talk.rooms:
            if self._connection.crowded:
                await self._connection.space()
            if self._connection.is_broken:  # the next connection rejoins
                return
            wanted = talk.rooms.get(membership.name) is membership  # it may have been left meanwhile
            if not wanted or membership.is_back or membership.is_asked:
                continue
            if trio.current_time() < membership.again_at:
                continue
            after = talk.inbox.newest(membership.name) if membership.epoch else UNSET
            join = Join(membership.asked, after=after, epoch=membership.epoch, ref=talk.new_ref())
            try:
                frame = self._connection.pack(join)
            except Refused as refusal:  # this connection has a lower limit than the first one
                self._answered(membership, Error(refusal.code, refusal.detail))
                continue
            membership.is_asked = True
            talk.requests.add(Request(join, then=partial(self._answered, membership)))
            self._connection.send_nowait(frame)

    def _answered(self, membership: Membership, event: Event) -> None:
        membership.is_asked = False
        match event:
            case Room():
                self._enter(membership, event)
            case Error(code=code) if code in _FOR_NOW:
                membership.again_at = trio.current_time() + retry_s(event.retry_after_s)
            case Error():
                detail = f"cannot rejoin {membership.name}: {event.detail}"
                self._talk.reception.leave(membership.asked, membership.name)
                news = Error(event.code, detail, event.field, event.retry_after_s)
                self._talk.inbox.put(news, self._talk.reception.keeps)
            case _:
                raise unexpected_event(event)
        self._check_back()
        self._talk.backlog.changed.set()

    def _enter(self, membership: Membership, answer: Room) -> None:
        talk = self._talk
        talk.rooms.left(membership.asked, membership.name)
        talk.rooms.entered(membership.asked, answer)
        if answer.resumed:
            talk.inbox.resume(membership.name, answer.room)
            if answer.epoch != membership.epoch:
                talk.inbox.change_epoch(membership.name, answer, talk.reception.keeps)
        else:
            talk.inbox.begin_anew(membership.name, answer, talk.reception.keeps)

    def _check_back(self) -> None:
        if not self._is_back and self._talk.rooms.is_back:
            self._is_back = True
            self._on_back()

    def _again_at(self) -> float:
        """Return when to ask for a room again."""
        rooms = self._talk.rooms
        return min((each.again_at for each in rooms if not each.is_back and not each.is_asked), default=inf)
