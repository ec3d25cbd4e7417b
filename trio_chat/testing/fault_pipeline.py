"""The bytes in transit in one direction under fault rules: whether they arrive, and when.

No task and no timer carries them. A send puts its bytes in a queue with the time at which they are due. The
next operation on the connection delivers the bytes that are due by then: a read (which waits until the first
bytes are due), a send, or a rule that begins or ends. Without such an operation no program can see a
difference. Bytes in transit count against the connection's buffer, so senders get back-pressure and the queue
is bounded.
"""

from collections import deque
from math import inf
from random import Random

from trio_chat.testing.effects import ActiveRule, Effect, effect_of
from trio_chat.testing.pipe import EndMark, PipeDirection

__all__ = ["FaultPipeline"]


class FaultPipeline:
    """The bytes in transit in one direction of one connection, and the rules for them."""

    __slots__ = (
        "_effects",
        "_held",
        "_lost",
        "_lost_bytes",
        "_queue",
        "_random",
        "_under_way",
        "_way",
    )

    def __init__(self, way: PipeDirection, random: Random) -> None:
        self._way = way
        self._random = random
        self._effects: dict[ActiveRule, Effect] = {}
        self._queue: deque[tuple[float, bytes | EndMark]] = deque()
        self._under_way = 0  # bytes in the queue
        self._held = False
        self._lost = False  # bytes have vanished: all later ones vanish too
        self._lost_bytes = 0

    # --- rules ---------------------------------------------------------------------------------------

    def begin(self, standing: ActiveRule, now: float) -> None:
        """Add a rule, if it affects bytes."""
        self.settle(now)
        if (effect := effect_of(standing, self._random)) is not None:
            self._effects[standing] = effect
            self._way.course = self
        self._held = any(effect.holds for effect in self._effects.values())

    def end(self, standing: ActiveRule, now: float) -> None:
        """Remove a rule. Bytes in transit arrive when they were due."""
        self._effects.pop(standing, None)
        self._held = any(effect.holds for effect in self._effects.values())
        self.settle(now)
        self._way.wake()

    # --- what is sent --------------------------------------------------------------------------------

    def room(self) -> int:
        """Return how many bytes a send may take."""
        way = self._way
        most = way.buffer_bytes
        for effect in self._effects.values():
            if 0 < effect.room_bytes < most:
                most = effect.room_bytes
        return most - len(way.bytes) - self._under_way - self._lost_bytes

    def send(self, data: bytes | memoryview, now: float) -> int:
        """Take the bytes that fit; return how many."""
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

    def sign(self, sign: EndMark, now: float) -> None:
        """Take an end mark, which needs no room."""
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
        if was_empty and self._queue:  # a waiting task needs the new deadline
            self._way.wake()

    def _due(self, now: float, size: int) -> float:
        due = now
        for effect in self._effects.values():
            before, due = due, effect.due(due, size)
            if due > before or effect.holds:
                effect.standing.strike()
        return due  # which may be before what is ahead of it: the queue keeps the order

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
        way.back.arrive_sign(EndMark.RST)  # the sender gets the reset at once
        self.sign(EndMark.CUT, now)

    # --- what arrives --------------------------------------------------------------------------------

    def settle(self, now: float) -> None:
        """Deliver the bytes and end marks that are due by now."""
        way = self._way
        while not self._held and self._queue and self._first_due() <= now:
            due, item = self._queue.popleft()
            if isinstance(item, EndMark):
                way.arrive_sign(item)
            else:
                self._under_way -= len(item)
                way.arrive(item, due)
        if not (self._queue or self._effects or self._lost) and way.course is self:
            way.course = None

    def next_due(self) -> float:
        """Return when the next item arrives, if nothing happens until then."""
        return inf if self._held or not self._queue else self._first_due()

    def _first_due(self) -> float:
        due, item = self._queue[0]
        return inf if item is EndMark.CUT and self._way.bytes else due

    def read_bytes(self, max_bytes: int) -> int:
        """Return how many bytes one read may return."""
        unread = len(self._way.bytes)
        for effect in self._effects.values():
            if effect.read_bytes_max:
                max_bytes = min(max_bytes, self._random.randint(1, effect.read_bytes_max))
                if max_bytes < unread:
                    effect.standing.strike()
        return max_bytes

    def forget(self) -> None:
        """Discard all bytes in transit: the connection was reset."""
        self._queue.clear()
        self._under_way = 0

    @property
    def under_way_bytes(self) -> int:
        """How many bytes were sent and have not arrived, without those that vanished."""
        return self._under_way
