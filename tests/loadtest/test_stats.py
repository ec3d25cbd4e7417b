"""Latencies: every one of them counts, to three digits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.stats import TICKS_PER_S, Latencies, ticks


def test_nothing_is_zero() -> None:
    latencies = Latencies()
    assert (latencies.count, latencies.quantile_ms(99), latencies.mean_ms, latencies.max_ms) == (0, 0, 0, 0)


@settings(max_examples=30)  # a histogram is large
@given(st.lists(st.integers(1, 10_000_000), min_size=1, max_size=300), st.integers(1, 7))
def test_quantiles_are_right_to_three_digits(values: list[int], piece: int) -> None:
    latencies = Latencies()
    for start in range(0, len(values), piece):
        latencies.add(values[start : start + piece])
        latencies.quantile_ms(50)  # looking changes nothing
    assert latencies.count == len(values)
    assert latencies.max_ms == pytest.approx(max(values) * 1_000 / TICKS_PER_S, rel=1e-3)
    assert latencies.mean_ms == pytest.approx(sum(values) / len(values) * 1_000 / TICKS_PER_S, rel=1e-2)


def test_what_is_early_or_endless_is_counted_at_the_ends() -> None:
    latencies = Latencies()
    latencies.add([-5, 0, 10**12])
    assert latencies.count == 3
    assert latencies.quantile_ms(10) == 0.01
    assert latencies.max_ms == pytest.approx(3_600_000, rel=1e-3)


def test_a_tick_is_never_none() -> None:
    assert ticks(0.0) == 1
    assert ticks(1.0) - ticks(0.0) == TICKS_PER_S
