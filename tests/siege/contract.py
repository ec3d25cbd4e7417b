"""The lines of two witnesses: what each must read, how long it took, and what went wrong.

The witnesses sit in one room. Every line has its author and a number, so a hole, a duplicate and a changed
order are seen, also where other members talk in the same room. Time comes in as an argument: two clocks, as
`Moment` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.siege.delay import Delay, without_delay

__all__ = ["FAULTS_MAX", "Line", "Moment", "WitnessContract", "line_text"]

FAULTS_MAX = 50
NOT_DELAYED = Delay()


class Moment(NamedTuple):
    """A moment on the clock that all processes share, and how much the machine had delayed us until then."""

    at: float
    delay: Delay = NOT_DELAYED


def line_text(author: str, number: int) -> str:
    """Return the text of a line, which names its author and its number."""
    return f"witness {author} line {number}"


@dataclass
class Line:
    """A line that was sent at a moment; its latencies are None until the other witness has read it."""

    sent: Moment
    latency_s: float | None = None
    """Without the delay by the machine."""
    raw_latency_s: float | None = None
    acked: bool = False
    refused: bool = False

    def receive(self, now: Moment) -> None:
        """Register that the other witness has read it."""
        self.raw_latency_s = now.at - self.sent.at
        self.latency_s = without_delay(self.raw_latency_s, self.sent.delay, now.delay)


@dataclass
class _Reader:
    """What one witness has read."""

    seq: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    """The number of the next line of each author."""


class WitnessContract:
    """The judge of what two witnesses read."""

    def __init__(self, authors: tuple[str, str]) -> None:
        self.lines: dict[str, list[Line]] = {author: [] for author in authors}
        self.draining = False
        """Whether the server was told to stop: a goodbye is right then."""
        self._faults: Counter[str] = Counter()
        self._readers = {author: _Reader(numbers=dict.fromkeys(authors, 0)) for author in authors}

    def faults(self) -> list[str]:
        """Return what went wrong, each fault once, with how often."""
        return [fault if times == 1 else f"{fault}, {times} times" for fault, times in self._faults.items()]

    def add_line(self, author: str, now: Moment) -> tuple[str, str]:
        """Register the next line of a witness. Return its text and its ref."""
        number = len(self.lines[author])
        self.lines[author].append(Line(now))
        return line_text(author, number), f"{author}-{number}"

    def enter(self, reader: str, head: int) -> None:
        """Register the head of the room that a witness has joined."""
        self._readers[reader].seq = head

    def receive(self, reader: str, event: Mapping[str, object], now: Moment) -> None:
        """Judge one event that a witness has read."""
        match event.get("type"):
            case "said" | "retitled":
                self._receive_entry(reader, event, now)
            case "ack":
                self._receive_ack(reader, str(event.get("ref")))
            case "gap":
                self._fault(f"{reader} was sent a gap")
            case "error":
                self._fault(f"{reader} was refused: {event.get('code')}")
                if line := self._line_of(reader, str(event.get("ref"))):
                    line.refused = True
            case "bye":
                if not (self.draining and event.get("code") == "draining"):
                    self._fault(f"{reader} was disconnected: bye {event.get('code')}")

    def lose(self, reader: str) -> None:
        """Register that a witness's connection has ended."""
        if not self.draining:
            self._fault(f"{reader} lost its connection")

    def finish(self) -> None:
        """Register the lines that are still missing. A drain may have come between a line and its reader."""
        if self.draining:
            return
        for author, lines in self.lines.items():
            accepted = [line for line in lines if not line.refused]
            if missing := sum(line.latency_s is None for line in accepted):
                self._fault(f"{missing} of the lines of {author} were not delivered")
            if unacked := sum(not line.acked for line in accepted):
                self._fault(f"{unacked} of the lines of {author} were not acknowledged")

    def waiting(self) -> bool:
        """Return whether a line is still on its way."""
        lines = (line for author in self.lines.values() for line in author if not line.refused)
        return any(line.latency_s is None or not line.acked for line in lines)

    def _receive_entry(self, reader: str, event: Mapping[str, object], now: Moment) -> None:
        state = self._readers[reader]
        seq = event.get("seq")
        if seq != state.seq + 1:
            self._fault(f"{reader} read entry {seq} after {state.seq}")
        if isinstance(seq, int):
            state.seq = seq
        author, text = str(event.get("by")), event.get("text")
        if author not in state.numbers:
            return
        lines, number = self.lines[author], state.numbers[author]
        while number < len(lines) and lines[number].refused and text != line_text(author, number):
            number += 1
        if number >= len(lines) or text != line_text(author, number):
            self._fault(f"{reader} read {text!r} from {author}, expected line {number}")
            return
        state.numbers[author] = number + 1
        if author != reader:
            lines[number].receive(now)

    def _receive_ack(self, reader: str, ref: str) -> None:
        line = self._line_of(reader, ref)
        if line is None:
            self._fault(f"{reader} was sent an ack of {ref!r}")
        elif line.acked or line.refused:
            self._fault(f"{reader} was sent two answers to {ref!r}")
        else:
            line.acked = True

    def _line_of(self, author: str, ref: str) -> Line | None:
        by, _, number = ref.partition("-")
        lines = self.lines[author]
        if by != author or not number.isdigit() or int(number) >= len(lines):
            return None
        return lines[int(number)]

    def _fault(self, fault: str) -> None:
        if fault in self._faults or len(self._faults) < FAULTS_MAX:
            self._faults[fault] += 1
