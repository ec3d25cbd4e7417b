"""A small world in which a room is a list and everybody sees all of it: what the judge is told of it is true,
unless the story lies."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from trio_chat.contract import Findings, Judge, Visit

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
    visit: Visit | None = None
    epoch: str = ""
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
        self.epoch = "e"
        self._count = 0
        for name in names:
            self.enter(name)

    def enter(self, name: str) -> Visit:
        person = self.people[name]
        after = person.visit.cursor if person.visit is not None else None
        resumed = after is not None and (after == 0 or person.epoch == self.epoch)
        anew = after is not None and person.epoch != self.epoch
        person.epoch = self.epoch
        self.judge.asks(self.room, name)
        self.here[name] = person
        head = len(self.log)
        person.visit = self.judge.entered(
            self.room,
            name,
            epoch=self.epoch,
            head=head,
            members=len(self.here),
            after=after,
            resumed=resumed,
        )
        if anew and not resumed:
            person.visit.skipped(0, head + 1)
        person.due = list(self.log[person.visit.cursor :])
        self._tell(Notice(len(self.here), joined=[name]))
        if anew:
            self._say_again(name)
        return person.visit

    def say(self, name: str, *, shown: bool = True) -> str:
        self._count += 1
        text = f"{name} says {self._count}"
        self.judge.says(self.room, name, text, tag=self._count)
        self.people[name].acks.append((text, self._append(name, text, shown=shown)))
        return text

    def die(self, kept: int) -> None:
        """The machine goes down, and comes up with what was said up to a number, as another history."""
        for name in list(self.here):
            self.go(name, "fin")
        del self.log[kept:]
        self.epoch += "'"
        self.judge.lost_tail(self.room, len(self.log))

    def _say_again(self, name: str) -> None:
        """What was not acked, in the new history."""
        person = self.people[name]
        there = {line.text: line.seq for line in self.log}
        for text, _ in person.acks:
            self.judge.says_again(text)
            if text not in there:
                there[text] = self._append(name, text)
        person.acks = [(text, there[text]) for text, _ in person.acks]

    def _append(self, name: str, text: str, *, shown: bool = True) -> int:
        line = Line(self.room, len(self.log) + 1, name, text)
        self.log.append(line)
        if shown:
            for person in self.here.values():
                person.due.append(line)
        return line.seq

    def ack(self, name: str) -> None:
        acks = self.people[name].acks
        for text, seq in acks:
            self.judge.acked(text, seq)
        acks.clear()

    def hand(self, name: str, lie: Lie | None = None) -> None:
        """Let a person read everything due, changed by the lie."""
        person = self.people[name]
        due, person.due = person.due, []
        visit = person.visit
        assert visit is not None
        told = lie(due) if lie else due
        if told and visit.agrees(told):
            return
        for each in told:
            if isinstance(each, Line):
                visit.saw(each)
            else:
                visit.noticed(each.members, each.joined, each.left)

    def go(self, name: str, way: str) -> None:
        person = self.people[name]
        visit = person.visit
        assert visit is not None
        visit.going(way, WHY[way])
        del self.here[name]
        self._tell(Notice(len(self.here), left=[(name, WHY[way])]))
        if way in {"quit", "leave"}:
            self.hand(name)  # the answer comes behind all of it
        person.due = []
        visit.gone()

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
