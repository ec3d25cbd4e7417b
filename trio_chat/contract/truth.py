"""What is at each number of a room.

The first to see a number is believed for the time being, as long as what it was shown is something that
was said, by that author, in that room. Everybody else is held against
it. Who was shown something else is in dispute with it, and disputes are settled at the end, when all
acks and all sights are known: by the ack, otherwise by what most have seen. So a server that lies to the
first is found out as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

from trio_chat.contract.breaches import BreachKind, Findings

__all__ = ["DISPUTED_CHARACTERS", "DISPUTES_KEPT", "REACH_BACK_MAX", "Entry", "SentMessage", "Truth"]

DISPUTES_KEPT = 10_000
DISPUTED_CHARACTERS = 4 << 20  # of their texts; the first is kept whatever its length
REACH_BACK_MAX = 10_000  # users come in at the head, or behind what they have seen themselves


class Entry(Protocol):
    """An entry as somebody was shown it. Two are the same when `==` says so: all fields, the whole text."""

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
    """What somebody said: once, with a text that nobody else ever says. `tag` is the caller's own."""

    __slots__ = ("acked", "again", "author", "refused", "room", "seen", "tag", "text")

    def __init__(self, room: str, author: str, text: str, tag: int) -> None:
        self.room = room
        self.author = author
        self.text = text
        self.tag = tag
        self.acked = 0  # the number in its ack
        self.seen = 0  # its number as first seen
        self.again = False  # said more than once, with the same ref
        self.refused = False


class Truth:
    """The entries of one history of a room, behind `base`, where it was first joined."""

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
        self.tags: list[int] = []  # of the saying at each number
        self._seers: list[str] = []  # who saw it first
        self._sayings = sayings
        self._is_like = is_like
        self._disputes: list[tuple[str, Entry]] = []
        self._disputed_characters = 0
        self.disputed = 0
        self.kept: int | None = None
        """Up to where it was left, when it was cut: what is beyond is lost, and this history over."""

    @property
    def head(self) -> int:
        """The largest number that anybody has been shown."""
        return self.base + len(self.entries)

    @property
    def limit(self) -> int:
        """No number can be larger, since nobody else speaks here; even if all were numbered twice."""
        return self.base + 2 * len(self._sayings) + 100

    def is_lost(self, seq: int) -> bool:
        return self.kept is not None and seq > self.kept

    def cut(self, kept: int) -> None:
        """What is beyond that number is lost. Who said it may say it again, and need not."""
        self.kept = kept if self.kept is None else min(kept, self.kept)
        for saying in self._sayings.values():
            if saying.room == self.room:
                saying.acked = 0 if self.is_lost(saying.acked) else saying.acked
                saying.seen = 0 if self.is_lost(saying.seen) else saying.seen

    def begin_with(self, other: Truth) -> None:
        """It begins with what another that was cut has left: that is at the same numbers in both."""
        assert other.kept is not None, "it was cut"
        many = max(0, other.kept - other.base)
        self.base = other.base
        self.entries, self.tags = other.entries[:many], other.tags[:many]
        self._seers = other._seers[:many]

    def reach_back(self, base: int) -> None:
        """Somebody is in the room since an earlier number."""
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
        """Hold an entry that a user was shown against the truth, which it may become."""
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
        """Settle the disputes. `covering` are the numbers that each stay was shown."""
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
        """Whether one saying has two numbers."""
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
        """Whether the time goes back."""
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
        """Of all that was shown as this number the one that it is, if any was said at all."""
        votes: dict[Entry, int] = {} if first is None else {first: seers - len(claims)}
        for _, entry in claims:
            votes[entry] = votes.get(entry, 0) + 1
        said = [(entry, many) for entry, many in votes.items() if self._said(entry)]
        acked = [each for each in said if self._sayings[each[0].text].acked == seq]
        # What was acked with another number may still be what most have seen here: then the ack was wrong.
        return max(acked or said, key=lambda each: each[1], default=(None, 0))[0]

    def _said(self, entry: Entry) -> SentMessage | None:
        """Whose words an entry holds, if these are the author's, were said in this room, and can have such a
        number: whatever is beyond all that was said is none, however large."""
        saying = self._sayings.get(entry.text)
        if saying is None or saying.author != entry.by or saying.room != entry.room:
            return None
        if not self._is_like(entry):
            return None
        return saying if self.base < entry.seq <= self.limit else None

    def _difference(self, user: str, entry: Entry, right: Entry | None) -> str:
        """What is wrong with what a user was shown."""
        shown = f"{user} was shown {entry.room} {entry.seq}"
        saying = self._sayings.get(entry.text)
        if saying is None and right is not None and right.by == entry.by:
            at = _first_difference(entry.text, right.text)
            other, said = _quoted(entry.text, at), _quoted(right.text, at)
            return f"{shown} with another text: {other}; {right.by} said {said}"
        if saying is None:
            return f"{shown}, {_quoted(entry.text)} by {entry.by}, which nobody said"
        if saying.room != entry.room:
            return f"{shown}, which {saying.author} said in {saying.room}: {_quoted(entry.text)}"
        if saying.author != entry.by:
            return f"{shown} as said by {entry.by}; it was {saying.author} who said {_quoted(entry.text)}"
        if not self._is_like(entry):
            return f"{shown}, {_quoted(entry.text)}, as something else than {entry.by} has said"
        number = saying.acked or saying.seen
        if number not in (0, entry.seq):
            return f"{shown}, which is {entry.room} {number}: {_quoted(entry.text)} by {entry.by}"
        return f"{shown} otherwise than others were: {_quoted(entry.text)} by {entry.by}"


def _first_difference(one: str, other: str) -> int:
    same = (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(same, min(len(one), len(other)))


def _quoted(text: str, at: int = 0) -> str:
    """A text in a sentence: forty characters of it around a place."""
    begin = max(0, min(at - 20, len(text) - 40))
    shown = ("…" if begin else "") + text[begin : begin + 40] + ("…" if begin + 40 < len(text) else "")
    return f"“{shown}”"
