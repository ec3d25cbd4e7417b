"""The server's time: which jumps of the wall clock it follows."""

import logging
import time
from itertools import count

import pytest

from tests.server.clocks import DAY_MS, NOW_MS, TEN_YEARS_MS, Clocks
from trio_chat.server.clock import (
    EARLIEST_MS,
    LATEST_MS,
    READING_MS,
    ServerTime,
    boot_clock_ms,
    wall_clock_ms,
)
from trio_chat.wire.messages import MAX_AT

FIVE_S_MS = 5_000
TEN_MINUTES_MS = 600_000
JUMPS = [TEN_YEARS_MS, DAY_MS, FIVE_S_MS + 1, -FIVE_S_MS - 1, -DAY_MS]


@pytest.fixture(autouse=True)
def no_log_records() -> None:
    """Allow log records here: these tests check warnings."""


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("jump_ms", JUMPS)
def test_a_jump_of_four_seconds_changes_nothing(jump_ms: int, caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    server_time = clocks.server_time()
    for second in range(30):
        if second == 10:
            clocks.wall_ms += jump_ms
        if second == 14:
            clocks.wall_ms -= jump_ms
        assert server_time.now_ms() == NOW_MS + second * 1_000
        clocks.advance(1_000)
    clocks.run(server_time, 2 * TEN_MINUTES_MS)
    assert server_time.now_ms() == NOW_MS + 30_000 + 2 * TEN_MINUTES_MS
    assert (server_time.changes, warnings(caplog)) == (0, [])


@pytest.mark.parametrize("jump_ms", JUMPS)
def test_a_difference_that_lasts_ten_minutes_is_followed_with_one_warning(
    jump_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    clocks = Clocks()
    server_time = clocks.server_time()
    clocks.wall_ms += jump_ms
    server_time.now_ms()
    clocks.run(server_time, TEN_MINUTES_MS - 5_000)
    assert server_time.now_ms() == clocks.wall_ms - jump_ms and not warnings(caplog)
    clocks.run(server_time, 5_000)
    assert server_time.now_ms() == clocks.wall_ms and server_time.changes == 1
    clocks.run(server_time, 3 * TEN_MINUTES_MS)
    assert server_time.now_ms() == clocks.wall_ms and server_time.changes == 1
    (warning,) = warnings(caplog)
    direction = "ahead of" if jump_ms > 0 else "behind"
    assert f"{direction} the server's time for 10 minutes: the server follows it from now on" in warning


def test_differences_up_to_five_seconds_are_ignored() -> None:
    clocks = Clocks()
    server_time = clocks.server_time()
    clocks.wall_ms += FIVE_S_MS
    clocks.run(server_time, 3 * TEN_MINUTES_MS)
    assert server_time.changes == 0 and server_time.now_ms() == clocks.wall_ms - FIVE_S_MS


def test_only_a_constant_difference_is_followed() -> None:
    clocks = Clocks()
    server_time = clocks.server_time()
    clocks.wall_ms += DAY_MS
    server_time.now_ms()
    clocks.run(server_time, TEN_MINUTES_MS - 5_000)
    clocks.wall_ms += FIVE_S_MS + 1
    clocks.run(server_time, TEN_MINUTES_MS)
    assert server_time.changes == 0
    clocks.run(server_time, 5_000)
    assert server_time.changes == 1 and server_time.now_ms() == clocks.wall_ms


def test_a_difference_that_ends_starts_again_from_zero() -> None:
    clocks = Clocks()
    server_time = clocks.server_time()
    for _ in range(5):
        clocks.wall_ms += DAY_MS
        clocks.run(server_time, TEN_MINUTES_MS - 5_000)
        clocks.wall_ms -= DAY_MS
        clocks.run(server_time, 5_000)
    assert server_time.changes == 0 and server_time.now_ms() == clocks.wall_ms


def test_a_wall_clock_that_runs_fast_is_not_followed_and_logged_once_in_ten_minutes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "trio_chat.clock")
    clocks = Clocks()
    server_time = clocks.server_time()
    for _ in range(2 * TEN_MINUTES_MS // 5_000):
        clocks.monotonic_ms += 5_000
        clocks.wall_ms += 60_000
        server_time.now_ms()
    assert server_time.now_ms() == NOW_MS + 2 * TEN_MINUTES_MS
    assert len(caplog.records) == 2 and not warnings(caplog)


def test_a_suspension_of_the_machine_advances_the_time() -> None:
    clocks = Clocks()
    server_time = clocks.server_time()
    clocks.advance(7 * DAY_MS)
    assert server_time.now_ms() == NOW_MS + 7 * DAY_MS == clocks.wall_ms
    assert server_time.agreed_ms() == 7 * DAY_MS and server_time.changes == 0


def test_a_clock_that_was_unset_at_the_start_is_replaced_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trio_chat.clock")
    clocks = Clocks(wall_ms=3_000)
    server_time = clocks.server_time()
    assert server_time.now_ms() == 3_000
    clocks.wall_ms = NOW_MS
    assert server_time.now_ms() == NOW_MS and server_time.changes == 1
    assert len(warnings(caplog)) == len(caplog.records) == 1


def test_a_clock_that_becomes_unset_is_never_followed() -> None:
    clocks = Clocks()
    server_time = clocks.server_time()
    clocks.wall_ms = EARLIEST_MS - 2 * DAY_MS
    clocks.run(server_time, 3 * TEN_MINUTES_MS)
    assert server_time.changes == 0 and server_time.now_ms() == NOW_MS + 3 * TEN_MINUTES_MS


def test_a_clock_beyond_the_calendar_is_never_followed() -> None:
    clocks = Clocks()
    server_time = clocks.server_time()
    clocks.wall_ms = LATEST_MS + DAY_MS
    clocks.run(server_time, 3 * TEN_MINUTES_MS)
    assert server_time.changes == 0 and server_time.now_ms() == NOW_MS + 3 * TEN_MINUTES_MS


def test_between_two_unset_clocks_the_usual_rule_holds() -> None:
    clocks = Clocks(wall_ms=3_000)
    server_time = clocks.server_time()
    clocks.wall_ms += DAY_MS
    assert server_time.now_ms() == 3_000
    clocks.run(server_time, TEN_MINUTES_MS)
    assert server_time.now_ms() == clocks.wall_ms


@pytest.mark.parametrize(("wall_ms", "now_ms"), [(-5 * TEN_YEARS_MS, 0), (LATEST_MS + DAY_MS, LATEST_MS)])
def test_the_time_fits_the_wire_and_http(wall_ms: int, now_ms: int) -> None:
    assert Clocks(wall_ms).server_time().now_ms() == now_ms


def test_a_pause_between_two_readings_drops_the_comparison() -> None:
    monotonic, offsets = count(0, READING_MS + 1), [0, TEN_YEARS_MS]
    server_time = ServerTime(lambda: next(monotonic), lambda: NOW_MS + offsets[0])
    offsets.reverse()
    for _ in range(1_000):
        server_time.now_ms()
    assert server_time.changes == 0 and server_time.agreed_ms() > 0


def test_a_pause_during_the_start_repeats_the_reading() -> None:
    clocks = Clocks()
    pauses = [0, READING_MS + 1, TEN_YEARS_MS, 0]

    def monotonic_ms() -> int:
        if pauses:
            clocks.advance(pauses.pop())
        return clocks.monotonic_ms

    assert ServerTime(monotonic_ms, lambda: clocks.wall_ms).now_ms() == clocks.wall_ms
    assert not pauses


def test_the_time_of_agreement_restarts_with_each_difference() -> None:
    clocks = Clocks()
    server_time = clocks.server_time()
    clocks.run(server_time, TEN_MINUTES_MS)
    assert server_time.agreed_ms() == TEN_MINUTES_MS
    clocks.wall_ms += DAY_MS
    server_time.now_ms()
    assert server_time.agreed_ms() == 0
    clocks.wall_ms -= DAY_MS
    clocks.run(server_time, 60_000)
    assert server_time.agreed_ms() == 55_000
    clocks.wall_ms += DAY_MS
    clocks.run(server_time, TEN_MINUTES_MS + 10_000)
    assert server_time.changes == 1 and server_time.agreed_ms() == 5_000


def test_a_single_clock_for_both_is_used_as_it_is() -> None:
    now = [NOW_MS]
    calls = []

    def clock() -> int:
        calls.append(now[0])
        return now[0]

    server_time = ServerTime(clock, clock)
    assert not server_time.has_two_clocks
    calls.clear()
    for moved in (NOW_MS + TEN_YEARS_MS, NOW_MS, NOW_MS - DAY_MS):
        now[0] = moved
        assert server_time.now_ms() == moved and server_time.changes == 0
    assert len(calls) == 3, "a manual clock is read once for each call"


@pytest.mark.parametrize("has_boot_clock", [True, False])
def test_the_monotonic_clock_counts_suspension_if_the_system_does(
    has_boot_clock: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def read(clock: int) -> int:
        asked.append(clock)
        return 5_000_000

    monkeypatch.setattr(time, "clock_gettime_ns", read)
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 7, raising=False)
    if not has_boot_clock:
        monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert boot_clock_ms() == 5
    assert asked == [7 if has_boot_clock else time.CLOCK_MONOTONIC]


def test_by_default_it_is_the_time_of_this_machine() -> None:
    before = wall_clock_ms()
    now = ServerTime().now_ms()
    assert before - FIVE_S_MS <= now <= wall_clock_ms() + FIVE_S_MS


def test_the_latest_time_is_the_last_that_an_event_holds() -> None:
    assert LATEST_MS == MAX_AT
