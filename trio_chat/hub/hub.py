"""The hub: one object that knows every member and room, and whose methods are the rules.

Each method decides and applies in one step: it raises `Refused` and has changed nothing, or it has done
all of it. What is left to tell others gathers in the rooms (`Room.notice`).
"""

from __future__ import annotations

from typing import Generic

from trio_chat.errors import Refused
from trio_chat.hub.members import Member, S, Seat
from trio_chat.hub.names import Name, prepare_room
from trio_chat.hub.rates import Bucket
from trio_chat.hub.rooms import Room

__all__ = ["Hub"]


class Hub(Generic[S]):
    """`sessions_max` is for each member, `rooms_max` for each session.

    `rates` gives for each kind of rate the burst and how many a second; a kind that is not in it is
    not limited.
    """

    def __init__(
        self,
        *,
        sessions_max: int = 8,
        rooms_max: int = 100,
        rates: dict[str, tuple[int, float]] | None = None,
    ) -> None:
        self._sessions_max = sessions_max
        self._rooms_max = rooms_max
        self._rates = rates or {}
        self._members: dict[str, Member[S]] = {}  # by token
        self._names: dict[str, Member[S]] = {}  # by key
        self.rooms: dict[str, Room[S]] = {}  # by key; those with somebody in them

    def sit_down(self, owner: S, token: str, name: Name) -> tuple[Seat[S], Seat[S] | None]:
        """Seat a session of the member whose token this is.

        A member that is here already keeps its present name, whatever `name` says. When all its seats
        are taken the oldest is given back too: its session must end. Raises `Refused`: `name_taken`.
        """
        member = self._members.get(token)
        if member is None:
            if name.key in self._names:
                raise Refused("name_taken", f"the name {name.shown} is taken", field="name")
            member = self._members[token] = self._names[name.key] = Member(token, name)
        oldest = next(iter(member.seats)) if len(member.seats) >= self._sessions_max else None
        seat = Seat(owner, member)
        member.seats[seat] = None
        return seat, oldest

    def stand_up(self, seat: Seat[S], why: str) -> list[Room[S]]:
        """A session ends: it leaves its rooms, and its member goes with its last one. Idempotent.

        Returns the rooms that have changed.
        """
        member = seat.member
        if seat not in member.seats:
            return []
        changed = [room for room in list(seat.rooms.values()) if self.leave(seat, room, why)]
        del member.seats[seat]
        if not member.seats:
            del self._members[member.token]
            del self._names[member.name.key]
        return changed

    def join(self, seat: Seat[S], name: Name) -> tuple[Room[S], bool]:
        """Enter a room; true when the member was not there before.

        Raises `Refused`: `already_in_room`, `too_many_rooms`.
        """
        self.check_join(seat, name)
        room = self.rooms.get(name.key)
        if room is None:
            room = self.rooms[name.key] = Room(name)
        seat.rooms[name.key] = room
        return room, room.enter(seat.member)

    def check_join(self, seat: Seat[S], name: Name) -> None:
        """Raise what `join` would."""
        if name.key in seat.rooms:
            raise Refused("already_in_room", f"you are in {name.shown}", field="room")
        if len(seat.rooms) >= self._rooms_max:
            raise Refused("too_many_rooms", f"at most {self._rooms_max} rooms at a time", field="room")

    def room_of(self, seat: Seat[S], raw: str) -> Room[S]:
        """The room that one is in and calls by that name. Raises `Refused`: `not_in_room`."""
        room = seat.rooms.get(raw)  # most are called by their key
        if room is not None:
            return room
        try:
            return seat.rooms[prepare_room(raw).key]
        except (KeyError, Refused):
            raise Refused("not_in_room", "you are not in that room", field="room") from None

    def leave(self, seat: Seat[S], room: Room[S], why: str) -> bool:
        """Leave a room one is in. True when the member is not there any more."""
        del seat.rooms[room.key]
        last = room.leave(seat.member, why)
        if not room.members:
            del self.rooms[room.key]
        return last

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
        rooms = {room: None for seat in member.seats for room in seat.rooms.values()}
        for room in rooms:
            room.renamed(member, before.shown)
        return list(rooms)

    def find(self, name: Name) -> Member[S]:
        """The member of that name. Raises `Refused`: `no_such_name`."""
        member = self._names.get(name.key)
        if member is None:
            raise Refused("no_such_name", f"nobody is called {name.shown}", field="to")
        return member

    def pay(self, member: Member[S], kind: str, now: float) -> None:
        """Count one against the member's rate of that kind. Raises `Refused`: `rate_limited`."""
        rate = self._rates.get(kind)
        if rate is None:
            return
        if member.buckets is None:
            member.buckets = {}
        bucket = member.buckets.get(kind)
        if bucket is None:
            bucket = member.buckets[kind] = Bucket(*rate, now)
        wait_s = bucket.take(now)
        if wait_s:
            raise Refused("rate_limited", f"too fast: {kind}", retry_after_s=int(wait_s) + 1)
