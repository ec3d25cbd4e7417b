"""The way of bytes under rules: when each arrives, and whether.

No task and no timer carries them. What is sent is put in a queue with the time at which it is due, and
whoever looks next (the end that reads, and waits until the first of it is due; the end that sends; a rule
that begins or ends) lets arrive what is due by then. Nobody looks: nothing to be seen. What is under way
counts against the connection's buffer, so senders feel back-pressure and the queue is bounded.
"""

from collections import deque
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
from trio_chat.testing.pipe import Note, Sign, Way

__all__ = ["Course", "Standing"]

PIECES_PER_S = 10
PIECE_BYTES_MAX = 1_460  # a segment's


@dataclass(eq=False, slots=True)
class Standing:
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


class _Effect:
    """What one rule does to one way; this one does nothing."""

    holds = False  # nothing arrives
    swallows = False  # what is sent vanishes
    piece_bytes = 0  # what is sent goes in pieces of so many bytes
    read_bytes_max = 0
    room_bytes = 0
    cut_after_bytes: int | None = None

    def __init__(self, standing: Standing) -> None:
        self.standing = standing

    def due(self, at: float, size: int) -> float:
        """When that arrives which but for this rule would arrive at `at`."""
        return at


class _Late(_Effect):
    def __init__(self, standing: Standing, rule: Latency, random: Random) -> None:
        super().__init__(standing)
        self._rule = rule
        self._random = random

    def due(self, at: float, size: int) -> float:
        return at + self._rule.delay_s + self._rule.jitter_s * self._random.random()


class _Thin(_Effect):
    def __init__(self, standing: Standing, rule: Bandwidth) -> None:
        super().__init__(standing)
        self._bytes_per_s = rule.bytes_per_s
        self._busy_until = 0.0
        self.piece_bytes = max(1, min(PIECE_BYTES_MAX, rule.bytes_per_s // PIECES_PER_S))

    def due(self, at: float, size: int) -> float:
        self._busy_until = max(self._busy_until, at) + size / self._bytes_per_s
        return self._busy_until


class _Gathering(_Effect):
    def __init__(self, standing: Standing, rule: Merge) -> None:
        super().__init__(standing)
        self._within_s = rule.within_s
        self._until = -inf

    def due(self, at: float, size: int) -> float:
        if at >= self._until:
            self._until = at + self._within_s
        return self._until


def _effect(standing: Standing, random: Random) -> _Effect | None:
    """What a rule does to a way; None where it is not about ways."""
    plain = _Effect(standing)
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


class Course:
    """The bytes under way in one direction of one connection, and the rules that they go by."""

    __slots__ = (
        "_effects",
        "_held",
        "_last_due",
        "_lost",
        "_lost_bytes",
        "_queue",
        "_random",
        "_under_way",
        "_way",
    )

    def __init__(self, way: Way, random: Random) -> None:
        self._way = way
        self._random = random
        self._effects: dict[Standing, _Effect] = {}
        self._queue: deque[tuple[float, bytes | Sign]] = deque()
        self._under_way = 0  # bytes in the queue
        self._last_due = -inf
        self._held = False
        self._lost = False  # something has vanished: so will all that follows
        self._lost_bytes = 0

    # --- rules ---------------------------------------------------------------------------------------

    def begin(self, standing: Standing, now: float) -> None:
        """Go by one more rule, if it is about ways."""
        self.settle(now)
        if (effect := _effect(standing, self._random)) is not None:
            self._effects[standing] = effect
            self._way.course = self
        self._held = any(effect.holds for effect in self._effects.values())

    def end(self, standing: Standing, now: float) -> None:
        """Go by a rule no longer. What is under way arrives when it was due."""
        self._effects.pop(standing, None)
        self._held = any(effect.holds for effect in self._effects.values())
        self.settle(now)
        self._way.wake()

    # --- what is sent --------------------------------------------------------------------------------

    def room(self) -> int:
        """How many bytes a send may take."""
        way = self._way
        most = way.buffer_bytes
        for effect in self._effects.values():
            if 0 < effect.room_bytes < most:
                most = effect.room_bytes
        return most - len(way.bytes) - self._under_way - self._lost_bytes

    def send(self, data: bytes | memoryview, now: float) -> int:
        """Take what there is room for; how many bytes."""
        size = min(len(data), max(0, self.room()))
        if size < len(data):
            for effect in self._effects.values():
                if effect.room_bytes or effect.holds:
                    effect.standing.strike()
        if not size:
            return 0
        if (note := self._way.note) is not None:
            note("sent", self._way.name, self._way.source, size)
        go = size
        cuts = [effect for effect in self._effects.values() if effect.cut_after_bytes is not None]
        for effect in cuts:
            go = min(go, effect.cut_after_bytes or 0)
        self._pass(bytes(data[:go]), now)
        for effect in cuts:
            effect.cut_after_bytes = (effect.cut_after_bytes or 0) - go
            if not effect.cut_after_bytes:
                effect.standing.strike()
                self._cut(now)
        return size

    def sign(self, sign: Sign, now: float) -> None:
        """Take a sign, which needs no room."""
        if self._swallows():
            return
        self._queue.append((self._due(now, 0), sign))
        self.settle(now)
        self._way.reader.wake()
        self._way.back.writer.wake()

    def _pass(self, data: bytes, now: float) -> None:
        if not data:
            return
        if self._swallows():
            self._lost_bytes += len(data)
            return
        was_empty = not self._queue
        step = min((e.piece_bytes for e in self._effects.values() if e.piece_bytes), default=len(data))
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            self._queue.append((self._due(now, len(piece)), piece))
        self._under_way += len(data)
        self.settle(now)
        if was_empty and self._queue:  # whoever waits has to know until when
            self._way.wake()

    def _due(self, now: float, size: int) -> float:
        due = now
        for effect in self._effects.values():
            before, due = due, effect.due(due, size)
            if due > before or effect.holds:
                effect.standing.strike()
        self._last_due = max(due, self._last_due)  # whatever the rules say, in order
        return self._last_due

    def _swallows(self) -> bool:
        for effect in self._effects.values():
            if effect.swallows:
                effect.standing.strike()
                self._lost = True
        return self._lost

    def _cut(self, now: float) -> None:
        way = self._way
        if way.back.broken:
            return
        if way.note is not None:
            way.note("cut", way.name, way.source)
        way.back.arrive_sign(Sign.RST)  # the sender is told at once
        self.sign(Sign.CUT, now)

    # --- what arrives --------------------------------------------------------------------------------

    def settle(self, now: float) -> None:
        """Let arrive what is due by now."""
        way = self._way
        while not self._held and self._queue and self._first_due() <= now:
            due, item = self._queue.popleft()
            if isinstance(item, Sign):
                way.arrive_sign(item)
            else:
                self._under_way -= len(item)
                way.arrive(item, due)
        if not (self._queue or self._effects or self._lost) and way.course is self:
            way.course = None

    def next_due(self) -> float:
        """When something arrives, if nothing happens until then."""
        return inf if self._held or not self._queue else self._first_due()

    def _first_due(self) -> float:
        due, item = self._queue[0]
        return inf if item is Sign.CUT and self._way.bytes else due

    def read_bytes(self, max_bytes: int) -> int:
        """How much one read may give."""
        unread = len(self._way.bytes)
        for effect in self._effects.values():
            if effect.read_bytes_max:
                max_bytes = min(max_bytes, self._random.randint(1, effect.read_bytes_max))
                if max_bytes < unread:
                    effect.standing.strike()
        return max_bytes

    def forget(self) -> None:
        """The connection is gone: nothing is under way any more."""
        self._queue.clear()
        self._under_way = 0

    @property
    def under_way_bytes(self) -> int:
        """How many bytes were sent and have not arrived; those that vanished are not among them."""
        return self._under_way
