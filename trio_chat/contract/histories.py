"""The histories of all rooms: which epoch names which, and which of them a crash of the machine has ended.

A crash ends every history that its rooms had until then. An answer to `join` may have been in flight then:
the judge receives it later, and it still names the old epoch. So the time of arrival says nothing about an
answer. Its *generation* does: the number of crashes before the `join` was sent. No connection
outlives a crash, so a `join` sent before it was answered before it.

So an answer is judged by the events up to its own generation. It is right to name an epoch that only a
later crash has ended, and wrong to name one that an earlier crash has ended.

Without a crash, a room without entries gets another epoch each time it is used again. There, too, an answer
may be overtaken: by answers that name the next history, and by entries in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from trio_chat.contract.truth import Entry, SentMessage, Truth

__all__ = ["Histories", "Question"]


@dataclass(frozen=True, slots=True)
class Question:
    """When a `join` was sent: the generation, and the judge's count of facts."""

    generation: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class _First:
    """The first answer that named a history."""

    generation: int
    user: str
    at: int


@dataclass(frozen=True, slots=True)
class _Crash:
    kept: int  # the room's last number after the crash
    was_blank: bool  # whether it was known to have no entries


class Histories:
    """Know every history of each room, by its epoch."""

    def __init__(self, sayings: dict[str, SentMessage], is_like: Callable[[Entry], bool]) -> None:
        self.truths: dict[tuple[str, str], Truth] = {}  # by room and epoch
        self._sayings = sayings
        self._is_like = is_like
        self._crashes: dict[str, list[_Crash]] = {}
        # By room and generation: the epochs in the answers, the one that was answered last at the end.
        self._epochs: dict[tuple[str, int], dict[str, None]] = {}
        self._ended: dict[tuple[str, str], int] = {}  # by room and epoch: its generation, once a crash came
        self._first: dict[tuple[str, str], _First] = {}

    def generation(self, room: str) -> int:
        """Return the number of crashes in the life of the room."""
        return len(self._crashes.get(room, ()))

    def crash(self, room: str, kept: int) -> None:
        """End all histories of a room. Its entries up to `kept` are left, under an epoch that is not known
        yet."""
        generation = self.generation(room)
        newest = self.newest(room, generation)
        self._crashes.setdefault(room, []).append(_Crash(kept, self.is_blank(room, newest, generation)))
        for key, truth in self.truths.items():
            if truth.room == room:
                truth.cut(kept)
                self._ended.setdefault(key, generation)

    def newest(self, room: str, generation: int) -> str:
        """Return the epoch of the last answer by that generation, preferring one with entries.

        It is empty without an answer.
        """
        for each in range(generation, -1, -1):
            if epochs := self._epochs.get((room, each)):
                spoken = (epoch for epoch in reversed(epochs) if self.truths[room, epoch].head)
                return next(spoken, next(reversed(epochs)))
        return ""

    def is_newest(self, truth: Truth) -> bool:
        """Return whether a history is the one that its room has now."""
        return self.newest(truth.room, self.generation(truth.room)) == truth.epoch

    def is_over(self, room: str, epoch: str, generation: int) -> bool:
        """Return whether a crash before that generation has ended a history."""
        return self._ended.get((room, epoch), generation) < generation

    def is_blank(self, room: str, epoch: str, generation: int) -> bool:
        """Return whether a history is known to have no entries: then another may take its place."""
        if generation < self.generation(room):
            return self._crashes[room][generation].was_blank
        truth = self.truths.get((room, epoch))
        if truth is not None and truth.head > 0:
            return False
        return not any(each.acked and each.room == room for each in self._sayings.values())

    def past(self) -> set[Truth]:
        """Return the histories that have ended; a user may not be in one any more.

        A crash has ended them, or they have no entries and another history of the room has some.
        """
        past = {self.truths[room, epoch] for room, epoch in self._ended}
        spoken = {truth.room for truth in self.truths.values() if truth.head > 0 and truth not in past}
        return past | {each for each in self.truths.values() if not each.head and each.room in spoken}

    def find_premature(self, room: str, epoch: str, generation: int) -> str:
        """Return the user that was given the epoch of an earlier generation as that of a later one.

        No answer before this one had named the epoch. The history counts as ended from now on.
        """
        first = self._first.get((room, epoch))
        if first is None or first.generation <= generation:
            return ""
        self._first[room, epoch] = replace(first, generation=generation)
        self._end_late(self.truths[room, epoch], generation)
        return first.user

    def is_overtaken(self, room: str, epoch: str, question: Question) -> bool:
        """Return whether the first answer that named a history came after this `join` was sent."""
        return question.at < self._first[room, epoch].at

    def answered(self, room: str, user: str, epoch: str, question: Question, start: int, now: int) -> Truth:
        """Return the history that an answer names; a new history begins behind `start`."""
        generation = question.generation
        truth = self.truths.get((room, epoch))
        if truth is None:
            truth = self.truths[room, epoch] = Truth(room, epoch, start, self._sayings, self._is_like)
            self._first[room, epoch] = _First(generation, user, now)
            before = self.newest(room, generation)
            if self.is_over(room, before, generation):
                truth.begin_with(self.truths[room, before])
            if generation < self.generation(room):
                self._end_late(truth, generation)
        epochs = self._epochs.setdefault((room, generation), {})
        epochs.pop(epoch, None)
        epochs[epoch] = None
        return truth

    def _end_late(self, truth: Truth, generation: int) -> None:
        """End a history that was not known at its crash; the crash has cleared the lost acknowledgements."""
        truth.kept = min(crash.kept for crash in self._crashes[truth.room][generation:])
        self._ended[truth.room, truth.epoch] = generation
