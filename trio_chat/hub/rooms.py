"""Who is where: a room's members, and what changed among them since others were last told.

Comings and goings are gathered as differences to what others know: for each member that changed, what
they were told, and what a page of `names` has shown some of them since. Whoever came and went in between,
seen by nobody, leaves no trace, and the notice is right however much happened.
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

__all__ = ["LARGE", "NAMES_CUT", "NAMES_PAGE", "Room"]

LARGE = 200  # members; above it, notices are gathered for longer and may be cut
NAMES_CUT = 100
NAMES_PAGE = 1_000
# A page ends when the frame is full; the rest of its 65,536 is for what stands around the names.
PAGE_BYTES = 60_000


class _Change(Generic[S]):
    """What has become of one member: `known` are the names under which some of the others know it, `new`
    when some of them do not know that it is here, `why` it left last. `missed`, when somebody came in
    while it was gone: to that one its coming back is news, and to the others no change at all."""

    __slots__ = ("gone_at", "known", "member", "missed", "new", "why")

    def __init__(self, told: str | None) -> None:
        self.new = told is None
        self.known = [] if told is None else [told]
        self.member: Member[S]
        self.why = ""
        self.missed = False
        self.gone_at = 0  # when it left last, in `_entered`


class Room(Generic[S]):
    """`members` counts the sessions of each member that are in the room."""

    __slots__ = ("_changed", "_entered", "_sorted", "_told", "key", "members", "shown")

    def __init__(self, name: Name) -> None:
        self.shown, self.key = name
        self.members: dict[Member[S], int] = {}
        self._sorted: list[str] | None = None  # the names, once somebody has asked for them
        self._changed: dict[str, _Change[S]] = {}  # by token: who comes back is who went
        self._told = 0  # how many were here at the last notice
        self._entered = 0  # how many sessions have come in

    def enter(self, member: Member[S]) -> bool:
        """One more of the member's sessions is here. True when it is the first."""
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
        """One of the member's sessions has left. True when it was the last."""
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
        """A member that is here has another name than `before`."""
        self._sort(before, member.name.shown)
        self._note(member, before)

    @property
    def large(self) -> bool:
        """Whether it is, or was when others were last told."""
        return max(len(self.members), self._told) > LARGE

    def notice(self) -> Presence | None:
        """What changed since the last notice, and forget it; None when nothing did.

        Names are a set, and this is how it changes: those who left go; then all `name`s of `renamed` go
        at once and all `to`s come (two may have swapped); then those who joined come.
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
        # In a room that is not large nothing is cut, as long as it fits into a frame for sure.
        many = self.large or max(len(joined), len(left)) + len(renamed) > LARGE
        self._changed.clear()
        self._told = len(self.members)
        if not (joined or left or renamed):
            return None
        cut = NAMES_CUT if many else LARGE
        more = max(len(joined), len(left), len(renamed)) > cut
        return Presence(self.shown, len(self.members), joined[:cut], left[:cut], renamed[:cut], more)

    def names(self, after: str = "", ref: str = "") -> Members:
        """A page of who is here, by code point, those above `after`."""
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
        """Keep the sorted names right, once somebody has asked for them: sorting ten thousand anew for each
        who comes and asks would be three milliseconds."""
        if self._sorted is not None:
            if gone:
                del self._sorted[bisect_left(self._sorted, gone)]
            if come:
                insort(self._sorted, come)

    def _seen(self) -> None:
        """Somebody is shown who is here now; what changed since the last notice is not news to all."""
        for change in self._changed.values():
            name = change.member.name.shown
            if change.member not in self.members:
                change.new = True
            elif name not in change.known:
                change.known.append(name)

    def _note(self, member: Member[S], told: str | None) -> _Change[S]:
        """A member has changed whom others were told of as `told`, if nothing was noted since."""
        change = self._changed.get(member.token)
        if change is None:
            change = self._changed[member.token] = _Change(told)
        change.member = member
        return change
