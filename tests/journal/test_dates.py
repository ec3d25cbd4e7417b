"""Dates of any time that a journal may hold."""

import pytest

from trio_chat.journal.dates import date_text
from trio_chat.wire.messages import MAX_NUMBER


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01 00:00 UTC"),
        (1_790_000_000_000, "2026-09-21 14:13 UTC"),
        (253_402_300_799_000, "9999-12-31 23:59 UTC"),
        (253_402_300_800_000, "about the year 10000"),
        (MAX_NUMBER, "about the year 287397"),
    ],
)
def test_every_time_on_the_wire_has_a_text(at_ms: int, text: str) -> None:
    assert date_text(at_ms) == text
