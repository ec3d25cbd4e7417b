"""The entry at each number of a room.

The entry that the first user sees at a number is accepted for the time being, if a user sent that text in
that room. Other users' entries are compared with it. Differences are disputes, and they are decided at the
end, when all acknowledgements and all entries are known: by the acknowledgement, else by the majority. So a
server that lies to the first user is also found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

from trio_chat.contract.breaches import BreachKind, Findings

__all__ = ["DISPUTED_CHARACTERS", "DISPUTES_KEPT", "REACH_BACK_MAX", "Entry", "SentMessage", "Truth"]

DISPUTES_KEPT = 10_000
DISPUTED_CHARACTERS = 4 << 20  # of their texts; the first dispute is kept whatever its length
REACH_BACK_MAX = 10_000  # users enter at the head, or behind the entries they have seen


class Entry(Protocol):
    """An entry as a user was shown it. Two entries are equal if all their fields are."""

    @property
    def room(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def at(self) -> int: ...
    @property
    def by(self) -> str: ...
    @property
    def text(self) -> str: ...


class SentMessage:
    """A message that a user sent, with a unique text. `tag` belongs to the caller."""

    __slots__ = ("acked", "again", "author", "refused", "room", "seen", "tag", "text")

    def __init__(self, room: str, author: str, text: str, tag: int) -> None:
        self.room = room
        self.author = author
        self.text = text
        self.tag = tag
        self.acked = 0  # the number in its ack
        self.seen = 0  # its number as first seen
        self.again = False  # sent more than once, with the same ref
        self.refused = False


class Truth:
    """The entries of one history of a room behind `base`, the cursor of its first visit."""

    def __init__(
        self,
        room: str,
        epoch: str,
        base: int,
        sayings: dict[str, SentMessage],
        is_like: Callable[[Entry], bool],
    ) -> None:
        self.room = room
        self.epoch = epoch
        self.base = base
        self.entries: list[Entry | None] = []
        self.tags: list[int] = []  # of the message at each number
        self._seers: list[str] = []  # the first user to see each number
        self._sayings = sayings
        self._is_like = is_like
        self._disputes: list[tuple[str, Entry]] = []
        self._disputed_characters = 0
        self.disputed = 0
        self.kept: int | None = None
        """The last number that a crash has left. Later entries are lost, and this history has ended."""

    @property
    def head(self) -> int:
        """The largest number that a user has been shown."""
        return self.base + len(self.entries)

    @property
    def limit(self) -> int:
        """The largest possible number, even if all messages were numbered twice: no other user sends here."""
        return self.base + 2 * len(self._sayings) + 100

    def is_lost(self, seq: int) -> bool:
        return self.kept is not None and seq > self.kept

    def cut(self, kept: int) -> None:
        """Mark the entries above `kept` as lost. Their authors may send them again."""
        self.kept = kept if self.kept is None else min(kept, self.kept)
        for saying in self._sayings.values():
            if saying.room == self.room:
                saying.acked = 0 if self.is_lost(saying.acked) else saying.acked
                saying.seen = 0 if self.is_lost(saying.seen) else saying.seen

    def begin_with(self, other: Truth) -> None:
        """Begin with the entries that a crash has left of another history; they keep their numbers."""
        assert other.kept is not None, "it was cut"
        many = max(0, other.kept - other.base)
        self.base = other.base
        self.entries, self.tags = other.entries[:many], other.tags[:many]
        self._seers = other._seers[:many]

    def reach_back(self, base: int) -> None:
        """Extend the history down to an earlier number."""
        lack = self.base - base
        if lack > 0:
            self.entries[:0] = [None] * lack
            self.tags[:0] = [0] * lack
            self._seers[:0] = [""] * lack
            self.base = base

    def at(self, seq: int) -> Entry | None:
        index = seq - self.base - 1
        return self.entries[index] if 0 <= index < len(self.entries) else None

    def compare(self, user: str, entry: Entry) -> bool:
        """Compare an entry that a user was shown with the known one; without a known one, accept it."""
        known = self.at(entry.seq)
        if known is None:
            saying = self._said(entry)
            if saying is not None:
                if not self.is_lost(entry.seq):
                    saying.seen = entry.seq
                self._set(entry, user, saying.tag)
                return True
        elif known == entry:
            return True
        self.disputed += 1
        if len(self._disputes) < DISPUTES_KEPT and self._disputed_characters < DISPUTED_CHARACTERS:
            self._disputed_characters += len(entry.text) + len(entry.by)
            self._disputes.append((user, entry))
        return False

    def _set(self, entry: Entry, user: str, tag: int) -> None:
        index = entry.seq - self.base - 1
        lack = index + 1 - len(self.entries)
        if lack > 0:
            self.entries += [None] * lack
            self.tags += [0] * lack
            self._seers += [""] * lack
        self.entries[index] = entry
        self.tags[index] = tag
        self._seers[index] = user

    # --- at the end -----------------------------------------------------------------------------------

    def settle(self, covering: Iterable[range], findings: Findings) -> None:
        """Decide the disputes. `covering` has the range of numbers that each visit was shown."""
        by_number: dict[int, list[tuple[str, Entry]]] = defaultdict(list)
        for user, entry in self._disputes:
            by_number[entry.seq].append((user, entry))
        stays = list(covering)
        for seq in sorted(by_number):
            claims = by_number[seq]
            first = self.at(seq)
            seers = sum(seq in visit for visit in stays)
            right = self._right(seq, first, claims, seers)
            seer = self._seers[seq - self.base - 1] if first is not None else ""
            if right is not None and right != first:
                self._set(right, seer, self._sayings[right.text].tag)
                self._sayings[right.text].seen = seq
            if first is not None and right != first:
                claims = [(seer, first), *claims]
            for user, entry in claims:
                if entry != right:
                    findings.add(BreachKind.PHANTOM, self.room, user, self._difference(user, entry, right))
        self._disputes.clear()
        self._disputed_characters = 0
        self.disputed = 0

    def doubled(self, findings: Findings) -> None:
        """Report messages that have two numbers."""
        seen: dict[str, int] = {}
        for entry in self.entries:
            if entry is None:
                continue
            if entry.text in seen:
                words = (
                    f"{self.room} {seen[entry.text]} and {entry.seq} are the same message,"
                    f" which {entry.by} said once"
                )
                findings.add(BreachKind.DOUBLED, self.room, entry.by, words)
            seen[entry.text] = entry.seq

    def backwards(self, findings: Findings) -> None:
        """Report entries whose time is before that of the entry before them."""
        before: Entry | None = None
        for entry in self.entries:
            if entry is None:
                continue
            if before is not None and entry.at < before.at:
                older = f"{before.at - entry.at} ms older than {self.room} {before.seq}"
                words = f"{self.room} {entry.seq} is {older}"
                findings.add(BreachKind.PHANTOM, self.room, entry.by, words)
            before = entry

    def _right(
        self, seq: int, first: Entry | None, claims: list[tuple[str, Entry]], seers: int
    ) -> Entry | None:
        """Return the right one of all entries shown with a number; None if no user sent any of them."""
        votes: dict[Entry, int] = {} if first is None else {first: seers - len(claims)}
        for _, entry in claims:
            votes[entry] = votes.get(entry, 0) + 1
        said = [(entry, many) for entry, many in votes.items() if self._said(entry)]
        acked = [each for each in said if self._sayings[each[0].text].acked == seq]
        # An entry acknowledged with another number may still be the majority's: then the acknowledgement was
        # wrong.
        return max(acked or said, key=lambda each: each[1], default=(None, 0))[0]

    def _said(self, entry: Entry) -> SentMessage | None:
        """Return the message in an entry if its author sent it in this room and its number is possible: at
        most `limit`."""
        saying = self._sayings.get(entry.text)
        if saying is None or saying.author != entry.by or saying.room != entry.room:
            return None
        if not self._is_like(entry):
            return None
        return saying if self.base < entry.seq <= self.limit else None

    def _difference(self, user: str, entry: Entry, right: Entry | None) -> str:
        """Return what is wrong with an entry, as a sentence."""
        shown = f"{user} was shown {entry.room} {entry.seq}"
        saying = self._sayings.get(entry.text)
        if saying is None and right is not None and right.by == entry.by:
            at = _first_difference(entry.text, right.text)
            other, said = _quoted(entry.text, at), _quoted(right.text, at)
            return f"{shown} with another text: {other}; {right.by} said {said}"
        if saying is None:
            return f"{shown}, {_quoted(entry.text)} by {entry.by}, which no user said"
        if saying.room != entry.room:
            return f"{shown}, which {saying.author} said in {saying.room}: {_quoted(entry.text)}"
        if saying.author != entry.by:
            return f"{shown} as said by {entry.by}; it was {saying.author} who said {_quoted(entry.text)}"
        if not self._is_like(entry):
            return f"{shown}, {_quoted(entry.text)}, as another kind of entry than {entry.by} sent"
        number = saying.acked or saying.seen
        if number not in (0, entry.seq):
            return f"{shown}, which is {entry.room} {number}: {_quoted(entry.text)} by {entry.by}"
        return f"{shown} in another form than the others: {_quoted(entry.text)} by {entry.by}"


def _first_difference(one: str, other: str) -> int:
    same = (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(same, min(len(one), len(other)))


def _quoted(text: str, at: int = 0) -> str:
    """Return forty characters of a text around a place, in quotes."""
    begin = max(0, min(at - 20, len(text) - 40))
    shown = ("…" if begin else "") + text[begin : begin + 40] + ("…" if begin + 40 < len(text) else "")
    return f"“{shown}”"
