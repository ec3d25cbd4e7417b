"""Latencies and counts.

Times are counted in ticks of 10 µs. Every delivery is counted, not one a batch: the ticks of a batch are
counted in a dict, at a twentieth of what a record of a histogram costs, and go into the histogram before
anybody looks at it.
"""

from collections import Counter
from collections.abc import Iterable

from hdrh.histogram import HdrHistogram

__all__ = ["CODES_KEPT", "TICKS_PER_S", "Latencies", "Stats", "ticks"]

TICKS_PER_S = 100_000
_HIGHEST = 3_600 * TICKS_PER_S
CODES_KEPT = 50  # docs/protocol.md has thirteen
CODE_CHARACTERS_MAX = 40


def ticks(time_s: float) -> int:
    """A time of Trio's clock; never 0, which stands for none."""
    return int(time_s * TICKS_PER_S) + 1


class Latencies:
    """How long things took, in ticks; asked for in milliseconds."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, _HIGHEST, 3)
        self._counted: Counter[int] = Counter()

    def add(self, values: Iterable[int]) -> None:
        self._counted.update(values)

    def quantile_ms(self, percent: float) -> float:
        """What so many percent took at most; 0 when there is nothing yet."""
        self._flush()
        if not self._histogram.get_total_count():
            return 0.0
        return float(self._histogram.get_value_at_percentile(percent)) * 1_000 / TICKS_PER_S

    @property
    def mean_ms(self) -> float:
        self._flush()
        return float(self._histogram.get_mean_value()) * 1_000 / TICKS_PER_S if self.count else 0.0

    @property
    def max_ms(self) -> float:
        return self.quantile_ms(100)

    @property
    def count(self) -> int:
        self._flush()
        return int(self._histogram.get_total_count())

    def _flush(self) -> None:
        for value, many in self._counted.items():
            self._histogram.record_value(min(max(value, 1), _HIGHEST), many)
        self._counted.clear()


class Stats:
    """What a run counts; deliveries and gaps are counted by the judge's stays."""

    def __init__(self) -> None:
        self.delivery = Latencies()
        self.ack = Latencies()
        self.lag = Latencies()
        self.sent = 0
        self.missed = 0
        self.again = 0  # said again after coming back
        self.refused: Counter[str] = Counter()
        self.trips: Counter[str] = Counter()
        self.talk_s = 0.0
        self.talked = 0  # deliveries verified while messages were due

    def count_refusal(self, code: str) -> None:
        """Count a refusal under its code, or under `other` where a server makes up too many of them."""
        known = code in self.refused or len(self.refused) < CODES_KEPT
        fit = len(code) <= CODE_CHARACTERS_MAX and code.isprintable()
        self.refused[code if known and fit else "other"] += 1
