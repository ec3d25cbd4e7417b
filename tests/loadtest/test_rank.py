"""Percentiles by nearest rank: the smallest value that at least P percent of the values do not exceed."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.rank import nearest_rank
from tests.bench.talk import percentile as bench_percentile
from tests.siege.verdict import percentile as siege_percentile


@pytest.mark.parametrize(
    ("count", "percent", "rank"),
    [
        (1_600, 99.9, 1_599),  # 1,598.4 is rounded up, never to the nearest
        (1_000, 99.9, 999),  # in floats 99.9 / 100 * 1,000 is more than 999
        (3_000, 1.1, 33),  # in floats 1.1 * 3,000 / 100 is more than 33
        (100, 99, 99),
        (101, 99, 100),
        (2, 50, 1),
        (3, 50, 2),
        (1, 99.999, 1),
        (5, 0, 1),
        (5, 100, 5),
        (0, 50, 0),
        (10**12, 99.999, 999_990_000_000),
    ],
)
def test_the_rank_is_rounded_up(count: int, percent: float, rank: int) -> None:
    assert nearest_rank(count, percent) == rank


@given(st.integers(1, 10**6), st.integers(1, 100_000))
def test_the_rank_is_the_smallest_that_covers_the_percentage(count: int, thousandths: int) -> None:
    rank = nearest_rank(count, thousandths / 1_000)
    share = Fraction(thousandths, 100_000)
    assert Fraction(rank, count) >= share > Fraction(rank - 1, count)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.integers(1, 1_000))
def test_benchmarks_and_siege_use_the_same_rank(values: list[float], tenths: int) -> None:
    expected = sorted(values)[nearest_rank(len(values), tenths / 10) - 1]
    assert bench_percentile(values, tenths / 10) == siege_percentile(values, tenths / 10) == expected
