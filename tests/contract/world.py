"""A small world in which a room is a list and everybody sees all of it: what the judge is told of it is true,
unless the story lies."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from trio_chat.contract import Findings, Judge, Stay

__all__ = ["WHY", "Due", "Lie", "Line", "Notice", "Person", "World", "altered", "settled", "told"]

WHY = {"quit": "quit", "fin": "lost", "rst": "lost", "leave": "left"}


@dataclass(frozen=True)
class Line:
    """An entry."""

    room: str
    seq: int
    by: str
    text: str
    at: int = 0


@dataclass(frozen=True)
class Notice:
    members: int
    joined: list[str] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Person:
    name: str
    stay: Stay | None = None
    due: list[Line | Notice] = field(default_factory=list)
    acks: list[tuple[str, int]] = field(default_factory=list)


Due = list[Line | Notice]
Lie = Callable[[Due], Due]


class World:
    """One room, whose log is the truth. A judge hears of all that happens."""

    def __init__(self, *names: str, room: str = "lobby") -> None:
        self.room = room
        self.judge = Judge()
        self.log: list[Line] = []
        self.people = {name: Person(name) for name in names}
        self.here: dict[str, Person] = {}
        self._count = 0
        for name in names:
            self.enter(name)

    def enter(self, name: str) -> Stay:
        person = self.people[name]
        after = person.stay.cursor if person.stay is not None else None
        self.judge.asks(self.room, name)
        self.here[name] = person
        head = len(self.log)
        person.stay = self.judge.entered(
            self.room,
            name,
            epoch="e",
            head=head,
            members=len(self.here),
            after=after,
            resumed=after is not None,
        )
        person.due = list(self.log[person.stay.start :])
        self._tell(Notice(len(self.here), joined=[name]))
        return person.stay

    def say(self, name: str, *, shown: bool = True) -> str:
        self._count += 1
        text = f"{name} says {self._count}"
        self.judge.says(self.room, name, text, tag=self._count)
        line = Line(self.room, len(self.log) + 1, name, text)
        self.log.append(line)
        self.people[name].acks.append((text, line.seq))
        if shown:
            for person in self.here.values():
                person.due.append(line)
        return text

    def ack(self, name: str) -> None:
        acks = self.people[name].acks
        for text, seq in acks:
            self.judge.acked(text, seq)
        acks.clear()

    def hand(self, name: str, lie: Lie | None = None) -> None:
        """Somebody reads all that is due to him; changed by the lie."""
        person = self.people[name]
        due, person.due = person.due, []
        stay = person.stay
        assert stay is not None
        told = lie(due) if lie else due
        if told and stay.agrees(told):
            return
        for each in told:
            if isinstance(each, Line):
                stay.saw(each)
            else:
                stay.noticed(each.members, each.joined, each.left)

    def go(self, name: str, way: str) -> None:
        person = self.people[name]
        stay = person.stay
        assert stay is not None
        stay.going(way, WHY[way])
        del self.here[name]
        self._tell(Notice(len(self.here), left=[(name, WHY[way])]))
        if way in {"quit", "leave"}:
            self.hand(name)  # the answer comes behind all of it
        person.due = []
        stay.gone()

    def finish(self) -> Findings:
        for name in self.people:
            if name in self.here:
                self.hand(name)
            self.ack(name)
        self.judge.hold_to_account()
        return self.judge.finish()

    def _tell(self, notice: Notice) -> None:
        for person in self.here.values():
            person.due.append(notice)


def altered(line: Line | Notice, **fields: Any) -> Line:
    assert isinstance(line, Line)
    return replace(line, **fields)


def told(findings: Findings) -> list[tuple[str, str, str]]:
    return [(breach.kind, breach.user, breach.words) for breach in findings.breaches]


def settled(*names: str, room: str = "lobby") -> World:
    """Everybody is in and has heard of everybody."""
    world = World(*names, room=room)
    for name in names:
        world.hand(name)
    return world
