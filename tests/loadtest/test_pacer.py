"""The pacer: every message is sent once or counted as missed, never early, and never in a late burst."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.pacer import BATCH_MAX, LATE_S, MessagePacer


def test_messages_are_due_one_after_the_other() -> None:
    pacer = MessagePacer(rate=10, messages=3)
    assert pacer.take_due(0.0) == [(0, 0.0)]
    assert pacer.next_due_s == 0.1
    assert pacer.take_due(0.05) == []
    assert pacer.take_due(0.25) == [(1, 0.1), (2, 0.2)]
    assert pacer.is_over


def test_late_messages_are_missed() -> None:
    pacer = MessagePacer(rate=10, messages=30)
    assert [number for number, _ in pacer.take_due(2.05)] == list(range(11, 21))
    assert pacer.missed == 11


def test_an_impossible_rate_is_taken_in_bounded_batches() -> None:
    pacer = MessagePacer(rate=1e8, messages=10**9)
    assert len(pacer.take_due(0.5)) == BATCH_MAX
    assert len(pacer.take_due(9.5)) == BATCH_MAX
    assert pacer.missed + 2 * BATCH_MAX == pacer.next


@given(
    rate=st.floats(0.1, 100_000),
    messages=st.integers(1, 800),
    steps=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=50),
)
def test_every_message_is_sent_once_in_time_or_missed(rate: float, messages: int, steps: list[float]) -> None:
    pacer = MessagePacer(rate, messages)
    now = 0.0
    numbers = []
    for step in [*steps, messages / rate, 0.0]:
        now += step
        for number, due_s in pacer.take_due(now):
            assert 0 <= now - due_s <= LATE_S
            assert due_s == number / rate
            numbers.append(number)
    assert numbers == sorted(set(numbers))
    assert len(numbers) + pacer.missed == pacer.next
    assert pacer.is_over == (pacer.next == messages)
    assert pacer.is_over or pacer.next_due_s > now
