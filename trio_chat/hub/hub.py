"""The hub: one object that knows every member and room, and whose methods are the rules.

Each method decides and applies in one step: it raises `Refused` and has changed nothing, or it has done
all of it. What is left to tell others gathers in the rooms (`Room.notice`).
"""

from __future__ import annotations

from itertools import islice
from math import ceil
from typing import Generic

from sortedcontainers import SortedDict

from trio_chat.errors import Refused
from trio_chat.hub.members import Attachment, Member, S
from trio_chat.hub.names import Name, prepare_room
from trio_chat.hub.rates import Rate, RateLimiter
from trio_chat.hub.rooms import Room

__all__ = ["Hub"]

_ORDERED = "talk"  # the kind of command whose order people see


class Hub(Generic[S]):
    """`sessions_max` is for each member, `rooms_max` for each session.

    `rates` gives for each kind of command the burst and how many a second (`RateLimiter`); without any, no
    command is ever refused for its rate.
    """

    def __init__(
        self,
        *,
        sessions_max: int = 8,
        rooms_max: int = 100,
        rates: dict[str, Rate] | None = None,
    ) -> None:
        self._sessions_max = sessions_max
        self._rooms_max = rooms_max
        self.has_rates = bool(rates)
        self._limiter = RateLimiter(rates or {})
        self._members: dict[str, Member[S]] = {}  # by token
        self._names: dict[str, Member[S]] = {}  # by key
        self.rooms: dict[str, Room[S]] = {}  # by key; those with somebody in them
        self._rooms_by_name: SortedDict[str, Room[S]] = SortedDict()  # the same

    def attach(
        self, owner: S, token: str, name: Name, *, prefix: str = "", now: float = 0.0, late: float = 0.0
    ) -> tuple[Attachment[S], Attachment[S] | None]:
        """Seat a session of the member whose token this is, from an address with that prefix.

        A member that is here already keeps its present name, whatever `name` says. When all its seats
        are taken the oldest is given back too: its session must end. Raises `Refused`: `name_taken`.
        """
        member = self._members.get(token)
        if member is None:
            if name.key in self._names:
                raise Refused("name_taken", f"the name {name.shown} is taken", field="name")
            member = Member(token, name, self._limiter.attach(token, now, late))
            self._members[token] = self._names[name.key] = member
        oldest = member.seats[0] if len(member.seats) >= self._sessions_max else None
        attachment = Attachment(owner, member, prefix)
        member.seats.append(attachment)
        return attachment, oldest

    def detach(self, attachment: Attachment[S], why: str, now: float = 0.0) -> list[Room[S]]:
        """A session ends: it leaves its rooms, and its member goes with its last one. Idempotent.

        What the member's rates have left is kept for its token.

        Returns the rooms that have changed.
        """
        member = attachment.member
        if attachment not in member.seats:
            return []
        changed = [room for room in list(attachment.rooms.values()) if self.leave(attachment, room, why)]
        member.seats.remove(attachment)
        if not member.seats:
            del self._members[member.token]
            del self._names[member.name.key]
            self._limiter.detach(member.token, member.allowance, now)
        return changed

    def join(self, attachment: Attachment[S], name: Name) -> tuple[Room[S], bool]:
        """Enter a room; true when the member was not there before.

        Raises `Refused`: `already_in_room`, `too_many_rooms`.
        """
        self.check_join(attachment, name)
        room = self.rooms.get(name.key)
        if room is None:
            room = self.rooms[name.key] = self._rooms_by_name[name.shown] = Room(name)
        attachment.rooms[name.key] = room
        return room, room.enter(attachment.member)

    def check_join(self, attachment: Attachment[S], name: Name) -> None:
        """Raise what `join` would."""
        if name.key in attachment.rooms:
            raise Refused("already_in_room", f"you are in {name.shown}", field="room")
        if len(attachment.rooms) >= self._rooms_max:
            raise Refused("too_many_rooms", f"at most {self._rooms_max} rooms at a time", field="room")

    def room_of(self, attachment: Attachment[S], raw: str) -> Room[S]:
        """The room that one is in and calls by that name. Raises `Refused`: `not_in_room`."""
        room = attachment.rooms.get(raw)  # most are called by their key
        if room is not None:
            return room
        try:
            return attachment.rooms[prepare_room(raw).key]
        except (KeyError, Refused):
            raise Refused("not_in_room", "you are not in that room", field="room") from None

    def leave(self, attachment: Attachment[S], room: Room[S], why: str) -> bool:
        """Leave a room one is in. True when the member is not there any more."""
        del attachment.rooms[room.key]
        last = room.leave(attachment.member, why)
        if not room.members:
            del self.rooms[room.key]
            del self._rooms_by_name[room.shown]
        return last

    def rooms_after(self, name: str, count: int) -> list[Room[S]]:
        """Return up to so many rooms whose names stand behind `name`, by code point."""
        following = self._rooms_by_name.irange(name, inclusive=(False, True))
        return [self._rooms_by_name[shown] for shown in islice(following, count)]

    def rename(self, member: Member[S], name: Name) -> list[Room[S]]:
        """Take another name; changing the case of one's own is allowed. Returns the rooms to be told.

        Raises `Refused`: `name_taken`.
        """
        if self._names.get(name.key, member) is not member:
            raise Refused("name_taken", f"the name {name.shown} is taken", field="name")
        before = member.name
        del self._names[before.key]
        self._names[name.key] = member
        member.name = name
        rooms = {room: None for attachment in member.seats for room in attachment.rooms.values()}
        for room in rooms:
            room.renamed(member, before.shown)
        return list(rooms)

    def find(self, name: Name) -> Member[S]:
        """The member of that name. Raises `Refused`: `no_such_name`."""
        member = self._names.get(name.key)
        if member is None:
            raise Refused("no_such_name", f"nobody is called {name.shown}", field="to")
        return member

    def check_rate(
        self, attachment: Attachment[S], kind: str, now: float, late: float = 0.0, *, size: int = 0
    ) -> None:
        """Charge one command of that kind, of `size` bytes, to the rates of the seat's member.

        `late` is for how long, in all, the server has been late. Raises `Refused`: `rate_limited`. Messages
        of the same session are then refused until that may be tried again: one that was sent behind it must
        not be granted before it.
        """
        if not self.has_rates:
            return
        if kind == _ORDERED and now < attachment.refused_until:
            retry_after_s = ceil(attachment.refused_until - now)
            raise Refused("rate_limited", f"too fast: {kind}", retry_after_s=retry_after_s)
        try:
            self._limiter.check(attachment.member.allowance, attachment.prefix, kind, size, now, late)
        except Refused as refusal:
            if kind == _ORDERED and refusal.retry_after_s is not None:
                attachment.refused_until = now + refusal.retry_after_s
            raise
