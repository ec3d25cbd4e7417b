"""Compute percentiles by nearest rank. Pure.

The percentile P of N values is the value at rank ceil(P / 100 * N) in ascending order: the smallest value
that at least P percent of the values do not exceed. It is always one of the values.
"""

from fractions import Fraction
from math import ceil

__all__ = ["nearest_rank"]


def nearest_rank(count: int, percent: float) -> int:
    """Return the rank, counted from 1, of a percentile of `count` values; 0 without values.

    `percent` is used as the decimal number that it prints as, since in floats 99.9 percent of 1,000 is more
    than 999.
    """
    return min(max(ceil(Fraction(str(percent)) * count / 100), 1), count)
