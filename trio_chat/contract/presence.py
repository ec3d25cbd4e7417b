"""The presence notices of each visit, compared with the real arrivals and departures.

Notices are live and not ordered against entries, and other members arrive and leave between an arrival and
its notice. So an arrival is known to happen between its `join` and the answer to it, and a departure after it
was begun. From that follows whether a notice *may* be true, and whether a visit received the notices that it
*must* receive. Both are judged at the end: a user may find out that its connection was lost long after the
others were told.

A notice may name an arrival that its reader has counted already in the answer to `join`, and also the reader
itself. A member that leaves and returns between two notices is not named. So the caller of this judge lets
users return only when the others must have been told, or says that they may have returned unnoticed.

A notice may name a departure from before the reader's visit if it names the return as well: the change was
gathered before the reader's `join`, and the notice was sent after it. That is right once, and only if no
other visit was told of the departure before this `join`, because a notice goes to all members at once.

In rooms of more than 200 members lists are cut and only the counts are judged, as promised.

A hostile server may name any user any number of times. A name that was never in the room, or that appears
more often than the user can have arrived or left, is a breach at once and is not kept. So the memory of a
visit's notices is bounded by the number of real visits.
"""

from bisect import bisect_left

from trio_chat.contract.breaches import BreachKind, Findings

__all__ = ["LARGE", "PresenceTruth", "PresenceView"]

LARGE = 200
NEVER = 1 << 62
ONCE_MORE = "once more than it did"


class _Visit:
    """The times of one visit: `join` sent, answered, departure begun. `until` is the time of the next
    arrival."""

    __slots__ = ("asked", "brief", "certain", "entered", "going", "told", "until", "whys")

    def __init__(self, asked: int) -> None:
        self.asked = asked
        self.entered = NEVER
        self.going = NEVER
        self.until = NEVER
        self.whys: frozenset[str] = frozenset()  # the possible reasons in the notice
        self.certain = False
        self.told = True  # the others must be told of its departure
        self.brief = False  # … and need not even be told of its arrival


class PresenceTruth:
    """The real visits to one room, with their times."""

    def __init__(self, room: str, findings: Findings) -> None:
        self.room = room
        self.visits: dict[str, list[_Visit]] = {}
        self.paged = False  # a page of the members was sent: then counts and names need not add up
        self._findings = findings
        # By name: when a visit was told of a departure, and the index of the earliest visit that it can end.
        self._told_goings: dict[str, list[tuple[int, int]]] = {}

    @property
    def large(self) -> bool:
        return len(self.visits) > LARGE

    def asks(self, user: str, now: int) -> None:
        """A user is about to send its `join`."""
        self.visits.setdefault(user, []).append(_Visit(now))

    def gave_up(self, user: str, whys: frozenset[str]) -> None:
        """The user will never know whether it entered."""
        visit = self.visits[user][-1]
        visit.going = visit.asked
        visit.whys = whys
        visit.told = False

    def enters(self, user: str, now: int, members: int) -> "PresenceView":
        """The user has entered. Return its view of the presence notices."""
        visits = self.visits[user]
        visits[-1].entered = now
        if len(visits) > 1:
            visits[-2].until = now
        return PresenceView(self, user, visits[-1], members)

    def told_going(self, user: str, now: int, index: int) -> None:
        """Note that a visit was told of the departure of the visit at `index`, or of a later one."""
        told = self._told_goings.setdefault(user, [])
        if not told or told[-1][1] < index:
            told.append((now, index))

    def has_told_going(self, user: str, index: int, before: int) -> bool:
        """Return whether a visit was told by then of the departure of the visit at `index`, or of a later
        one."""
        told = self._told_goings.get(user, [])
        at = bisect_left(told, (before, 0))
        return at > 0 and told[at - 1][1] >= index

    @property
    def here(self) -> int:
        """The number of members, if no arrival or departure is in progress."""
        return sum(visits[-1].going == NEVER > visits[-1].entered for visits in self.visits.values())

    def breach(self, user: str, words: str, times: int = 1) -> None:
        self._findings.add(BreachKind.PRESENCE, self.room, user, words, times)


class PresenceView:
    """The presence notices that one visit received."""

    __slots__ = (
        "_census",
        "_first",
        "_joined",
        "_left",
        "_miscounts",
        "_notices",
        "_pending",
        "_told",
        "_user",
        "_visit",
        "_waived",
        "members",
    )

    def __init__(self, census: PresenceTruth, user: str, visit: _Visit, members: int) -> None:
        self.members = members  # the count in the last notice or page
        self._census = census
        self._user = user
        self._visit = visit
        self._told: int | None = None  # the count of the last notice
        self._waived = 0  # notices of changes before it may be missing
        self._joined: dict[str, int] = {}
        self._left: dict[str, int] = {}
        self._first: dict[str, int] = {}  # the earliest visit that a notice can be about
        # A departure from before this visit that came in one notice with the return, and when.
        self._pending: dict[str, tuple[_Visit, int]] = {}
        self._miscounts: list[str] = []
        self._notices: list[tuple[int, list[str], list[tuple[str, str]]]] = []

    def noticed(
        self, now: int, members: int, joined: list[str], left: list[tuple[str, str]], *, cut: bool
    ) -> None:
        census = self._census
        told, self._told = self._told, members
        self.members = members
        if told is not None and not cut and told + len(joined) - len(left) != members and not self._miscounts:
            self._miscounts.append(
                f"{self._user} was told of {members} members of {census.room}, where {told} were,"
                f" {len(joined)} came and {len(left)} went"
            )
        if census.large:
            self._notices.clear()
            self._joined.clear()
            self._left.clear()
            self._first.clear()
            self._pending.clear()
            return
        joined = [name for name in joined if self._counts(name, self._joined, "joined")]
        left = [(name, why) for name, why in left if self._counts(name, self._left, "left")]
        for name, _ in left:
            self._hears_going(name, now, returned=name in joined)
        if joined or left:
            self._notices.append((now, joined, left))

    def _counts(self, name: str, told: dict[str, int], what: str) -> bool:
        """Count an arrival or departure of `name`; return False and report a breach if it cannot be true."""
        census = self._census
        visits = census.visits.get(name)
        if visits is None:
            census.breach(
                self._user, f"{self._user} was told that {name} {what}, which was never in the room"
            )
            return False
        if told.get(name, 0) >= len(visits):
            census.breach(self._user, f"{self._user} was told that {name} {what} {census.room}, {ONCE_MORE}")
            return False
        told[name] = told.get(name, 0) + 1
        return True

    def _hears_going(self, name: str, now: int, *, returned: bool) -> None:
        """Find the visit that a departure can end; with `returned` the same notice names the return."""
        census, since = self._census, self._visit.asked
        if name not in self._first:
            visits = census.visits[name]
            first = next(index for index, visit in enumerate(visits) if visit.until > since)
            if returned and first and not census.has_told_going(name, first - 1, since):
                first -= 1
                self._pending[name] = visits[first], now
            self._first[name] = first
        census.told_going(name, now, self._first[name] + self._left[name] - 1)

    def caught_up(self, now: int, count: int) -> None:
        self.members = self._told = count
        self._waived = now
        self._census.paged = True

    def going(self, now: int, whys: frozenset[str], *, certain: bool, early: bool) -> None:
        if early:
            now = self._visit.asked
            self.unnoticed()  # it may have been too short to be in a notice
        self._visit.going = now
        self._visit.whys = whys
        self._visit.certain = certain

    def cut_off(self, whys: frozenset[str]) -> None:
        self._visit.certain = False
        self._visit.whys |= whys

    def unnoticed(self) -> None:
        self._visit.told = False

    def brief(self) -> None:
        self._visit.told = False
        self._visit.brief = True

    def _may(self, name: str, now: int, told: dict[str, int], *, going: bool, why: str = "") -> bool:
        """Return whether a user can have arrived, or left, once more than this visit was told."""
        census = self._census
        what = "left" if going else "joined"
        visits = census.visits[name]
        begun = [
            visit
            for visit in visits
            if (visit.going if going else visit.asked) < now and visit.until > self._visit.asked
        ]
        if going and name in self._pending:
            begun.insert(0, self._pending[name][0])
        if len(begun) <= told.get(name, 0):
            often = ONCE_MORE if told.get(name, 0) else "and it did not"
            census.breach(self._user, f"{self._user} was told that {name} {what} {census.room}, {often}")
            return False
        if going and not any(why in visit.whys for visit in begun):
            was = " or ".join(sorted({each for visit in begun for each in visit.whys}))
            census.breach(
                self._user, f"{self._user} was told that {name} left {census.room} ({why}); it was {was}"
            )
        return True

    # --- at the end -----------------------------------------------------------------------------------

    def untold(self) -> list[str]:
        """Return the notices that this visit should have received by now and did not, as sentences."""
        census = self._census
        lasts = self._visit.going == NEVER
        missing = []
        if not census.large:
            for name, visits in census.visits.items():
                missing += self._untold_of(name, visits, lasts)
        if lasts and not missing and self.members != census.here:
            missing.append(
                f"{self._user} counts {self.members} members of {census.room}, which has {census.here}"
            )
        return missing

    def _untold_of(self, name: str, visits: list[_Visit], lasts: bool) -> list[str]:
        mine = self._visit
        since = max(mine.entered, self._waived)
        # `quit` is answered behind all earlier notices; on a lost connection they may be missing.
        until = NEVER + 1 if lasts else mine.going if mine.certain else 0
        goings = [
            each
            for each in visits
            if each.told and each.going > since and each.going != NEVER and each.until < until
        ]
        # A return before the notice is neither a departure nor an arrival.
        comings = [
            each
            for before, each in zip([None, *visits], visits, strict=False)
            if each.asked > since and each.entered != NEVER and lasts
            if each.told and (before is None or before.told)
        ]
        words = []
        if len(goings) > self._left.get(name, 0) - self._is_told_of_earlier(name):
            whys = ", ".join(dict.fromkeys(" or ".join(sorted(each.whys)) for each in goings))
            words.append(f"{self._user} was not told that {name} left {self._census.room} ({whys})")
        elif len(comings) > self._joined.get(name, 0):
            words.append(f"{self._user} was not told that {name} joined {self._census.room}")
        return words

    def _is_told_of_earlier(self, name: str) -> bool:
        """Return whether a departure in a notice can only end a visit from before this one."""
        if name not in self._pending:
            return False
        _, told_at = self._pending[name]
        visits = self._census.visits[name]
        return not any(visit.going < told_at and visit.until > self._visit.asked for visit in visits)

    def judge(self) -> None:
        self._joined.clear()
        self._left.clear()
        for now, joined, left in self._notices:
            for name in joined:
                if self._may(name, now, self._joined, going=False):
                    self._joined[name] = self._joined.get(name, 0) + 1
            for name, why in left:
                if self._may(name, now, self._left, going=True, why=why):
                    self._left[name] = self._left.get(name, 0) + 1
        missing = self.untold()
        if not missing and not self._census.paged:
            missing = self._miscounts  # a missing notice explains a wrong count
        for words in missing:
            self._census.breach(self._user, words)
