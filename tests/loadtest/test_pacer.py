"""The pace: every message is started once or counted as missed, never early, and no burst of old ones."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.pacer import AT_ONCE, LATE_S, MessagePacer


def test_messages_are_due_one_after_the_other() -> None:
    pace = MessagePacer(rate=10, messages=3)
    assert pace.take(0.0) == [(0, 0.0)]
    assert pace.next_due_s == 0.1
    assert pace.take(0.05) == []
    assert pace.take(0.25) == [(1, 0.1), (2, 0.2)]
    assert pace.is_over


def test_what_is_too_late_is_missed() -> None:
    pace = MessagePacer(rate=10, messages=30)
    assert [number for number, _ in pace.take(2.05)] == list(range(11, 21))
    assert pace.missed == 11


def test_a_rate_that_nobody_can_keep_is_taken_in_small_steps() -> None:
    pace = MessagePacer(rate=1e8, messages=10**9)
    assert len(pace.take(0.5)) == AT_ONCE
    assert len(pace.take(9.5)) == AT_ONCE
    assert pace.missed + 2 * AT_ONCE == pace.next


@given(
    rate=st.floats(0.1, 100_000),
    messages=st.integers(1, 800),
    steps=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=50),
)
def test_every_message_is_started_once_in_its_time_or_missed(
    rate: float, messages: int, steps: list[float]
) -> None:
    pace = MessagePacer(rate, messages)
    now = 0.0
    numbers = []
    for step in [*steps, messages / rate, 0.0]:
        now += step
        for number, due_s in pace.take(now):
            assert 0 <= now - due_s <= LATE_S
            assert due_s == number / rate
            numbers.append(number)
    assert numbers == sorted(set(numbers))
    assert len(numbers) + pace.missed == pace.next
    assert pace.is_over == (pace.next == messages)
    assert pace.is_over or pace.next_due_s > now
