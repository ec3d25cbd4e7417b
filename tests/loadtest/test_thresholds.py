"""Thresholds: valid forms, and the errors for invalid ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.thresholds import COUNTS, Threshold, parse_threshold


@pytest.mark.parametrize(
    ("text", "threshold"),
    [
        ("p99 > 50ms", Threshold("p99 > 50ms", "delivery", 99.0, "", ">", 50.0)),
        (" p99.9>=1s ", Threshold("p99.9>=1s", "delivery", 99.9, "", ">=", 1000.0)),
        ("ack.max < 500us", Threshold("ack.max < 500us", "ack", 100.0, "", "<", 0.5)),
        ("lag.mean <= 2.5ms", Threshold("lag.mean <= 2.5ms", "lag", None, "", "<=", 2.5)),
        ("delivery.p50 > 1ms", Threshold("delivery.p50 > 1ms", "delivery", 50.0, "", ">", 1.0)),
        ("rate < 49.5", Threshold("rate < 49.5", "", None, "rate", "<", 49.5)),
        ("refused > 0", Threshold("refused > 0", "", None, "refused", ">", 0.0)),
    ],
)
def test_thresholds_are_parsed(text: str, threshold: Threshold) -> None:
    assert parse_threshold(text) == threshold


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a form like 'p99 > 50ms'"),
        ("p99", "expected a form like"),
        ("p99 = 50ms", "expected a form like"),
        ("p99 > ms", "expected a form like"),
        ("p99 > 50", "missing unit, expected us, ms or s"),
        ("p99 > 50min", "missing unit, expected us, ms or s"),
        ("p100 > 5ms", "unknown figure 'p100'"),
        ("p > 5ms", "unknown figure 'p'"),
        ("fast > 5ms", "unknown figure 'fast'"),
        ("rate.p99 > 5ms", "unknown figure 'rate.p99'"),
        ("rate < 5ms", "has no unit, got 'ms'"),
        ("p99 > -1ms", "expected a form like"),
    ],
)
def test_an_invalid_threshold_is_refused_with_the_expected_form(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_threshold(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_threshold_or_a_value_error(text: str) -> None:
    try:
        parse_threshold(text)
    except ValueError as error:
        assert str(error)


@given(st.floats(0, 1e6), st.sampled_from([">", ">=", "<", "<="]), st.integers(0, 1_000_000))
def test_a_threshold_is_missed_if_it_is_true(value: float, comparison: str, bound: int) -> None:
    threshold = parse_threshold(f"p99 {comparison} {bound}ms")
    assert threshold.is_missed(value) is eval(f"value {comparison} bound")


@pytest.mark.parametrize("count", COUNTS)
def test_every_count_has_a_threshold(count: str) -> None:
    assert parse_threshold(f"{count} > 1").count == count
