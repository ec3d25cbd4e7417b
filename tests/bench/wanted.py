"""What is wanted of each figure: what it must be, and what it aims at."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BEHIND",
    "BEHIND_OTHERS",
    "CONNECTS",
    "FILE_ACKS",
    "FILE_ALONE",
    "FILE_TALK",
    "IDLE_KIB",
    "JUDGE",
    "RECOVERED",
    "ROOM",
    "SIMULATED",
    "STALLED",
    "STORE",
    "VERIFIED",
    "YARDSTICK",
    "Wanted",
]


@dataclass(frozen=True)
class Wanted:
    """Bounds of one figure; `least` for one of which more is better."""

    must: float
    aim: float | None = None
    least: bool = False

    def judge(self, value: float) -> str:
        if self.aim is not None and self._within(value, self.aim):
            return "aim"
        return "must" if self._within(value, self.must) else "**no**"

    def _within(self, value: float, bound: float) -> bool:
        return value >= bound if self.least else value <= bound

    def row(self, value: float) -> list[str]:
        """The cells of a table: must, aim, and which is met."""
        sign = "≥" if self.least else "≤"
        aim = "" if self.aim is None else f"{sign} {self.aim:g}"
        return [f"{sign} {self.must:,g}", aim, self.judge(value)]


_CONNECTS = Wanted(0.10, 0.3, least=True)

YARDSTICK = {
    "burst_cpu_ratio": (Wanted(2.6, 1.2), Wanted(2.0, 1.2)),
    "many_cpu_ratio": (Wanted(1.8, 1.0), Wanted(1.6, 1.0)),
    "low_cpu_ratio": (Wanted(2.0, 1.2), Wanted(1.6, 1.2)),
    "paced_p50_ratio": (Wanted(2.0, 1.1), Wanted(1.8, 1.1)),
    "connect_ratio": (_CONNECTS, _CONNECTS),
}
"""Ratios to the C reference: at up to 100 members, and beyond."""

IDLE_KIB = Wanted(8, 5)
CONNECTS = _CONNECTS
ROOM = Wanted(1.5)  # cost of a delivery in a very large room, to that in one of 500
STALLED = Wanted(10)  # percent
RECOVERED = Wanted(2)  # seconds
VERIFIED = Wanted(200_000, least=True)  # deliveries a second
JUDGE = Wanted(25)  # percent of the load tool's CPU
SIMULATED = Wanted(150, 75)  # milliseconds a run
FILE_ACKS = Wanted(60, least=True)  # percent of what the journal in memory has, of acked messages a second
FILE_ALONE = Wanted(0.5)  # milliseconds more, until one client alone has its ack
FILE_TALK = {"burst": Wanted(75, 90, least=True), "many": Wanted(65, 90, least=True)}
"""Percent of what the journal in memory has, of deliveries a second."""
STORE = Wanted(1.3)  # CPU of an entry in the store, to that of a loop that only writes
BEHIND = Wanted(500_000, least=True)  # entries a second, to one who has none
BEHIND_OTHERS = Wanted(1.5)  # others' latency meanwhile, to that before
