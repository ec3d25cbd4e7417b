"""Active rules: the effect of each on the bytes in one direction of a connection."""

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
    """An active rule between two hosts, for all directions from the first to the second."""

    rule: Rule
    first: str
    second: str
    both: bool
    note: Note | None
    struck: bool = False
    """Whether the rule has made a difference yet."""

    def __post_init__(self) -> None:
        self.both = self.both or isinstance(self.rule, Partition)

    def applies(self, source: str, target: str) -> bool:
        """Return whether the rule applies to the direction from `source` to `target`."""
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
    """The effect of one rule on one direction of a connection; this base class has none."""

    holds = False  # nothing arrives
    swallows = False  # sent bytes vanish
    piece_bytes = 0  # the size of the pieces in which bytes are sent
    read_bytes_max = 0
    room_bytes = 0
    cut_after_bytes: int | None = None

    def __init__(self, standing: ActiveRule) -> None:
        self.standing = standing

    def due(self, at: float, size: int) -> float:
        """Return the arrival time of bytes that would arrive at `at` without this rule."""
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
    """Return the effect of a rule on a direction; None for a rule that affects no bytes."""
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
