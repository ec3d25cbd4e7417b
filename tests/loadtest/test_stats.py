"""Latencies: every value counts, to four digits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.rank import nearest_rank
from loadtest.stats import TICKS_PER_S, Latencies, ticks


def test_without_values_all_figures_are_zero() -> None:
    latencies = Latencies()
    assert (latencies.count, latencies.quantile_ms(99), latencies.mean_ms, latencies.max_ms) == (0, 0, 0, 0)


@given(
    st.lists(st.integers(1, 10_000_000), min_size=1, max_size=300),
    st.integers(1, 7),
    st.sampled_from([0.001, 10, 50, 90, 99, 99.9, 99.999, 100]),
)
def test_a_percentile_is_the_value_at_the_nearest_rank(values: list[int], piece: int, percent: float) -> None:
    latencies = Latencies()
    for start in range(0, len(values), piece):
        latencies.add(values[start : start + piece])
        latencies.quantile_ms(50)  # reading a value does not change it
    exact = sorted(values)[nearest_rank(len(values), percent) - 1] * 1_000 / TICKS_PER_S
    assert exact <= latencies.quantile_ms(percent) <= exact * 1.001, "rounded up, by less than four digits"
    assert latencies.count == len(values)
    assert latencies.max_ms == max(values) * 1_000 / TICKS_PER_S
    assert latencies.mean_ms == pytest.approx(sum(values) / len(values) * 1_000 / TICKS_PER_S)


@pytest.mark.parametrize(("count", "slow", "percent"), [(1_600, 2, 99.9), (160, 2, 99), (16, 2, 90)])
def test_a_percentile_is_never_a_rank_low(count: int, slow: int, percent: float) -> None:
    """Fewer than `percent` of the values are at most 3 ms."""
    latencies = Latencies()
    latencies.add([300] * (count - slow) + [TICKS_PER_S] * slow)
    assert latencies.quantile_ms(percent) == 1_000


def test_values_of_four_digits_are_exact() -> None:
    latencies = Latencies()
    latencies.add([5_000, 9_999, 10_001, 100_000])
    assert [latencies.quantile_ms(percent) for percent in (25, 50, 75, 100)] == [50, 99.99, 100.1, 1_000]


def test_many_different_values_take_bounded_memory() -> None:
    latencies = Latencies()
    for start in range(0, 400_000, 5_000):
        latencies.add(range(start, start + 5_000))
        assert len(latencies._unsorted) <= 15_000
    assert latencies.count == 400_000
    assert len(latencies._counts) <= 10_000 + 9_000 + 3_001


def test_values_out_of_range_are_clamped() -> None:
    latencies = Latencies()
    latencies.add([-5, 0, 10**12])
    assert latencies.count == 3
    assert latencies.quantile_ms(10) == 0.01
    assert latencies.max_ms == 3_600_000


def test_a_tick_is_never_zero() -> None:
    assert ticks(0.0) == 1
    assert ticks(1.0) - ticks(0.0) == TICKS_PER_S
