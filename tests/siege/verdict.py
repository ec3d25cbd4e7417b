"""What an attack must not do to the others: the bounds, and which of them a measurement broke.

All of it is arithmetic on figures; times are in seconds, memory in KiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from loadtest.rank import nearest_rank
from tests.siege.attack import Attack

__all__ = ["FULL_BOUNDS", "QUICK_BOUNDS", "Bounds", "Measurement", "Phase", "judge", "percentile", "ratio"]

LINES_MIN = 5


@dataclass(frozen=True)
class Bounds:
    """The bounds of a verdict."""

    ratio: float = 3.0
    """How many times the quiet p50 the p50 under attack may be."""
    floor_s: float = 0.001
    """A quiet p50 below this counts as this: otherwise the noise of a quiet machine would decide."""
    p50_s: float = 0.0
    """A p50 up to this is right in any case."""
    max_s: float = 0.5
    memory_ratio: float = 1.25
    memory_kib: int = 24 << 10
    """Beyond `memory_ratio`: what allocators and caches keep when a storm is over."""
    stop_s: float = 10.0
    """From SIGTERM to the end of the process: `drain_s` is 8, and closing takes a moment."""


FULL_BOUNDS = Bounds()
# On a busy machine of CI a witness waits for its core for tens of milliseconds, attack or not, and the short
# form has some twenty lines: a single line must not decide. The siege looks for much longer delays: the
# faults that it found blocked the server for 0.2 to 50 s.
QUICK_BOUNDS = Bounds(p50_s=0.05, max_s=1.0)


@dataclass(frozen=True)
class Phase:
    """The latencies of the lines that were sent in one phase; a line that never came has an infinite one."""

    latencies_s: Sequence[float]
    raw_latencies_s: Sequence[float] = ()
    """The same, with what the machine delayed: for the figures, not for the verdict."""

    @property
    def p50_s(self) -> float:
        return percentile(self.latencies_s, 50)

    @property
    def max_s(self) -> float:
        return max(self.latencies_s, default=inf)


@dataclass(frozen=True)
class Measurement:
    """What was measured while one attack ran."""

    quiet: Phase
    attack: Phase
    after: Phase
    prepare: Phase
    """While the attack prepared itself, which may take a storm of its own."""
    teardown: Phase
    """While the attacker went away: all its connections end at one moment."""
    memory_before_kib: int
    memory_peak_kib: int
    memory_after_kib: int
    faults: Sequence[str] = ()
    """What the witnesses, the attack itself and the log of the server complain about."""
    stop_s: float | None = None
    """From SIGTERM to the end of the process, where the attack stops the server."""
    late_s: float = 0.0
    """How late the witnesses' own process was at most: the noise of the machine."""
    counts: dict[str, int] = field(default_factory=dict)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value at the nearest rank (`loadtest.rank`); infinite without values."""
    return sorted(values)[nearest_rank(len(values), percent) - 1] if values else inf


def ratio(measurement: Measurement, bounds: Bounds) -> float:
    """Return the p50 under attack as a multiple of the quiet one."""
    return measurement.attack.p50_s / max(measurement.quiet.p50_s, bounds.floor_s)


def judge(attack: Attack, measurement: Measurement, bounds: Bounds) -> list[str]:
    """Return what was wrong, in words; nothing when the server withstood the attack."""
    found = list(measurement.faults)
    if len(measurement.quiet.latencies_s) < LINES_MIN:
        found.append(f"only {len(measurement.quiet.latencies_s)} lines in the quiet phase")
    if attack.latency == "all":
        found += _judge_p50(measurement, bounds)
    if attack.latency != "none":
        found += _judge_maximum(measurement, bounds)
    if attack.stops_server:
        if measurement.stop_s is None or measurement.stop_s > bounds.stop_s:
            took = (
                "did not stop" if measurement.stop_s is None else f"took {measurement.stop_s:.1f} s to stop"
            )
            found.append(f"the server {took}, expected at most {bounds.stop_s:.0f} s")
        return found
    after = measurement.after.p50_s
    if after > _p50_max(measurement, bounds):
        found.append(
            f"p50 after the attack {_ms(after)}, expected at most {_ms(_p50_max(measurement, bounds))}"
        )
    allowed = memory_max_kib(attack, measurement.memory_before_kib, bounds)
    if measurement.memory_after_kib > allowed:
        kept, most = measurement.memory_after_kib >> 10, allowed >> 10
        found.append(f"memory after the attack {kept} MiB, expected at most {most} MiB")
    return found


def memory_max_kib(attack: Attack, before_kib: int, bounds: Bounds) -> int:
    """Return how much memory the server may have after the attack."""
    return int(before_kib * bounds.memory_ratio) + bounds.memory_kib + (attack.memory_mib << 10)


def _judge_p50(measurement: Measurement, bounds: Bounds) -> list[str]:
    p50, p50_max = measurement.attack.p50_s, _p50_max(measurement, bounds)
    return [f"p50 under attack {_ms(p50)}, expected at most {_ms(p50_max)}"] if p50 > p50_max else []


def _judge_maximum(measurement: Measurement, bounds: Bounds) -> list[str]:
    found = []
    if len(measurement.attack.latencies_s) < LINES_MIN:
        found.append(f"only {len(measurement.attack.latencies_s)} lines under attack")
    for where, phase in (
        ("before the", measurement.prepare),
        ("under", measurement.attack),
        ("right after the", measurement.teardown),
    ):
        if phase.latencies_s and phase.max_s >= bounds.max_s:
            found.append(f"maximum {where} attack {_ms(phase.max_s)}, expected less than {_ms(bounds.max_s)}")
    return found


def _p50_max(measurement: Measurement, bounds: Bounds) -> float:
    return max(bounds.ratio * max(measurement.quiet.p50_s, bounds.floor_s), bounds.p50_s)


def _ms(seconds: float) -> str:
    return "never" if seconds == inf else f"{seconds * 1e3:,.1f} ms"
