"""A bucket grants its burst at once, and never more than its rate from then on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.errors import Refused
from trio_chat.hub.rates import Bucket, Rate, RateLimiter


def take(bucket: Bucket, now: float) -> float:
    """Take one: 0.0 when granted, else after how many seconds it would be. A refusal costs nothing."""
    wait_s = bucket.wait_s(1, now)
    if not wait_s:
        bucket.spend(1)
    return wait_s


STEPS = st.lists(st.sampled_from([0.0, 0.001, 0.1, 0.25, 1.0, 3.0, 100.0]), max_size=200)


def test_the_burst_passes_and_the_next_says_when() -> None:
    bucket = Bucket(3, 2.0, now=10.0)
    assert [take(bucket, 10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_it_fills_with_time_and_never_beyond_the_burst() -> None:
    bucket = Bucket(2, 1.0, now=0.0)
    assert [take(bucket, 0.0) for _ in range(2)] == [0.0, 0.0]
    assert take(bucket, 1.0) == 0.0
    assert take(bucket, 1.0) == 1.0
    assert [take(bucket, 1_000.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_a_refusal_costs_nothing() -> None:
    bucket = Bucket(1, 1.0, now=0.0)
    assert take(bucket, 0.0) == 0.0
    for _ in range(100):
        assert take(bucket, 0.5) == 0.5
    assert take(bucket, 1.0) == 0.0


def test_a_moment_before_the_last_one_takes_nothing_away() -> None:
    """Two sessions of one member: the slower one's clock reading is a little older."""
    bucket = Bucket(5, 8.0, now=0.0)
    assert take(bucket, 7.0) == 0.0
    assert [take(bucket, 6.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.0]
    assert take(bucket, 6.0) == 0.125
    assert take(bucket, 7.125) == 0.0
    assert take(bucket, 7.125) == 0.125, "what was granted once is not granted again"


@given(st.integers(1, 20), st.sampled_from([0.5, 1.0, 3.0, 10.0]), STEPS)
def test_it_grants_what_a_ledger_allows(burst: int, per_s: float, steps: list[float]) -> None:
    """No interval grants more than the burst and the rate; a retry after the given time is granted."""
    bucket = Bucket(burst, per_s, now=0.0)
    now = 0.0
    granted: list[float] = []
    for step in steps:
        now += step
        wait_s = take(bucket, now)
        if wait_s:
            now += wait_s + 1e-9
            assert take(bucket, now) == 0.0
        granted.append(now)
    for first, since in enumerate(granted):
        for last in range(first, len(granted)):
            assert last - first + 1 <= burst + (granted[last] - since) * per_s + 1e-6


def test_a_bucket_fills_beyond_its_burst_for_the_time_the_server_was_late() -> None:
    bucket = Bucket(20, 5.0, now=0.0)
    assert bucket.wait_s(121, 20.0, late=20.0) == pytest.approx(0.2)
    for _ in range(120):
        assert bucket.wait_s(1, 20.0, late=20.0) == 0.0
        bucket.spend(1)
    assert bucket.wait_s(1, 20.0, late=20.0) == pytest.approx(0.2)


def test_what_is_saved_for_lateness_is_bounded() -> None:
    bucket = Bucket(20, 5.0, now=0.0)
    assert bucket.wait_s(20 + 5 * 60, 1e6, late=5e5) == 0.0
    assert bucket.wait_s(21 + 5 * 60, 1e6, late=5e5) > 0.0
    assert bucket.wait_s(21 + 5 * 60, 2e6, late=1e6) > 0.0, "nor does it add up"


def test_a_bucket_that_is_beyond_its_burst_gets_no_fuller_without_lateness() -> None:
    bucket = Bucket(20, 5.0, now=0.0)
    assert bucket.wait_s(40, 4.0, late=4.0) == 0.0
    assert bucket.wait_s(41, 1_000.0, late=4.0) > 0
    assert bucket.wait_s(40, 1_000.0, late=4.0) == 0.0


def test_lateness_before_the_first_command_counts_for_nothing() -> None:
    bucket = Bucket(20, 5.0, now=100.0, late=50.0)
    assert bucket.wait_s(21, 200.0, late=50.0) > 0


LIMITS = {"talk": Rate(20, 5), "talk_bytes": Rate(256, 16)}


def refused_after(limiter: RateLimiter, token: str, now: float, size: int) -> int:
    """How many commands of so many bytes are granted to a token at once."""
    allowance = limiter.attach(token, now)
    for count in range(1_000):
        try:
            limiter.check(allowance, "", "talk", size, now)
        except Refused as refused:
            assert refused.retry_after_s
            limiter.detach(token, allowance, now)
            return count
    raise AssertionError("nothing was refused")


def test_bytes_are_limited_beside_the_number_of_commands() -> None:
    limiter = RateLimiter(LIMITS)
    assert refused_after(limiter, "few and large", 0.0, 100) == 2
    assert refused_after(limiter, "many and small", 0.0, 1) == 20


def test_a_command_that_is_refused_for_its_bytes_costs_nothing() -> None:
    limiter = RateLimiter(LIMITS)
    allowance = limiter.attach("ada", 0.0)
    for _ in range(100):
        with pytest.raises(Refused):
            limiter.check(allowance, "", "talk", 257, 0.0)
    for _ in range(20):
        limiter.check(allowance, "", "talk", 1, 0.0)


def test_an_allowance_is_kept_until_it_is_full_again() -> None:
    limiter = RateLimiter(LIMITS)
    assert refused_after(limiter, "ada", 0.0, 1) == 20
    assert refused_after(limiter, "ada", 2.0, 1) == 10
    assert len(limiter) == 1
    limiter.detach("eva", limiter.attach("eva", 0.0), 0.0)
    assert len(limiter) == 1, "an allowance that was never used is not kept"
    limiter.attach("bob", 2.0 + 256 / 16)
    assert len(limiter) == 0


def test_full_allowances_are_forgotten_a_few_at_a_time() -> None:
    """Sixty thousand in one step would take 60 ms. A token that is kept for longer is full all the same."""
    limiter = RateLimiter(LIMITS)
    for number in range(1_000):
        assert refused_after(limiter, f"t{number}", 0.0, 1) == 20
    before = len(limiter)
    limiter.attach("eva", 1_000.0)
    assert before - 20 <= len(limiter) < before
    assert refused_after(limiter, "t999", 1_000.0, 1) == 20
    for _ in range(1_000):
        limiter.attach("eva", 1_000.0)
    assert len(limiter) <= 1


def test_the_number_of_kept_allowances_is_bounded() -> None:
    limiter = RateLimiter(LIMITS, kept_max=100)
    for number in range(300):
        allowance = limiter.attach(f"t{number}", 0.0)
        limiter.check(allowance, f"prefix {number}", "talk", 1, 0.0)
        limiter.detach(f"t{number}", allowance, 0.0)
    assert len(limiter) == 200, "the newest hundred tokens and the newest hundred prefixes"


def test_lateness_before_its_first_command_counts_for_a_token_that_was_there() -> None:
    limiter = RateLimiter(LIMITS)
    allowance = limiter.attach("ada", 10.0, 3.0)
    for _ in range(20 + 5 * 40):
        limiter.check(allowance, "", "talk", 0, 60.0, 43.0)
    with pytest.raises(Refused):
        limiter.check(allowance, "", "talk", 0, 60.0, 43.0)
