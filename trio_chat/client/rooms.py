"""The joined rooms, on any connection: their names, their histories, and whether they are rejoined.

Pure. A room is known by the name in `join` and by the name that the server writes; only the server knows
which other spellings mean the same room.
"""

from collections.abc import Iterator

from trio_chat.wire.messages import (
    Command,
    History,
    Join,
    Leave,
    Room,
    Say,
    Search,
    Topic,
    Typing,
    Who,
)

__all__ = ["JoinedRooms", "Membership", "room_of"]


class Membership:
    """One joined room. `is_back` is true if the present connection has joined it, `is_asked` while its `join`
    waits for the answer. An empty `epoch` means that there is no history to continue: another server has the
    room now."""

    __slots__ = ("again_at", "asked", "epoch", "is_asked", "is_back", "name")

    def __init__(self, asked: str, room: Room) -> None:
        self.asked = asked
        self.name = room.room
        self.epoch = room.epoch
        self.is_back = True
        self.is_asked = False
        self.again_at = 0.0
        """When to send `join` again after a temporary refusal."""


class JoinedRooms:
    """The joined rooms of a Chat."""

    def __init__(self) -> None:
        self._by_name: dict[str, Membership] = {}
        self._names: dict[str, str] = {}  # the server's name of a room, by the name in `join`

    def __iter__(self) -> Iterator[Membership]:
        return iter(list(self._by_name.values()))

    def entered(self, asked: str, room: Room) -> None:
        """Note that a room was joined or rejoined."""
        self._names[asked] = room.room
        self._by_name[room.room] = Membership(asked, room)

    def left(self, room: str, name: str = "") -> str:
        """Note that a room was left; return its name, as the server writes it."""
        name = name or self._names.get(room, room)
        membership = self._by_name.pop(name, None)
        self._names.pop(room, None)
        if membership is not None:
            self._names.pop(membership.asked, None)
        return name

    def lost(self) -> None:
        """Note that the connection is lost: no room is joined on the next one yet."""
        for membership in self:
            membership.is_back = membership.is_asked = False
            membership.again_at = 0.0

    def get(self, room: str) -> Membership | None:
        """Return the membership of a room by a known name of it, or None."""
        return self._by_name.get(self._names.get(room, room))

    @property
    def is_back(self) -> bool:
        """Whether all rooms are rejoined."""
        return all(membership.is_back for membership in self._by_name.values())

    def holds(self, room: str | None) -> bool:
        """Return whether commands about a room must wait until it is rejoined.

        An unknown name may be another spelling of a known room, so it waits for all rooms.
        """
        if room is None:
            return False
        membership = self.get(room)
        return not (self.is_back if membership is None else membership.is_back)


def room_of(command: Command) -> str | None:
    """Return the room of a command; "" if it is about all joined rooms, None if about none."""
    if isinstance(command, Join | Leave | Say | Topic | Who | History | Search | Typing):
        return command.room
    return None
