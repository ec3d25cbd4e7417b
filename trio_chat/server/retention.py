"""The time from which retention counts ages. While the clock is in doubt, nothing is removed by age.

A clock that was wrong for a moment must not delete a journal. So retention by age waits until both clocks
have agreed for 24 hours

- if the newest entry at the start is in the future, or older than half of the age that is kept;
- after the server's time was set to the wall clock, forward or back.

Retention by the number of entries needs no clock, and does not wait.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trio_chat.journal.dates import date_text
from trio_chat.server.clock import AGREEMENT_MS

if TYPE_CHECKING:
    from trio_chat.server.clock import ServerTime

__all__ = ["AGREED_MS", "RetentionTime"]

log = logging.getLogger("trio_chat.clock")

AGREED_MS = 86_400_000  # how long both clocks have to agree
HOUR_MS = 3_600_000
NO_AGE_MS = 1 << 53  # more than any time on the wire: with a clock so far back, no entry is old


class RetentionTime:
    """The time for `Store.tidy` (`now_ms`) of a journal that keeps entries for `age_ms`; 0 means for ever."""

    def __init__(self, server_time: ServerTime, age_ms: int, *, in_memory: bool) -> None:
        self._time = server_time
        self._age_ms = age_ms
        self._in_memory = in_memory
        self._changes = server_time.changes
        self._waits = False

    def begin(self, newest_ms: int) -> None:
        """Compare the time of the newest entry with the clock; 0 means that there is no entry."""
        if not (self._age_ms and newest_ms):
            return
        now = self._time.now_ms()
        if newest_ms > now + AGREEMENT_MS:
            self.wait(f"the newest entry, of {date_text(newest_ms)}, is in the future")
        elif newest_ms < now - self._age_ms / 2:
            self.wait(f"the newest entry, of {date_text(newest_ms)}, is older than half of that")

    def wait(self, reason: str) -> None:
        """Remove nothing by age until both clocks have agreed for 24 hours; log it once."""
        if self._waits or not self._age_ms:
            return
        self._waits = True
        log.warning(
            "entries older than %s are not removed yet: %s. The server waits until the system clock has been"
            " steady for 24 hours%s",
            self._age,
            reason,
            "" if self._in_memory else f"; with the server stopped, `{self._prune}` removes them at once",
        )

    def now_ms(self) -> int:
        """Return the server's time. While retention waits, return a time before which no entry is too old."""
        now = self._time.now_ms()
        if self._changes != self._time.changes:
            self._changes = self._time.changes
            self.wait("the server's time was changed")
        if self._waits:
            if self._time.agreed_ms() < AGREED_MS:
                return now - NO_AGE_MS
            self._waits = False
            log.info("entries older than %s are removed again: the system clock was steady", self._age)
        return now

    @property
    def _age(self) -> str:
        """The age in the format of `serve --keep` and `journal prune --before`."""
        hours = self._age_ms // HOUR_MS
        if hours * HOUR_MS != self._age_ms:  # only a program can set this
            return f"{self._age_ms // 1_000}s"
        return f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"

    @property
    def _prune(self) -> str:
        return f"trio-chat journal prune --before {self._age}"
