"""One user's time in a room: every entry once, in order, from the answer to `join` until it goes."""

from collections.abc import Callable, Sequence

from trio_chat.contract.breaches import BreachKind, Findings, numbers
from trio_chat.contract.presence import PresenceView
from trio_chat.contract.truth import Entry, Truth

__all__ = ["Visit"]


class Visit:
    """Made by `Judge.entered`. `cursor` is the newest entry that was seen: where to resume.

    Call the methods in the order in which things happened: `going` before one goes, by whatever way, then
    what still comes, then `gone` when nothing more can.
    """

    __slots__ = (
        "_findings",
        "_holes",
        "_tick",
        "cursor",
        "head",
        "hearing",
        "is_over",
        "reach",
        "skipped_over",
        "start",
        "truth",
        "user",
        "verified",
        "way",
    )

    def __init__(
        self,
        truth: Truth,
        user: str,
        start: int,
        head: int,
        hearing: PresenceView,
        findings: Findings,
        tick: Callable[[], int],
    ) -> None:
        self.truth = truth
        self.user = user
        self.start = start
        self.cursor = start
        self.head = head  # what is at or below it is replay
        self.hearing = hearing
        self.reach = 0  # up to where it must have been shown everything, if it was there at the end
        self.verified = 0
        self.skipped_over: list[range] = []  # what honest gaps left out
        self.way = ""  # how it went
        self.is_over = False
        self._holes: dict[int, None] = {}
        self._findings = findings
        self._tick = tick

    @property
    def room(self) -> str:
        return self.truth.room

    @property
    def gaps(self) -> int:
        """How many entries honest gaps left out."""
        return sum(map(len, self.skipped_over))

    def must_have_seen(self, seq: int) -> bool:
        """Whether it must have been shown this entry, if it was told the truth."""
        return self.start < seq <= max(self.cursor, self.reach) and not any(
            seq in skipped for skipped in self.skipped_over
        )

    # --- entries --------------------------------------------------------------------------------------

    def agrees(self, batch: Sequence[object]) -> bool:
        """Whether a batch is just what is known to come next; then it is seen.

        This is what nearly every batch comes to, and all it costs is the comparison of two lists.
        """
        truth = self.truth
        many = len(batch)
        at = self.cursor - truth.base
        if truth.entries[at : at + many] != batch:
            return False
        self.cursor += many
        self.verified += many
        return True

    def saw(self, entry: Entry) -> None:
        """An entry was shown; also one that has come again, too late or out of order."""
        if entry.room != self.room:
            self._breach(
                BreachKind.PHANTOM,
                f"{self.user} was shown {entry.room} {entry.seq} without being there: by {entry.by}",
            )
            return
        seq = entry.seq
        if seq <= self.cursor:
            self._came_again(seq)
            return
        if seq <= self.truth.limit:  # otherwise it is no number at all, and the next one is due as before
            self._holes.update(dict.fromkeys(range(self.cursor + 1, seq)))
            self.cursor = seq
        if self.truth.compare(self.user, entry):
            self.verified += 1

    def saw_late(self, entry: Entry) -> None:
        """An entry was shown although one had left, and the leaving was acked."""
        self._breach(
            BreachKind.LATE, f"{self.user} was shown {entry.room} {entry.seq} after leaving at {self.cursor}"
        )

    def skipped(self, after: int, following: int) -> None:
        """The server says that the entries between these two are not part of this replay."""
        if following - 1 > self.truth.limit or after > self.truth.limit:
            words = f"{self.user} was told of a gap in {self.room} from {after} to {following}"
            self._breach(BreachKind.PHANTOM, f"{words}, and nothing was said behind {self.truth.limit}")
            return
        if after > self.cursor:
            self._holes.update(dict.fromkeys(range(self.cursor + 1, after + 1)))
        skipped = range(max(after, self.cursor) + 1, following)
        if skipped:
            self.skipped_over.append(skipped)
        self.cursor = max(self.cursor, following - 1)

    # --- presence -------------------------------------------------------------------------------------

    def noticed(
        self, members: int, joined: list[str], left: list[tuple[str, str]], *, cut: bool = False
    ) -> None:
        """A notice of presence: the count, who came, who went and why, and whether lists were cut."""
        self.hearing.noticed(self._tick(), members, joined, left, cut=cut)

    def was_told_members(self, count: int) -> None:
        """Who is here, unasked: this session was behind."""
        self.hearing.caught_up(self._tick(), count)

    # --- the end --------------------------------------------------------------------------------------

    def going(self, way: str, *whys: str, early: bool = False) -> None:
        """The user is about to go, as `way` says; others hear of it with this `why`, or one of them.

        `early` when they may have heard of it at any time since it came: it was cut off and finds out now.
        """
        self.way = way
        certain = way in {"quit", "leave"}
        self.hearing.going(self._tick(), frozenset(whys), certain=certain, early=early)

    def cut_off(self, *whys: str) -> None:
        """Its goodbye was not answered: it need not have heard all that came before, and others may have
        heard one of these instead."""
        self.hearing.cut_off(frozenset(whys))

    def unnoticed(self) -> None:
        """The user comes back so soon that others need not have heard of its going, nor of its coming."""
        self.hearing.unnoticed()

    def brief(self) -> None:
        """The user goes so soon after it came that others need not have heard of either."""
        self.hearing.brief()

    def gone(self) -> None:
        """Nothing more can come. What was lost is lost."""
        self.is_over = True

    def owes(self, head: int) -> None:
        """All entries up to `head` must have come by now, since the user is still here, or left properly."""
        self.reach = max(self.cursor, head)
        if head > self.cursor:
            self._holes.update(dict.fromkeys(range(self.cursor + 1, head + 1)))

    def judge(self, nobody_saw: frozenset[int]) -> None:
        """Say what was lost, but for numbers that nobody saw: these are told of once, for all."""
        lost = [seq for seq in sorted(self._holes) if seq not in nobody_saw]
        if lost:
            end = f"{self._ending()} at {self.cursor}" if self.way else f"the end at {self.cursor}"
            words = (
                f"{self.user} missed {self.room} {numbers(lost)} between joining at {self.start} and {end}"
            )
            self._findings.add(BreachKind.LOST, self.room, self.user, words, len(lost))

    def covers(self) -> range:
        """The numbers it was shown, holes included."""
        return range(self.start + 1, self.cursor + 1)

    def _ending(self) -> str:
        return {"leave": "leaving", "quit": "quitting"}.get(self.way, f"going by {self.way}")

    def _came_again(self, seq: int) -> None:
        if seq in self._holes:
            del self._holes[seq]
            self._breach(
                BreachKind.REORDERED,
                f"{self.user} was shown {self.room} {seq} after {self.room} {self.cursor}",
            )
        elif seq > self.start:
            self._breach(BreachKind.DOUBLED, f"{self.user} was shown {self.room} {seq} twice")
        else:
            self._breach(
                BreachKind.DOUBLED,
                f"{self.user} was shown {self.room} {seq} again, having come back after {self.start}",
            )

    def _breach(self, kind: BreachKind, words: str) -> None:
        self._findings.add(kind, self.room, self.user, words)
