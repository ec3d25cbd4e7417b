"""Rules at work: what each does to the bytes that go one way of a connection."""

from dataclasses import dataclass
from math import inf
from random import Random
from typing import assert_never

from trio_chat.testing.faults import (
    Bandwidth,
    Cut,
    Fin,
    Latency,
    Merge,
    Narrow,
    NoFiles,
    Partition,
    Refuse,
    Rst,
    Rule,
    Silence,
    Split,
    Stall,
)
from trio_chat.testing.pipe import Note

__all__ = ["ActiveRule", "Effect", "effect_of"]

PIECES_PER_S = 10
PIECE_BYTES_MAX = 1_460  # a segment's


@dataclass(eq=False, slots=True)
class ActiveRule:
    """A rule at work between two hosts, on all ways there are from the first to the second."""

    rule: Rule
    first: str
    second: str
    both: bool
    note: Note | None
    struck: bool = False
    """Whether it has made a difference yet."""

    def __post_init__(self) -> None:
        self.both = self.both or isinstance(self.rule, Partition)

    def applies(self, source: str, target: str) -> bool:
        """Whether it is about the way from one host to another."""
        if self.first in (source, "*") and self.second in (target, "*"):
            return True
        return self.both and self.first in (target, "*") and self.second in (source, "*")

    def strike(self) -> None:
        if not self.struck:
            self.struck = True
            self.tell("strikes")

    def tell(self, what: str) -> None:
        if self.note is not None:
            self.note(f"fault {what}", "", str(self.rule), self.first, self.second, int(self.both))


class Effect:
    """What one rule does to one way; this one does nothing."""

    holds = False  # nothing arrives
    swallows = False  # what is sent vanishes
    piece_bytes = 0  # what is sent goes in pieces of so many bytes
    read_bytes_max = 0
    room_bytes = 0
    cut_after_bytes: int | None = None

    def __init__(self, standing: ActiveRule) -> None:
        self.standing = standing

    def due(self, at: float, size: int) -> float:
        """When that arrives which but for this rule would arrive at `at`."""
        return at


class _Late(Effect):
    def __init__(self, standing: ActiveRule, rule: Latency, random: Random) -> None:
        super().__init__(standing)
        self._rule = rule
        self._random = random

    def due(self, at: float, size: int) -> float:
        return at + self._rule.delay_s + self._rule.jitter_s * self._random.random()


class _Thin(Effect):
    def __init__(self, standing: ActiveRule, rule: Bandwidth) -> None:
        super().__init__(standing)
        self._bytes_per_s = rule.bytes_per_s
        self._busy_until = 0.0
        self.piece_bytes = max(1, min(PIECE_BYTES_MAX, rule.bytes_per_s // PIECES_PER_S))

    def due(self, at: float, size: int) -> float:
        self._busy_until = max(self._busy_until, at) + size / self._bytes_per_s
        return self._busy_until


class _Gathering(Effect):
    def __init__(self, standing: ActiveRule, rule: Merge) -> None:
        super().__init__(standing)
        self._within_s = rule.within_s
        self._until = -inf

    def due(self, at: float, size: int) -> float:
        if at >= self._until:
            self._until = at + self._within_s
        return self._until


def effect_of(standing: ActiveRule, random: Random) -> Effect | None:
    """What a rule does to a way; None where it is not about ways."""
    plain = Effect(standing)
    match standing.rule:
        case Latency() as rule:
            return _Late(standing, rule, random)
        case Bandwidth() as rule:
            return _Thin(standing, rule)
        case Merge() as rule:
            return _Gathering(standing, rule)
        case Split(bytes_max):
            plain.read_bytes_max = bytes_max
        case Narrow(bytes_max):
            plain.room_bytes = bytes_max
        case Cut(after_bytes):
            plain.cut_after_bytes = after_bytes
        case Stall() | Partition():
            plain.holds = True
        case Silence():
            plain.swallows = True
        case Refuse() | NoFiles() | Fin() | Rst():
            return None
        case _:
            assert_never(standing.rule)
    return plain
