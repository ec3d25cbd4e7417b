"""Count latencies and events.

Every time is counted, in ticks of 10 µs, in a dict by value. Values of more than four digits are rounded up
to four digits, which bounds the dict.
"""

from collections import Counter
from collections.abc import Iterable

from loadtest.rank import nearest_rank

__all__ = ["CODES_KEPT", "TICKS_PER_S", "Latencies", "Stats", "ticks"]

TICKS_PER_S = 100_000
DIGITS = 4
_HIGHEST = 3_600 * TICKS_PER_S
_UNSORTED_MAX = 10_000
CODES_KEPT = 50  # docs/protocol.md has thirteen
CODE_CHARACTERS_MAX = 40


def ticks(time_s: float) -> int:
    """Return a time of Trio's clock in ticks; never 0, which means no time."""
    return int(time_s * TICKS_PER_S) + 1


class Latencies:
    """Latencies, added in ticks and returned in milliseconds."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._unsorted: Counter[int] = Counter()  # much cheaper than rounding each value at once
        self._count = 0
        self._sum = 0
        self._max = 0

    def add(self, values: Iterable[int]) -> None:
        self._unsorted.update(values)
        if len(self._unsorted) > _UNSORTED_MAX:
            self._flush()

    def quantile_ms(self, percent: float) -> float:
        """Return the value at the nearest rank (`loadtest.rank`); 0 without values."""
        self._flush()
        rank = nearest_rank(self._count, percent)
        if rank == self._count:
            return _in_ms(self._max)
        for value in sorted(self._counts):
            rank -= self._counts[value]
            if rank <= 0:
                return _in_ms(min(value, self._max))
        raise AssertionError("the counts of all values are fewer than the values")

    @property
    def mean_ms(self) -> float:
        self._flush()
        return _in_ms(self._sum) / self._count if self._count else 0.0

    @property
    def max_ms(self) -> float:
        return self.quantile_ms(100)

    @property
    def count(self) -> int:
        self._flush()
        return self._count

    def _flush(self) -> None:
        for value, count in self._unsorted.items():
            clamped = min(max(value, 1), _HIGHEST)
            key = _rounded(clamped)
            self._counts[key] = self._counts.get(key, 0) + count
            self._count += count
            self._sum += clamped * count
            self._max = max(self._max, clamped)
        self._unsorted.clear()


def _rounded(value: int) -> int:
    """Round a value up to its first DIGITS digits, so that a latency never looks shorter than it was."""
    unit: int = 10 ** max(len(str(value)) - DIGITS, 0)
    return -(-value // unit) * unit


def _in_ms(value: int) -> float:
    return value * 1_000 / TICKS_PER_S


class Stats:
    """The counts of a run; the judge counts deliveries and gaps."""

    def __init__(self) -> None:
        self.delivery = Latencies()
        self.ack = Latencies()
        self.lag = Latencies()
        self.sent = 0
        self.missed = 0
        self.again = 0  # sent again after a reconnect
        self.refused: Counter[str] = Counter()
        self.trips: Counter[str] = Counter()
        self.sending_s = 0.0
        self.sending_deliveries = 0  # deliveries verified while messages were due

    def count_refusal(self, code: str) -> None:
        """Count a refusal under its code, or under `other` if a server uses too many different codes."""
        known = code in self.refused or len(self.refused) < CODES_KEPT
        fit = len(code) <= CODE_CHARACTERS_MAX and code.isprintable()
        self.refused[code if known and fit else "other"] += 1
