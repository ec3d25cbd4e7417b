"""The pacer sends as much as the server's rates allow, and never more, however late the server charges."""

from collections import deque
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.client.pacer import SHARE, WAIT_S_MIN, Pacer, TokenBucket, kind_of
from trio_chat.hub.rates import Bucket
from trio_chat.wire.messages import (
    UNLIMITED_PER_S,
    Command,
    History,
    Join,
    Leave,
    Ping,
    Quit,
    Rename,
    Rooms,
    Say,
    Search,
    ServerLimits,
    Topic,
    Typing,
    Whisper,
    Who,
)

SAY = Say("lobby", "hello")


def limits(burst: int = 20, per_s: int = 5, bytes_burst: int = 0, bytes_per_s: int = 0) -> ServerLimits:
    return ServerLimits(65_536, 4_096, 100, burst, per_s, bytes_burst, bytes_per_s)


def sent_at_once(pacer: Pacer, now: float, command: Command = SAY) -> int:
    """Send all commands that may be sent now, without an answer, and return their number."""
    count = 0
    while not pacer.wait_s(command, now):
        pacer.send(command, now)
        count += 1
        assert count < 1_000
    return count


@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        ("talk", [SAY, Topic("lobby", "tea"), Whisper("bob", "psst"), Rename("eva")]),
        ("rooms", [Join("lobby"), Leave("lobby")]),
        ("questions", [Who("lobby"), Rooms(), History("lobby"), Search("tea")]),
        (None, [Ping(), Quit(), Typing("lobby")]),
    ],
)
def test_each_command_has_the_rate_that_it_is_charged_to(kind: str | None, commands: list[Command]) -> None:
    assert {kind_of(command) for command in commands} == {kind}


def test_half_of_the_burst_is_sent_at_once_and_the_rest_one_by_one() -> None:
    pacer = Pacer(limits(), 0.0)
    assert sent_at_once(pacer, 0.0) == 10
    for _ in range(10):
        assert pacer.wait_s(SAY, 0.0) == inf, "the pacer waits for an answer"
        pacer.answer(SAY, 0.0)
    for _ in range(10):
        pacer.send(SAY, 0.0)
        assert pacer.wait_s(SAY, 0.0) == inf
        pacer.answer(SAY, 0.0)
    assert pacer.wait_s(SAY, 0.0) == pytest.approx(1 / (5 * SHARE)), "then the rate applies"
    assert pacer.wait_s(SAY, 0.21) == 0


def test_unanswered_commands_do_not_refill_the_bucket() -> None:
    bucket = TokenBucket(4, 1.0, 0.0)
    bucket.send(4, 0.0)
    bucket.answer(2, 100.0)
    assert bucket.wait_s(3, 200.0) == inf, "two of four are unanswered"
    bucket.answer(2, 200.0)
    assert bucket.wait_s(3, 200.0) == pytest.approx(1.0)
    assert bucket.wait_s(3, 201.0) == 0


@given(
    burst=st.integers(1, 30),
    per_s=st.sampled_from([0.5, 5, 1_000]),
    delays=st.lists(st.sampled_from([0.0, 0.01, 0.3, 5.0]), min_size=60, max_size=60),
    amounts=st.lists(st.integers(1, 10), min_size=60, max_size=60),
)
def test_the_server_never_refuses_whatever_the_delays(
    burst: int, per_s: float, delays: list[float], amounts: list[int]
) -> None:
    """Each message is charged somewhere between its sending and its answer, in order; many may come at
    once."""
    ours, theirs = TokenBucket(burst, per_s * SHARE, 0.0), Bucket(burst, per_s, 0.0)
    now = arrives = 0.0
    way: deque[tuple[float, float, int]] = deque()  # sent commands: when each is charged and answered

    def pass_until(then: float) -> None:
        while way and way[0][1] <= then:
            charged, answered, amount = way.popleft()
            assert theirs.wait_s(amount, charged) == 0, "the server refused a command"
            theirs.spend(amount)
            ours.answer(amount, answered)

    for delay, size in zip(delays, amounts, strict=True):
        amount = min(size, burst)
        while wait_s := ours.wait_s(amount, now):
            now = way[0][1] if wait_s == inf else now + wait_s
            pass_until(now)
        ours.send(amount, now)
        arrives = max(arrives, now + delay)
        way.append((arrives, arrives + delay, amount))
    pass_until(inf)


def test_a_slow_network_does_not_reduce_the_rate() -> None:
    """With a round trip of a second, the rate after the burst is still five a second."""
    pacer = Pacer(limits(), 0.0)
    now, sent = 0.0, 0
    answers: deque[float] = deque()
    while now < 100:
        while answers and answers[0] <= now:
            answers.popleft()
            pacer.answer(SAY, now)
        if not pacer.wait_s(SAY, now):
            pacer.send(SAY, now)
            answers.append(now + 1.0)
            sent += 1
        now += 0.01
    assert sent >= 100 * 5 * SHARE - 5


def test_bytes_are_counted_as_the_server_counts_them() -> None:
    pacer = Pacer(limits(1_000, 1_000, 8_000, 100), 0.0)
    pacer.send(Say("lobby", "é" * 1_000), 0.0)
    assert pacer.wait_s(Say("lobby", "x" * 2_000), 0.0) == 0
    assert pacer.wait_s(Say("lobby", "x" * 2_001), 0.0) == inf, "half of the burst is used"
    assert pacer.wait_s(Rename("eva"), 0.0) == 0, "a name has no text"
    pacer.answer(Say("lobby", "é" * 1_000), 0.0)
    long = Say("lobby", "x" * 60_000)  # it is refused, and charged with the longest text
    pacer.send(long, 0.0)
    pacer.answer(long, 0.0)
    assert pacer.wait_s(Say("lobby", "x" * 2_000), 0.0) == pytest.approx(
        (2_000 - 8_000 + 6_096) / (100 * SHARE)
    )


def test_a_command_larger_than_the_burst_is_sent_when_the_bucket_is_full() -> None:
    bucket = TokenBucket(10, 1.0, 0.0)
    assert bucket.wait_s(4_096, 0.0) == 0
    bucket.send(4_096, 0.0)
    bucket.answer(4_096, 0.0)
    assert bucket.wait_s(4_096, 0.0) == pytest.approx(10)


def test_a_refusal_pauses_its_kind_and_empties_the_buckets() -> None:
    pacer = Pacer(limits(), 0.0)
    assert pacer.refuse(SAY, 3, 0.0)
    assert pacer.wait_s(Whisper("bob", "psst"), 1.0) == pytest.approx(2)
    assert pacer.wait_s(Who("lobby"), 1.0) == 0
    assert pacer.refuse(SAY, 1, 1.0)
    assert pacer.wait_s(SAY, 1.0) == pytest.approx(2), "a later refusal must not shorten the pause"
    assert sent_at_once(pacer, 3.0) == 1, "the bucket counts as empty: one command at a time"
    assert pacer.refuse(Join("lobby"), 2, 3.0)
    assert pacer.wait_s(Leave("attic"), 3.0) == pytest.approx(2)
    assert not pacer.refuse(Ping(), 2, 3.0), "a ping has no rate"
    assert pacer.wait_s(Leave("attic"), 5.0) == 0


def test_commands_unanswered_at_an_outage_count_as_charged() -> None:
    pacer = Pacer(limits(4, 1), 0.0)
    assert sent_at_once(pacer, 0.0) == 2
    pacer.lose(10.0)
    pacer.set_limits(limits(4, 1), 10.0)
    assert sent_at_once(pacer, 10.0) == 1, "the buckets are unchanged"
    pacer.set_limits(limits(8, 1), 10.0)
    assert sent_at_once(pacer, 10.0) == 4, "another server has other limits"


@pytest.mark.parametrize(
    "pacer",
    [
        Pacer(limits(UNLIMITED_PER_S, UNLIMITED_PER_S), 0.0),
        Pacer(limits(), 0.0, is_on=False),
        Pacer(limits(5, UNLIMITED_PER_S), 0.0),
    ],
)
def test_without_rates_every_command_is_sent_at_once(pacer: Pacer) -> None:
    assert pacer.is_idle
    for _ in range(5_000):
        assert not pacer.wait_s(SAY, 0.0)
        pacer.send(SAY, 0.0)


def test_a_pacer_that_is_off_ignores_refusals() -> None:
    pacer = Pacer(limits(), 0.0, is_on=False)
    assert not pacer.refuse(SAY, 3, 0.0)
    assert pacer.wait_s(SAY, 0.0) == 0


def test_no_wait_is_too_short_to_advance_the_clock() -> None:
    bucket = TokenBucket(1, 1.0, 0.0)
    bucket.send(1, 0.0)
    bucket.answer(1, 0.0)
    assert bucket.wait_s(1, 1.0 - 1e-15) == WAIT_S_MIN
