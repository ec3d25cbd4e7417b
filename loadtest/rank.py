"""Percentiles by nearest rank. Pure.

The percentile P of N values is the value at rank ceil(P / 100 * N) of the values in ascending order: the
smallest value that at least P percent of the values do not exceed. It is always one of the values.
"""

from fractions import Fraction
from math import ceil

__all__ = ["nearest_rank"]


def nearest_rank(count: int, percent: float) -> int:
    """Return the rank, from 1, of a percentile of so many values; 0 without values.

    `percent` is taken as the decimal that it prints as: in floats 99.9 percent of 1,000 are more than 999.
    """
    return min(max(ceil(Fraction(str(percent)) * count / 100), 1), count)
