"""The hub: one object that holds every member and room; its methods are the rules.

Each method decides and applies in one step: it raises `Refused` and changes nothing, or it makes the whole
change. Changes that other members must see are gathered in the rooms (`RoomMembers.notice`).
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
from trio_chat.hub.rooms import RoomMembers

__all__ = ["Hub"]

_ORDERED = "talk"  # the kind of command whose order is visible to members


class Hub(Generic[S]):
    """Hold the members and rooms of one server.

    `sessions_max` limits the sessions of a member, `rooms_max` the rooms of a session. `rates` has the burst
    and the commands a second for each kind of command (`RateLimiter`); an empty dict limits none.
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
        self.rooms: dict[str, RoomMembers[S]] = {}  # by key; a room without members does not exist
        self._rooms_by_name: SortedDict[str, RoomMembers[S]] = SortedDict()  # the same rooms

    def attach(
        self, session: S, token: str, name: Name, *, prefix: str = "", now: float = 0.0, late: float = 0.0
    ) -> tuple[Attachment[S], Attachment[S] | None]:
        """Attach a session to the member with this token. `prefix` is that of the session's address.

        A member that is attached already keeps its present name, whatever `name` says. If it has
        `sessions_max` sessions, its oldest attachment is returned too: the caller must end that session.
        Raises `Refused`: `name_taken`.
        """
        member = self._members.get(token)
        if member is None:
            if name.key in self._names:
                raise Refused("name_taken", f"the name {name.shown} is taken", field="name")
            member = Member(token, name, self._limiter.attach(token, now, late))
            self._members[token] = self._names[name.key] = member
        oldest = member.attachments[0] if len(member.attachments) >= self._sessions_max else None
        attachment = Attachment(session, member, prefix)
        member.attachments.append(attachment)
        return attachment, oldest

    def detach(self, attachment: Attachment[S], why: str, now: float = 0.0) -> list[RoomMembers[S]]:
        """Detach a session that ends, and return the rooms that have changed. Idempotent.

        The session leaves its rooms. With its last session the member ends and its name is free; the rest of
        its rates is kept for its token.
        """
        member = attachment.member
        if attachment not in member.attachments:
            return []
        changed = [room for room in list(attachment.rooms.values()) if self.leave(attachment, room, why)]
        member.attachments.remove(attachment)
        if not member.attachments:
            del self._members[member.token]
            del self._names[member.name.key]
            self._limiter.detach(member.token, member.allowance, now)
        return changed

    def join(self, attachment: Attachment[S], name: Name) -> tuple[RoomMembers[S], bool]:
        """Enter a room. Return it, and whether the member was not in it before.

        Raises `Refused`: `already_in_room`, `too_many_rooms`.
        """
        self.check_join(attachment, name)
        room = self.rooms.get(name.key)
        if room is None:
            room = self.rooms[name.key] = self._rooms_by_name[name.shown] = RoomMembers(name)
        attachment.rooms[name.key] = room
        return room, room.enter(attachment.member)

    def check_join(self, attachment: Attachment[S], name: Name) -> None:
        """Raise what `join` would raise."""
        if name.key in attachment.rooms:
            raise Refused("already_in_room", f"you are in {name.shown}", field="room")
        if len(attachment.rooms) >= self._rooms_max:
            raise Refused("too_many_rooms", f"at most {self._rooms_max} rooms at a time", field="room")

    def room_of(self, attachment: Attachment[S], raw: str) -> RoomMembers[S]:
        """Return the session's room with that name. Raises `Refused`: `not_in_room`."""
        room = attachment.rooms.get(raw)  # most commands name a room by its key
        if room is not None:
            return room
        try:
            return attachment.rooms[prepare_room(raw).key]
        except (KeyError, Refused):
            raise Refused("not_in_room", "you are not in that room", field="room") from None

    def leave(self, attachment: Attachment[S], room: RoomMembers[S], why: str) -> bool:
        """Leave a room. Return whether the member has no session in it any more."""
        del attachment.rooms[room.key]
        last = room.leave(attachment.member, why)
        if not room.members:
            del self.rooms[room.key]
            del self._rooms_by_name[room.shown]
        return last

    def rooms_after(self, name: str, count: int) -> list[RoomMembers[S]]:
        """Return up to `count` rooms whose names come after `name`, by code point."""
        following = self._rooms_by_name.irange(name, inclusive=(False, True))
        return [self._rooms_by_name[shown] for shown in islice(following, count)]

    def rename(self, member: Member[S], name: Name) -> list[RoomMembers[S]]:
        """Change a member's name, or only its case. Return the rooms whose members must see the change.

        Raises `Refused`: `name_taken`.
        """
        if self._names.get(name.key, member) is not member:
            raise Refused("name_taken", f"the name {name.shown} is taken", field="name")
        before = member.name
        del self._names[before.key]
        self._names[name.key] = member
        member.name = name
        rooms = {room: None for attachment in member.attachments for room in attachment.rooms.values()}
        for room in rooms:
            room.renamed(member, before.shown)
        return list(rooms)

    def find(self, name: Name) -> Member[S]:
        """Return the member of that name. Raises `Refused`: `no_such_name`."""
        member = self._names.get(name.key)
        if member is None:
            raise Refused("no_such_name", f"no member is named {name.shown}", field="to")
        return member

    def check_rate(
        self, attachment: Attachment[S], kind: str, now: float, late: float = 0.0, *, size: int = 0
    ) -> None:
        """Charge one command of that kind, of `size` bytes, to the rates of the member.

        `late` is for how many seconds in all the server has been late. Raises `Refused`: `rate_limited`.
        Further messages of the session are then refused until `retry_after_s` is over, so that a later
        message is not accepted before an earlier one.
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
