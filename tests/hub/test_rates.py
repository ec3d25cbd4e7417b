"""A bucket grants its burst at once, and never more than its rate from then on."""

from hypothesis import given
from hypothesis import strategies as st

from trio_chat.hub.rates import Bucket

STEPS = st.lists(st.sampled_from([0.0, 0.001, 0.1, 0.25, 1.0, 3.0, 100.0]), max_size=200)


def test_the_burst_passes_and_the_next_says_when() -> None:
    bucket = Bucket(3, 2.0, now=10.0)
    assert [bucket.take(10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_it_fills_with_time_and_never_beyond_the_burst() -> None:
    bucket = Bucket(2, 1.0, now=0.0)
    assert [bucket.take(0.0) for _ in range(2)] == [0.0, 0.0]
    assert bucket.take(1.0) == 0.0
    assert bucket.take(1.0) == 1.0
    assert [bucket.take(1_000.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_a_refusal_costs_nothing() -> None:
    bucket = Bucket(1, 1.0, now=0.0)
    assert bucket.take(0.0) == 0.0
    for _ in range(100):
        assert bucket.take(0.5) == 0.5
    assert bucket.take(1.0) == 0.0


def test_a_moment_before_the_last_one_takes_nothing_away() -> None:
    """Two sessions of one member: the slower one's clock reading is a little older."""
    bucket = Bucket(5, 8.0, now=0.0)
    assert bucket.take(7.0) == 0.0
    assert [bucket.take(6.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.0]
    assert bucket.take(6.0) == 0.125
    assert bucket.take(7.125) == 0.0
    assert bucket.take(7.125) == 0.125, "what was granted once is not granted again"


@given(st.integers(1, 20), st.sampled_from([0.5, 1.0, 3.0, 10.0]), STEPS)
def test_it_grants_what_a_ledger_allows(burst: int, per_s: float, steps: list[float]) -> None:
    """In no stretch of time more than the burst and the rate; and whoever waits as told is granted."""
    bucket = Bucket(burst, per_s, now=0.0)
    now = 0.0
    granted: list[float] = []
    for step in steps:
        now += step
        wait_s = bucket.take(now)
        if wait_s:
            now += wait_s + 1e-9
            assert bucket.take(now) == 0.0
        granted.append(now)
    for first, since in enumerate(granted):
        for last in range(first, len(granted)):
            assert last - first + 1 <= burst + (granted[last] - since) * per_s + 1e-6
