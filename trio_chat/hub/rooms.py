"""A room's members, and the changes since the last presence notice.

Arrivals and departures are gathered as differences to what the other members know: for each changed member,
the name in the last notice, and the names that a page of `names` has shown since. A member that arrived and
left between two notices, without being shown to any other member, leaves no trace.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Generic

from trio_chat.hub.members import S
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Departure, Members, Presence, Renaming

if TYPE_CHECKING:
    from trio_chat.hub.members import Member
    from trio_chat.hub.names import Name

__all__ = ["LARGE", "NAMES_CUT", "NAMES_PAGE", "RoomMembers"]

LARGE = 200  # members; in a larger room notices are gathered for longer and may be cut
NAMES_CUT = 100
NAMES_PAGE = 1_000
# A page ends when the frame is full; the rest of its 65,536 bytes is for the fields beside the names.
PAGE_BYTES = 60_000


class _Change(Generic[S]):
    """The changes of one member since the last notice.

    `known` has the names under which some other members know it. `new` is set if some of them do not know
    that it is in the room. `why` is the reason of its last departure. `missed` is set if a session arrived
    while it was away: its return must be announced to that session; for all others nothing changed.
    """

    __slots__ = ("gone_at", "known", "member", "missed", "new", "why")

    def __init__(self, told: str | None) -> None:
        self.new = told is None
        self.known = [] if told is None else [told]
        self.member: Member[S]
        self.why = ""
        self.missed = False
        self.gone_at = 0  # the value of `_entered` at its last departure


class RoomMembers(Generic[S]):
    """`members` counts the sessions of each member that are in the room."""

    __slots__ = ("_changed", "_entered", "_sorted", "_told", "key", "members", "shown")

    def __init__(self, name: Name) -> None:
        self.shown, self.key = name
        self.members: dict[Member[S], int] = {}
        self._sorted: list[str] | None = None  # the names; None until the first page is asked for
        self._changed: dict[str, _Change[S]] = {}  # by token, so that a return is matched with its departure
        self._told = 0  # the number of members at the last notice
        self._entered = 0  # the number of sessions that have arrived

    def enter(self, member: Member[S]) -> bool:
        """Add a session of a member. Return whether it is the member's first in this room."""
        here = self.members.get(member, 0)
        self.members[member] = here + 1
        self._entered += 1
        if here:
            return False
        self._sort("", member.name.shown)
        change = self._note(member, None)
        if self._entered - 1 > change.gone_at:
            change.missed = change.missed or bool(change.why)
        return True

    def leave(self, member: Member[S], why: str) -> bool:
        """Remove a session of a member. Return whether it was the member's last in this room."""
        here = self.members[member]
        if here > 1:
            self.members[member] = here - 1
            return False
        del self.members[member]
        self._sort(member.name.shown, "")
        change = self._note(member, member.name.shown)
        change.why = why
        change.gone_at = self._entered
        return True

    def renamed(self, member: Member[S], before: str) -> None:
        """Note that a member of this room was called `before`."""
        self._sort(before, member.name.shown)
        self._note(member, before)

    @property
    def large(self) -> bool:
        """Whether the room is large, or was at the last notice."""
        return max(len(self.members), self._told) > LARGE

    def notice(self) -> Presence | None:
        """Return the changes since the last notice and forget them; None without changes.

        A client applies a notice to its set of names in this order: remove `left`; then remove all `name`s of
        `renamed` and add all their `to`s (two members may have swapped names); then add `joined`.
        """
        joined: list[str] = []
        left: list[Departure] = []
        renamed: list[Renaming] = []
        for change in self._changed.values():
            name = change.member.name.shown
            if change.member not in self.members:
                left += [Departure(known, change.why) for known in change.known]
                continue
            if change.missed and change.known:
                left += [Departure(known, change.why) for known in change.known]
                joined.append(name)
                continue
            renamed += [Renaming(known, name) for known in change.known if known != name]
            if change.new:
                joined.append(name)
        # In a room that is not large nothing is cut, provided it is sure to fit into a frame.
        many = self.large or max(len(joined), len(left)) + len(renamed) > LARGE
        self._changed.clear()
        self._told = len(self.members)
        if not (joined or left or renamed):
            return None
        cut = NAMES_CUT if many else LARGE
        more = max(len(joined), len(left), len(renamed)) > cut
        return Presence(self.shown, len(self.members), joined[:cut], left[:cut], renamed[:cut], more)

    def names(self, after: str = "", ref: str = "") -> Members:
        """Return a page of the members' names by code point, beginning behind `after`."""
        self._seen()
        if self._sorted is None:
            self._sorted = sorted(member.name.shown for member in self.members)
        start = bisect_right(self._sorted, after) if after else 0
        page = self._sorted[start : start + NAMES_PAGE]
        room = PAGE_BYTES
        for count, name in enumerate(page):
            room -= len(encode(name)) + 1
            if room < 0:
                page = page[:count]
                break
        more = start + len(page) < len(self._sorted)
        return Members(self.shown, page, len(self._sorted), more, ref)

    def _sort(self, gone: str, come: str) -> None:
        """Update the sorted names if there are any: sorting ten thousand names for each page would take three
        milliseconds."""
        if self._sorted is not None:
            if gone:
                del self._sorted[bisect_left(self._sorted, gone)]
            if come:
                insort(self._sorted, come)

    def _seen(self) -> None:
        """Note that a page shows the present names: for its reader the gathered changes are no news."""
        for change in self._changed.values():
            name = change.member.name.shown
            if change.member not in self.members:
                change.new = True
            elif name not in change.known:
                change.known.append(name)

    def _note(self, member: Member[S], told: str | None) -> _Change[S]:
        """Return the change of a member that the last notice showed as `told`, None if it showed none."""
        change = self._changed.get(member.token)
        if change is None:
            change = self._changed[member.token] = _Change(told)
        change.member = member
        return change
