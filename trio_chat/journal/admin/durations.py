"""Parse times as the owner writes them: an age or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from trio_chat.errors import JournalToolError

__all__ = ["parse_time"]

_AGO = re.compile(r"([0-9]{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def parse_time(text: str, now_ms: int) -> int:
    """Return the time in ms of an age (`4w`, `90d`, `12h`, `30m`, `45s`) or of an ISO 8601 date or time.

    A time without a zone is in UTC.

    Raises:
        JournalToolError: The text is neither.
    """
    if ago := _AGO.fullmatch(text):
        return max(0, now_ms - int(ago[1]) * _SECONDS[ago[2]] * 1_000)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise JournalToolError(
            f"invalid time: got {text!r}, expected an age such as 90d or 12h, or a date such as 2026-01-31"
        ) from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0, int(when.timestamp() * 1_000))
