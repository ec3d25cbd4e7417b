"""Coming back on a new connection: into the rooms, and meanwhile with what waits and may be sent already.

Each room is joined again after the newest entry that was seen of its history (`inbox.py`). What is about a
room is sent when one is back in it, in the order in which it was first said: behind it, and not before, what
is said from then on. A room that cannot be entered just then is asked for again later; one that may not be
entered is left, and the program is told by the server's error.
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
    """One coming back. `on_back` is called when one is in all rooms again that would have one."""

    def __init__(self, talk: ClientSession, connection: Connection, on_back: Callable[[], None]) -> None:
        self._talk = talk
        self._connection = connection
        self._on_back = on_back
        self._is_back = False

    async def run(self) -> None:
        """Come back; what waits from its end on is the `Sender`'s. Cancelled, what waits still waits."""
        talk = self._talk
        sender = Sender(talk, self._connection)
        with talk.brake:
            while True:
                changed = talk.backlog.renew()
                talk.settle_leaves()
                await self._join_rooms()
                if self._connection.is_broken:
                    return  # its end was read meanwhile, perhaps before this task had begun
                self._look()
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
            if self._connection.is_broken:  # the next connection asks
                return
            wanted = talk.rooms.get(membership.name) is membership  # it may have been left by now
            if not wanted or membership.is_back or membership.is_asked:
                continue
            if trio.current_time() < membership.again_at:
                continue
            after = talk.inbox.newest(membership.name) if membership.epoch else UNSET
            join = Join(membership.asked, after=after, epoch=membership.epoch, ref=talk.new_ref())
            try:
                frame = self._connection.pack(join)
            except Refused as refusal:  # the limit of this connection is lower than that of the first one
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
                detail = f"no way back into {membership.name}: {event.detail}"
                self._talk.reception.leave(membership.asked, membership.name)
                news = Error(event.code, detail, event.field, event.retry_after_s)
                self._talk.inbox.put(news, self._talk.reception.keeps)
            case _:
                raise unexpected_event(event)
        self._look()
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

    def _look(self) -> None:
        if not self._is_back and self._talk.rooms.is_back:
            self._is_back = True
            self._on_back()

    def _again_at(self) -> float:
        """When there is a room to be asked for again."""
        rooms = self._talk.rooms
        return min((each.again_at for each in rooms if not each.is_back and not each.is_asked), default=inf)
