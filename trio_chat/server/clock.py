"""The server's time: a monotonic clock plus an offset that is read from the wall clock once, at the start.

A jump of the wall clock does not change the server's time. When the wall clock differs by more than 5 s, the
server follows it only after it has differed by the same amount for 10 minutes, and logs a warning. Otherwise
a clock that is wrong for a second would leave a wrong time in a room for good, since the `at` of its entries
never decreases, and retention would remove entries that are not old.

Both clocks are passed in and return milliseconds. A single clock for both, as in simulations, is used as is.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AGREEMENT_MS",
    "EARLIEST_MS",
    "LATEST_MS",
    "PROOF_MS",
    "ServerTime",
    "boot_clock_ms",
    "wall_clock_ms",
]

log = logging.getLogger("trio_chat.clock")

AGREEMENT_MS = 5_000  # smaller differences are ignored; clocks that are set by NTP differ by less
PROOF_MS = 600_000  # how long a difference must last before the server follows the wall clock
READING_MS = 1_000  # a comparison is dropped if the process was stopped for longer between two readings
READINGS_MAX = 5
EARLIEST_MS = 1_767_225_600_000  # 2026-01-01; an earlier clock was never set, as without a battery
LATEST_MS = 253_402_300_799_999  # the last millisecond of the year 9999, the limit of `datetime`


def wall_clock_ms() -> int:
    """Return the time of day, which a person or NTP may set at any moment."""
    return time.time_ns() // 1_000_000


def boot_clock_ms() -> int:
    """Return the milliseconds since the machine booted, including the time in which it was suspended.

    Without CLOCK_BOOTTIME (outside Linux), use CLOCK_MONOTONIC, which may stop during a suspension. The wall
    clock then differs afterwards, and the server follows it by the same rule.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


class ServerTime:
    """The time of entries (`now_ms`). Each call also compares both clocks."""

    def __init__(
        self, monotonic_ms: Callable[[], int] = boot_clock_ms, wall_ms: Callable[[], int] = wall_clock_ms
    ) -> None:
        self._monotonic_ms = monotonic_ms
        self._wall_ms = wall_ms
        self.has_two_clocks = monotonic_ms is not wall_ms
        self.changes = 0
        """How often the server's time was set to the wall clock since the start."""
        self._offset_ms = 0
        self._difference_ms: int | None = None
        self._differs_since = 0
        self._quiet_until: int | None = None
        self._agreed_since: int | None = monotonic_ms()
        if self.has_two_clocks:
            for _ in range(READINGS_MAX):
                before, wall, after = monotonic_ms(), wall_ms(), monotonic_ms()
                self._offset_ms = wall - after
                if after - before <= READING_MS:
                    break

    def now_ms(self) -> int:
        """Return the server's time in milliseconds since 1970, from 0 to the end of the year 9999."""
        now = self._monotonic_ms()
        if self.has_two_clocks:
            before, wall, now = now, self._wall_ms(), self._monotonic_ms()
            if now - before <= READING_MS:
                self._compare(now, wall)
        return min(max(now + self._offset_ms, 0), LATEST_MS)

    def agreed_ms(self) -> int:
        """Return for how long both clocks have agreed, or 0 while they differ."""
        return 0 if self._agreed_since is None else self._monotonic_ms() - self._agreed_since

    def _compare(self, now: int, wall: int) -> None:
        difference = wall - now - self._offset_ms
        if abs(difference) <= AGREEMENT_MS:
            if self._difference_ms is not None:
                self._difference_ms = None
                self._agreed_since = now
            return
        self._agreed_since = None
        is_new = self._difference_ms is None or abs(difference - self._difference_ms) > AGREEMENT_MS
        if is_new:
            self._difference_ms = difference
            self._differs_since = now
        has_lasted = now - self._differs_since >= PROOF_MS
        if wall - difference < EARLIEST_MS:
            # The server started with a clock that was not set: any later time is nearer the truth.
            if wall >= EARLIEST_MS or has_lasted:
                self._follow(now, difference, "since it started")
                return
        elif EARLIEST_MS <= wall <= LATEST_MS and has_lasted:
            self._follow(now, difference, "for 10 minutes")
            return
        if is_new:
            self._report(now, difference)

    def _report(self, now: int, difference: int) -> None:
        """Log a difference, at most once in 10 minutes: an unstable clock may differ anew every second."""
        if self._quiet_until is None or now >= self._quiet_until:
            self._quiet_until = now + PROOF_MS
            log.info(
                "the system clock is %s the server's time; the server follows it if that lasts 10 minutes",
                _format_difference(difference),
            )

    def _follow(self, now: int, difference: int, how_long: str) -> None:
        self._offset_ms += difference
        self._difference_ms = None
        self._agreed_since = now
        self.changes += 1
        log.warning(
            "the system clock has been %s the server's time %s: the server follows it from now on;"
            " if it is wrong, set it right and wait 10 minutes",
            _format_difference(difference),
            how_long,
        )


def _format_difference(difference_ms: int) -> str:
    """Return a difference in words, such as `3650 days, 0:00:00 ahead of`."""
    amount = timedelta(seconds=abs(difference_ms) // 1_000)
    return f"{amount} {'ahead of' if difference_ms > 0 else 'behind'}"
