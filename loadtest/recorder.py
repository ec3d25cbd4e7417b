"""Pass every event that a user receives to the judge, and count its latency."""

from collections.abc import Sequence
from typing import TypeGuard

import trio

from loadtest.stats import Stats, ticks
from trio_chat.client import Chat, ClientEvent
from trio_chat.contract import BreachKind, Judge, Visit
from trio_chat.wire.messages import Error, Gap, Members, Presence, Said, TopicChanged

__all__ = ["Recorder"]


class Recorder:
    """Records the events of one user in one room; `chat` and `visit` are the current ones."""

    chat: Chat
    visit: Visit

    def __init__(self, judge: Judge, stats: Stats, name: str, room: str) -> None:
        self._judge = judge
        self._stats = stats
        self._name = name
        self._room = room
        self._has_left = False  # whether the client has left the room: later events are `late`

    def start_visit(self, visit: Visit) -> None:
        """Record the events of a new visit to the room."""
        self.visit = visit
        self._has_left = False

    def check_unexpected(self) -> None:
        """Record the entries that the client dropped since the last batch."""
        if unexpected := self.chat.unexpected_entries():
            self._record_unexpected([], unexpected)

    def record(self, batch: list[ClientEvent]) -> None:
        """Pass a batch to the judge and count latencies. This is the hot path."""
        visit = self.visit
        truth = visit.truth
        before = max(visit.cursor, visit.head)  # what was replayed after a reconnect has no latency
        unexpected = self.chat.unexpected_entries()
        if unexpected or self._has_left:
            self._record_unexpected(batch, unexpected)
        elif not visit.agrees(batch):
            self._record_mixed(batch)
        if visit.cursor > before:
            now = ticks(trio.current_time())
            dues = truth.tags[before - truth.base : visit.cursor - truth.base]
            self._stats.delivery.add([now - due for due in dues if due])

    def _record_mixed(self, batch: Sequence[ClientEvent]) -> None:
        """Pass a batch that has other events among its entries, in order."""
        start = 0
        for index, event in enumerate(batch):
            if type(event) is not Said:
                self._record_entries(batch[start:index])
                self._record_event(event)
                start = index + 1
        self._record_entries(batch[start:])

    def _record_entries(self, run: Sequence[ClientEvent]) -> None:
        if not self.visit.agrees(run):
            for entry in run:
                assert isinstance(entry, Said)
                self.visit.saw(entry)

    def _record_event(self, event: ClientEvent) -> None:
        visit = self.visit
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
                description = f"{self._name} received an event of {event.room} without being in it"
                self._judge.findings.add(BreachKind.PHANTOM, event.room, self._name, description)
            case Error():
                self._stats.count_refusal(event.code)
            case _:
                pass

    def _record_unexpected(self, batch: list[ClientEvent], unexpected: list[Said | TopicChanged]) -> None:
        """Record entries that the client did not expect: entries after leaving, or repeated ones.

        An unexpected entry that is also in the batch belongs to a room that the client is not in. If that is
        this user's room, the user had left it before that entry, and all later entries are late, also those
        in later batches.
        """
        visit = self.visit
        outside = {id(event) for event in batch} & {id(entry) for entry in unexpected}
        at = 0
        if not self._has_left:
            late_from = [i for i, event in enumerate(batch) if id(event) in outside and self._is_mine(event)]
            self._has_left = bool(late_from)
            at = late_from[0] if late_from else len(batch)
        self._record_mixed(batch[:at])
        for entry in unexpected:
            if id(entry) not in outside:
                visit.saw(entry)
        for event in batch[at:]:
            if self._is_mine(event):
                visit.saw_late(event)
            elif isinstance(event, Said | TopicChanged):
                visit.saw(event)

    def _is_mine(self, event: ClientEvent) -> TypeGuard[Said | TopicChanged]:
        return isinstance(event, Said | TopicChanged) and event.room == self._room
