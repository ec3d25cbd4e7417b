"""Times as the owner writes them."""

import pytest

from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.durations import parse_time

NOW = 1_700_000_000_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("45s", NOW - 45_000),
        ("30m", NOW - HOUR // 2),
        ("12h", NOW - 12 * HOUR),
        ("90d", NOW - 90 * 24 * HOUR),
        ("4w", NOW - 28 * 24 * HOUR),
        ("999999999w", 0),
        ("2023-11-14", 1_699_920_000_000),
        ("2023-11-14T22:13:20", NOW),
        ("2023-11-14 23:13:20+01:00", NOW),
        ("1812-01-01", 0),
    ],
)
def test_a_time_is_an_age_or_a_date(text: str, moment: int) -> None:
    assert parse_time(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "90", "d", "1y", "2023-13-01", "٣d", "1 d", "9" * 10 + "d"])
def test_an_invalid_time_is_refused(text: str) -> None:
    with pytest.raises(
        JournalToolError, match="expected an age such as 90d or 12h, or a date such as 2026-01-31"
    ):
        parse_time(text, NOW)
