"""What one user hears: every event is shown to the judge, and how late it was is counted."""

from collections.abc import Sequence
from typing import TypeGuard

import trio

from loadtest.stats import Stats, ticks
from trio_chat.client import Chat, ClientEvent
from trio_chat.contract import BreachKind, Judge, Visit
from trio_chat.wire.messages import Error, Gap, Members, Presence, Said, TopicChanged

__all__ = ["Recorder"]


class Recorder:
    """Of one user, in one room. `chat` and `visit` are those it has just now."""

    chat: Chat
    visit: Visit

    def __init__(self, judge: Judge, stats: Stats, name: str, room: str) -> None:
        self._judge = judge
        self._stats = stats
        self._name = name
        self._room = room
        self._has_left = False  # as the client sees it: what comes now is late

    def enter(self, visit: Visit) -> None:
        """The user is in its room."""
        self.stay = visit
        self._has_left = False

    def look(self) -> None:
        """Look for what the client has left out since something last came."""
        if strays := self.chat.unexpected_entries():
            self._take_strays([], strays)

    def take(self, batch: list[ClientEvent]) -> None:
        """Show the judge what came, and count how late it is. Runs for every batch: the hot path."""
        visit = self.stay
        truth = visit.truth
        before = max(visit.cursor, visit.head)  # what was said while away is not late
        strays = self.chat.unexpected_entries()
        if strays or self._has_left:
            self._take_strays(batch, strays)
        elif not visit.agrees(batch):
            self._sort_out(batch)
        if visit.cursor > before:
            now = ticks(trio.current_time())
            dues = truth.tags[before - truth.base : visit.cursor - truth.base]
            self._stats.delivery.add([now - due for due in dues if due])

    def _sort_out(self, batch: Sequence[ClientEvent]) -> None:
        """Entries go to the judge run by run, between other events."""
        begun = 0
        for index, event in enumerate(batch):
            if type(event) is not Said:
                self._take_run(batch[begun:index])
                self._take_other(event)
                begun = index + 1
        self._take_run(batch[begun:])

    def _take_run(self, run: Sequence[ClientEvent]) -> None:
        if not self.stay.agrees(run):
            for entry in run:
                assert isinstance(entry, Said)
                self.stay.saw(entry)

    def _take_other(self, event: ClientEvent) -> None:
        visit = self.stay
        match event:
            case Presence() if event.room == self._room:
                left = [(departure.name, departure.why) for departure in event.left]
                visit.noticed(event.members, event.joined, left, cut=event.more)
            case Members() if event.room == self._room:
                visit.was_told_members(event.count)
            case Gap() if event.room == self._room:
                visit.skipped(event.after, event.next)
            case TopicChanged():
                visit.saw(event)
            case Presence() | Members() | Gap():
                words = f"{self._name} was told of {event.room} without being there"
                self._judge.findings.add(BreachKind.PHANTOM, event.room, self._name, words)
            case Error():
                self._stats.count_refusal(event.code)
            case _:
                pass

    def _take_strays(self, batch: list[ClientEvent], strays: list[Said | TopicChanged]) -> None:
        """What the client would not expect: entries after leaving, or ones that come again.

        A stray that is in the batch too is the first of a room that the client is not in: when that is this
        user's own, it has left by then, and all that follows is late, in later batches as well.
        """
        visit = self.stay
        outside = {id(event) for event in batch} & {id(stray) for stray in strays}
        at = 0
        if not self._has_left:
            late_from = [i for i, event in enumerate(batch) if id(event) in outside and self._is_mine(event)]
            self._has_left = bool(late_from)
            at = late_from[0] if late_from else len(batch)
        self._sort_out(batch[:at])
        for stray in strays:
            if id(stray) not in outside:
                visit.saw(stray)
        for event in batch[at:]:
            if self._is_mine(event):
                visit.saw_late(event)
            elif isinstance(event, Said | TopicChanged):
                visit.saw(event)

    def _is_mine(self, event: ClientEvent) -> TypeGuard[Said | TopicChanged]:
        return isinstance(event, Said | TopicChanged) and event.room == self._room
