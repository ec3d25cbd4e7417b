"""Who is where: a room's members, and what changed among them since others were last told.

Comings and goings are gathered as differences to what was told: for each member that changed, the name
under which others knew it then, or that they did not. Whoever came and went in between leaves no trace,
and the notice is right however much happened.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Generic

from trio_chat.hub.members import S
from trio_chat.wire.messages import Departure, Members, Presence, Renaming

if TYPE_CHECKING:
    from trio_chat.hub.members import Member
    from trio_chat.hub.names import Name

__all__ = ["LARGE", "NAMES_CUT", "NAMES_PAGE", "Room"]

LARGE = 200  # members; above it, notices are gathered for longer and may be cut
NAMES_CUT = 100
NAMES_PAGE = 1_000
# A page ends when the frame is full. Names have up to 128 bytes of UTF-8: leave room for the rest.
PAGE_BYTES = 60_000


class Room(Generic[S]):
    """`members` counts the sessions of each member that are in the room."""

    __slots__ = ("_changed", "_sorted", "key", "members", "shown")

    def __init__(self, name: Name) -> None:
        self.shown, self.key = name
        self.members: dict[Member[S], int] = {}
        self._sorted: list[str] | None = None
        # token -> (the name others know, or None; the member; why it left last)
        self._changed: dict[bytes, tuple[str | None, Member[S], str]] = {}

    def enter(self, member: Member[S]) -> bool:
        """One more of the member's sessions is here. True when it is the first."""
        here = self.members.get(member, 0)
        self.members[member] = here + 1
        if here:
            return False
        self._note(member, None, "")
        return True

    def leave(self, member: Member[S], why: str) -> bool:
        """One of the member's sessions has left. True when it was the last."""
        here = self.members[member]
        if here > 1:
            self.members[member] = here - 1
            return False
        del self.members[member]
        self._note(member, member.name.shown, why)
        return True

    def renamed(self, member: Member[S], before: str) -> None:
        """A member that is here has another name than `before`."""
        self._note(member, before, "")

    @property
    def large(self) -> bool:
        return max(len(self.members), len(self._changed)) > LARGE

    def notice(self) -> Presence | None:
        """What changed since the last notice, and forget it; None when nothing did.

        Read it in this order: those who left go, those renamed change, those who joined come.
        """
        joined: list[str] = []
        left: list[Departure] = []
        renamed: list[Renaming] = []
        for known, member, why in self._changed.values():
            name = member.name.shown
            if member not in self.members:
                if known is not None:
                    left.append(Departure(known, why))
            elif known is None:
                joined.append(name)
            elif known != name:
                renamed.append(Renaming(known, name))
        cut = NAMES_CUT if self.large else len(self._changed)
        self._changed.clear()
        if not (joined or left or renamed):
            return None
        more = max(len(joined), len(left), len(renamed)) > cut
        return Presence(self.shown, len(self.members), joined[:cut], left[:cut], renamed[:cut], more)

    def names(self, after: str = "", ref: str = "") -> Members:
        """A page of who is here, by code point, those above `after`."""
        if self._sorted is None:
            self._sorted = sorted(member.name.shown for member in self.members)
        start = bisect_right(self._sorted, after) if after else 0
        page = self._sorted[start : start + NAMES_PAGE]
        room = PAGE_BYTES
        for count, name in enumerate(page):
            room -= len(name.encode()) + 3
            if room < 0:
                page = page[:count]
                break
        more = start + len(page) < len(self._sorted)
        return Members(self.shown, page, len(self._sorted), more, ref)

    def _note(self, member: Member[S], known: str | None, why: str) -> None:
        self._sorted = None
        before = self._changed.get(member.token)
        if before is not None:
            known = before[0]
        if known is None and member not in self.members:
            self._changed.pop(member.token, None)  # came and went
        else:
            self._changed[member.token] = (known, member, why)
