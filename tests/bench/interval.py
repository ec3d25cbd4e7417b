"""The median of a few ratios, and an interval around it that holds the true median 95 times in 100.

The interval assumes nothing about how the ratios are distributed, only that they are independent. Each ratio
lies below the true median with probability 1/2, so how many do is binomial(n, 1/2). The k-th smallest and the
k-th largest ratio therefore enclose the true median with probability 1 - 2 P(B < k), and k is the largest
number for which that is at least 95 %: 4 of 15. (H. A. David and H. N. Nagaraja, *Order Statistics*, 3rd
edition, section 7.1: distribution-free confidence intervals for quantiles.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Literal

__all__ = [
    "CONFIDENCE",
    "FASTER_BELOW",
    "RATIOS_MIN",
    "SLOWER_ABOVE",
    "Interval",
    "Verdict",
    "coverage",
    "rank",
]

CONFIDENCE = 0.95
RATIOS_MIN = 6  # the smallest and the largest of 5 enclose the median with 93.75 %

SLOWER_ABOVE = 1.05
# With old and new exchanged, "faster" is "slower": one verdict must not be easier to get than the other.
FASTER_BELOW = 1 / SLOWER_ABOVE

Verdict = Literal["slower", "not slower", "faster"]


def coverage(ratios: int, place: int) -> float:
    """Return the probability that the `place`-th smallest and largest of so many enclose the true median."""
    return 1 - 2 * sum(comb(ratios, below) for below in range(place)) / (1 << ratios)


def rank(ratios: int) -> int:
    """Return the largest place whose interval covers the median with `CONFIDENCE`; 0 when none does."""
    return max(
        (place for place in range(1, ratios // 2 + 1) if coverage(ratios, place) >= CONFIDENCE), default=0
    )


@dataclass(frozen=True)
class Interval:
    """The median of some ratios, and the bounds between which the true median lies."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Interval:
        """Sort the ratios and read the interval off. Raises `ValueError` when they are too few for 95 %."""
        place = rank(len(ratios))
        if not place:
            raise ValueError(
                f"too few ratios for {CONFIDENCE:.0%}: got {len(ratios)}, expected {RATIOS_MIN} or more"
            )
        ordered = sorted(ratios)
        return cls(median(ordered), ordered[place - 1], ordered[-place])

    @property
    def verdict(self) -> Verdict:
        """Return "slower" or "faster" only where the whole interval says so."""
        if self.low > SLOWER_ABOVE:
            return "slower"
        return "faster" if self.high < FASTER_BELOW else "not slower"
