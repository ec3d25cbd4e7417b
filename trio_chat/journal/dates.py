"""Format any `at` of a journal as a date for people."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["date_text"]


def date_text(at_ms: int) -> str:
    """Return a time in ms since 1970 as `2026-01-31 12:00 UTC`; after the year 9999 return only the year."""
    try:
        return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"about the year {1970 + round(at_ms / 31_556_952_000)}"
