"""Each verdict of the siege is red on figures that are just over its bound, and green on those within."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from tests.siege.attack import Attack
from tests.siege.attacks.control import control
from tests.siege.verdict import (
    FULL_BOUNDS,
    LINES_MIN,
    QUICK_BOUNDS,
    Measurement,
    Phase,
    judge,
    memory_max_kib,
    percentile,
    ratio,
)

(ATTACK,) = control
MIB = 1 << 10


def phase(*milliseconds: float) -> Phase:
    """Return a phase with five lines or more, the given ones among them; the last line is repeated."""
    padded = [*milliseconds, *[milliseconds[-1]] * (LINES_MIN - len(milliseconds))]
    return Phase([each / 1e3 for each in padded])


QUIET = phase(2.0)
GREEN = Measurement(
    quiet=QUIET,
    prepare=QUIET,
    attack=QUIET,
    teardown=QUIET,
    after=QUIET,
    memory_before_kib=32 * MIB,
    memory_peak_kib=90 * MIB,
    memory_after_kib=40 * MIB,
)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, inf),
        ([4.0], 50, 4.0),
        ([3.0, 1.0], 50, 1.0),
        ([5.0, 1.0, 3.0], 50, 3.0),
        ([1.0, 2.0, 3.0, 4.0], 50, 2.0),
        ([1.0, 2.0, inf, inf], 50, 2.0),
        ([1.0, inf, inf], 50, inf),
        ([1.0, 2.0, 3.0], 100, 3.0),
        ([1.0, 2.0, 3.0], 0, 1.0),
    ],
)
def test_a_percentile_is_one_of_the_values(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_the_ratio_counts_a_fast_quiet_phase_as_the_floor() -> None:
    assert ratio(replace(GREEN, attack=phase(6.0)), FULL_BOUNDS) == pytest.approx(3.0)
    assert ratio(replace(GREEN, quiet=phase(0.2), attack=phase(2.5)), FULL_BOUNDS) == pytest.approx(2.5)
    assert ratio(replace(GREEN, attack=Phase([])), FULL_BOUNDS) == inf


def test_memory_has_its_bound_from_what_it_was() -> None:
    assert memory_max_kib(ATTACK, 32 * MIB, FULL_BOUNDS) == (40 + 24) * MIB
    assert memory_max_kib(replace(ATTACK, memory_mib=10), 32 * MIB, FULL_BOUNDS) == (40 + 24 + 10) * MIB


@pytest.mark.parametrize(
    "measurement",
    [
        GREEN,
        replace(GREEN, attack=phase(6.0)),
        replace(GREEN, quiet=phase(0.1), attack=phase(3.0)),
        replace(GREEN, attack=phase(499.0, 2.0)),
        replace(GREEN, prepare=Phase([]), teardown=Phase([])),
        replace(GREEN, prepare=phase(499.0)),
        replace(GREEN, memory_after_kib=64 * MIB),
    ],
)
def test_a_measurement_within_the_bounds_is_green(measurement: Measurement) -> None:
    assert judge(ATTACK, measurement, FULL_BOUNDS) == []


@pytest.mark.parametrize(
    ("measurement", "fault"),
    [
        (replace(GREEN, attack=phase(6.1)), "p50 under attack 6.1 ms, expected at most 6.0 ms"),
        (
            replace(GREEN, quiet=phase(0.1), attack=phase(3.1)),
            "p50 under attack 3.1 ms",
        ),
        (replace(GREEN, attack=phase(500.0, 2.0)), "maximum under attack 500.0 ms"),
        (replace(GREEN, attack=Phase([0.002] * 9 + [inf])), "maximum under attack never"),
        (replace(GREEN, attack=Phase([0.002] * 4)), "only 4 lines under attack"),
        (replace(GREEN, quiet=Phase([0.002] * 4)), "only 4 lines in the quiet phase"),
        (replace(GREEN, prepare=phase(500.0)), "maximum before the attack 500.0 ms"),
        (replace(GREEN, teardown=phase(500.0)), "maximum right after the attack 500.0 ms"),
        (replace(GREEN, after=phase(6.1)), "p50 after the attack 6.1 ms, expected at most 6.0 ms"),
        (replace(GREEN, after=Phase([])), "p50 after the attack never"),
        (
            replace(GREEN, memory_after_kib=65 * MIB),
            "memory after the attack 65 MiB, expected at most 64",
        ),
        (replace(GREEN, faults=["walt was refused: rate_limited"]), "walt was refused: rate_limited"),
    ],
)
def test_a_measurement_over_one_bound_is_red(measurement: Measurement, fault: str) -> None:
    (found,) = judge(ATTACK, measurement, FULL_BOUNDS)
    assert fault in found


def test_the_short_form_has_wider_bounds_and_not_none() -> None:
    assert judge(ATTACK, replace(GREEN, attack=phase(999.0, 49.0)), QUICK_BOUNDS) == []
    slow = judge(ATTACK, replace(GREEN, attack=phase(51.0)), QUICK_BOUNDS)
    assert slow == ["p50 under attack 51.0 ms, expected at most 50.0 ms"]
    (stalled,) = judge(ATTACK, replace(GREEN, attack=phase(1_000.0, 2.0)), QUICK_BOUNDS)
    assert "expected less than 1,000.0 ms" in stalled


SLOW = replace(GREEN, attack=phase(3_000.0), teardown=phase(600.0))


def test_an_attack_that_stops_the_process_is_not_judged_by_latency() -> None:
    stopping = replace(ATTACK, latency="none")
    assert judge(stopping, SLOW, FULL_BOUNDS) == []
    assert judge(stopping, replace(SLOW, after=phase(7.0), faults=["x"]), FULL_BOUNDS)[0] == "x"


def test_a_server_without_rates_is_judged_by_the_maximum_only() -> None:
    without_rates = replace(ATTACK, latency="maximum")
    assert judge(without_rates, replace(GREEN, attack=phase(499.0)), FULL_BOUNDS) == []
    assert judge(without_rates, SLOW, FULL_BOUNDS) == [
        "maximum under attack 3,000.0 ms, expected less than 500.0 ms",
        "maximum right after the attack 600.0 ms, expected less than 500.0 ms",
    ]


STOPPING: Attack = replace(ATTACK, stops_server=True)


@pytest.mark.parametrize(
    ("stop_s", "faults"),
    [
        (10.0, []),
        (10.1, ["the server took 10.1 s to stop, expected at most 10 s"]),
        (None, ["the server did not stop, expected at most 10 s"]),
    ],
)
def test_a_server_must_stop_in_time(stop_s: float | None, faults: list[str]) -> None:
    gone = replace(GREEN, after=Phase([]), memory_after_kib=0, stop_s=stop_s)
    assert judge(STOPPING, gone, FULL_BOUNDS) == faults
