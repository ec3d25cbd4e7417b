"""The rooms one is in, whatever the connection: by which name, of which history, and whether one is back.

Pure. A room goes by the name it was asked for and by the one the server writes; which other spellings mean
the same is for the server to know.
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
    """Being in a room. `is_back` on the connection there is; `is_asked` when that is just being asked for.
    Without an `epoch` there is no history to go on with: another server has the room now."""

    __slots__ = ("again_at", "asked", "epoch", "is_asked", "is_back", "name")

    def __init__(self, asked: str, room: Room) -> None:
        self.asked = asked
        self.name = room.room
        self.epoch = room.epoch
        self.is_back = True
        self.is_asked = False
        self.again_at = 0.0
        """When to ask to be let in again, where that could not be done just then."""


class JoinedRooms:
    """The rooms one is in."""

    def __init__(self) -> None:
        self._by_name: dict[str, Membership] = {}
        self._names: dict[str, str] = {}  # as asked for: as the server writes it

    def __iter__(self) -> Iterator[Membership]:
        return iter(list(self._by_name.values()))

    def entered(self, asked: str, room: Room) -> None:
        """A room was joined, or come back to."""
        self._names[asked] = room.room
        self._by_name[room.room] = Membership(asked, room)

    def left(self, room: str, name: str = "") -> str:
        """One is not in that room any more; its name, as the server writes it."""
        name = name or self._names.get(room, room)
        membership = self._by_name.pop(name, None)
        self._names.pop(room, None)
        if membership is not None:
            self._names.pop(membership.asked, None)
        return name

    def lost(self) -> None:
        """The connection is gone: one is back nowhere."""
        for membership in self:
            membership.is_back = membership.is_asked = False
            membership.again_at = 0.0

    def get(self, room: str) -> Membership | None:
        """How one is in a room of that name, if one is in one that is known by it."""
        return self._by_name.get(self._names.get(room, room))

    @property
    def is_back(self) -> bool:
        """Whether one is back in all of them."""
        return all(membership.is_back for membership in self._by_name.values())

    def holds(self, room: str | None) -> bool:
        """Whether what is about that room must wait until one is back in it.

        A name that is not known may be another spelling of one that is: it waits for all.
        """
        if room is None:
            return False
        membership = self.get(room)
        return not (self.is_back if membership is None else membership.is_back)


def room_of(command: Command) -> str | None:
    """The room that a command is about; "" when it is about all one is in, None when about none."""
    if isinstance(command, Join | Leave | Say | Topic | Who | History | Search | Typing):
        return command.room
    return None
