"""A user's visit to a room: every entry once, in order, from the answer to `join` to its departure."""

from collections.abc import Callable, Sequence

from trio_chat.contract.breaches import BreachKind, Findings, numbers
from trio_chat.contract.presence import PresenceView
from trio_chat.contract.truth import Entry, Truth

__all__ = ["Visit"]


class Visit:
    """One visit, created by `Judge.entered`. `cursor` is the newest entry that was seen, where to resume.

    Call the methods in the order of events: `going` before the user leaves in any way, then the methods for
    entries that still arrive, then `gone` when no more can arrive.
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
        self.head = head  # entries up to it are replay
        self.hearing = hearing
        self.reach = 0  # every entry up to it must have been shown, if the visit lasted to the end
        self.verified = 0
        self.skipped_over: list[range] = []  # the numbers in the server's gaps
        self.way = ""  # how the user left
        self.is_over = False
        self._holes: dict[int, None] = {}
        self._findings = findings
        self._tick = tick

    @property
    def room(self) -> str:
        return self.truth.room

    @property
    def gaps(self) -> int:
        """The number of entries in the server's gaps."""
        return sum(map(len, self.skipped_over))

    def must_have_seen(self, seq: int) -> bool:
        """Return whether a correct server must have shown this entry to the user."""
        return self.start < seq <= max(self.cursor, self.reach) and not any(
            seq in skipped for skipped in self.skipped_over
        )

    # --- entries --------------------------------------------------------------------------------------

    def agrees(self, batch: Sequence[object]) -> bool:
        """Return whether a batch is exactly the known next entries; if so, count them as seen.

        Nearly every batch is, and then it costs only the comparison of two lists.
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
        """An entry was shown, possibly again, too late or out of order."""
        if entry.room != self.room:
            self._breach(
                BreachKind.PHANTOM,
                f"{self.user} was shown {entry.room} {entry.seq} without being in that room: by {entry.by}",
            )
            return
        seq = entry.seq
        if seq <= self.cursor:
            self._came_again(seq)
            return
        if seq <= self.truth.limit:  # a larger number is wrong, and the next entry is due as before
            self._holes.update(dict.fromkeys(range(self.cursor + 1, seq)))
            self.cursor = seq
        if self.truth.compare(self.user, entry):
            self.verified += 1

    def saw_late(self, entry: Entry) -> None:
        """An entry was shown after the acknowledged end of the visit."""
        self._breach(
            BreachKind.LATE, f"{self.user} was shown {entry.room} {entry.seq} after leaving at {self.cursor}"
        )

    def skipped(self, after: int, following: int) -> None:
        """The server sent a gap: the entries between these two numbers are not part of the replay."""
        if following - 1 > self.truth.limit or after > self.truth.limit:
            words = f"{self.user} was told of a gap in {self.room} from {after} to {following}"
            self._breach(BreachKind.PHANTOM, f"{words}, and no number above {self.truth.limit} exists")
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
        """A presence notice: the count, the arrivals, the departures with reasons, and whether lists were
        cut."""
        self.hearing.noticed(self._tick(), members, joined, left, cut=cut)

    def was_told_members(self, count: int) -> None:
        """The members came unasked, because this session had missed notices."""
        self.hearing.caught_up(self._tick(), count)

    # --- the end --------------------------------------------------------------------------------------

    def going(self, way: str, *whys: str, early: bool = False) -> None:
        """The user is about to leave in the way `way`; the others see one of the reasons `whys`.

        `early` means that they may have seen it at any time since its arrival: the user noticed only now that
        its connection was lost.
        """
        self.way = way
        certain = way in {"quit", "leave"}
        self.hearing.going(self._tick(), frozenset(whys), certain=certain, early=early)

    def cut_off(self, *whys: str) -> None:
        """The server did not answer `quit`: the user need not have received all earlier notices, and the
        others may have seen one of these reasons instead."""
        self.hearing.cut_off(frozenset(whys))

    def unnoticed(self) -> None:
        """The user returns so soon that the others need not have seen its departure or arrival."""
        self.hearing.unnoticed()

    def brief(self) -> None:
        """The user leaves so soon after its arrival that the others need not have seen either."""
        self.hearing.brief()

    def gone(self) -> None:
        """No more entries can arrive."""
        self.is_over = True

    def owes(self, head: int) -> None:
        """Require all entries up to `head`: the user is still in the room, or left it properly."""
        self.reach = max(self.cursor, head)
        if head > self.cursor:
            self._holes.update(dict.fromkeys(range(self.cursor + 1, head + 1)))

    def judge(self, unseen: frozenset[int]) -> None:
        """Report lost entries, except numbers that no user saw: these are reported once for all."""
        lost = [seq for seq in sorted(self._holes) if seq not in unseen]
        if lost:
            end = f"{self._ending()} at {self.cursor}" if self.way else f"the end at {self.cursor}"
            words = (
                f"{self.user} missed {self.room} {numbers(lost)} between joining at {self.start} and {end}"
            )
            self._findings.add(BreachKind.LOST, self.room, self.user, words, len(lost))

    def covers(self) -> range:
        """Return the range of numbers that the user was shown, with holes."""
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
