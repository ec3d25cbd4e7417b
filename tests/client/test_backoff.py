"""The back-off: random waits up to a bound that doubles, and that a lasting connection resets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.client.backoff import CAP_S, FIRST_S, HELD_S, Backoff

FRACTIONS = st.floats(0, 1, exclude_max=True)


def test_the_bound_doubles_up_to_half_a_minute() -> None:
    backoff = Backoff(lambda: 0.5)
    assert [backoff.next_s() for _ in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]


@given(st.lists(FRACTIONS, min_size=1, max_size=20))
def test_every_wait_is_random_up_to_its_bound(fractions: list[float]) -> None:
    drawn = iter(fractions)
    backoff = Backoff(lambda: next(drawn))
    for tries, fraction in enumerate(fractions):
        assert backoff.next_s() == pytest.approx(fraction * min(FIRST_S * 2**tries, CAP_S))


@given(FRACTIONS, st.integers(0, 1000))
def test_jitter_is_added_to_the_delay_that_a_server_asks_for(fraction: float, earliest_s: int) -> None:
    wait_s = Backoff(lambda: fraction).next_s(earliest_s)
    assert wait_s >= earliest_s
    assert wait_s - earliest_s == pytest.approx(fraction * FIRST_S, abs=1e-9)


def test_the_bound_is_reset_by_a_connection_that_lasted_and_not_by_a_short_one() -> None:
    backoff = Backoff(lambda: 0.5)
    backoff.next_s()
    backoff.held(HELD_S - 1)
    assert backoff.next_s() == FIRST_S
    backoff.held(HELD_S)
    assert backoff.next_s() == FIRST_S / 2
