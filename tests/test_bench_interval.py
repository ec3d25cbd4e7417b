"""The interval of a median: its rank, its coverage, and what verdict it allows."""

import random
from statistics import median

import pytest

from tests.bench.interval import RATIOS_MIN, Interval, coverage, rank


@pytest.mark.parametrize(
    ("ratios", "place"),
    [(5, 0), (6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (15, 4), (20, 6), (25, 8), (50, 18)],
)
def test_the_rank_is_that_of_the_sign_test(ratios: int, place: int) -> None:
    assert rank(ratios) == place
    assert place == 0 or coverage(ratios, place) >= 0.95 > coverage(ratios, place + 1)


def test_the_coverage_is_exact() -> None:
    assert coverage(15, 4) == 1 - 2 * (1 + 15 + 105 + 455) / 32_768
    assert coverage(5, 1) == 0.9375
    assert coverage(6, 1) == 0.96875


def test_the_interval_of_15_runs_from_the_4th_to_the_12th() -> None:
    ratios = [float(each) for each in range(1, 16)]
    random.Random(1).shuffle(ratios)
    assert Interval.of(ratios) == Interval(8.0, 4.0, 12.0)


def test_outliers_do_not_move_the_interval() -> None:
    ratios = [1.0 + each / 100 for each in range(15)]
    spoilt = [0.001, 0.001, 0.001, *ratios[3:12], 1e9, 1e9, 1e9]
    assert Interval.of(spoilt) == Interval.of(ratios)


def test_the_interval_is_symmetric_in_old_and_new() -> None:
    ratios = [2.0**each for each in (-3, -1, 0, 1, 1, 2, 4, 5, 7)]
    one = Interval.of(ratios)
    other = Interval.of([1 / each for each in ratios])
    assert (other.median, other.low, other.high) == (1 / one.median, 1 / one.high, 1 / one.low)


@pytest.mark.parametrize("many", range(RATIOS_MIN))
def test_too_few_ratios_have_no_interval(many: int) -> None:
    with pytest.raises(ValueError, match=f"too few ratios for 95%: got {many}, expected 6 or more"):
        Interval.of([1.0] * many)


def test_the_interval_holds_the_true_median_as_often_as_it_claims() -> None:
    chance = random.Random(11)
    held = 0
    for _ in range(4_000):
        interval = Interval.of([chance.lognormvariate(0.3, 0.5) for _ in range(15)])
        held += interval.low <= 2.718281828**0.3 <= interval.high
    assert abs(held / 4_000 - coverage(15, 4)) < 0.012  # four standard deviations


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.051, 1.2, "slower"),
        (1.05, 1.2, "not slower"),
        (0.8, 1.2, "not slower"),
        (0.8, 0.953, "not slower"),
        (0.8, 0.952, "faster"),
    ],
)
def test_only_a_whole_interval_gives_a_verdict(low: float, high: float, verdict: str) -> None:
    assert Interval(median([low, high]), low, high).verdict == verdict
