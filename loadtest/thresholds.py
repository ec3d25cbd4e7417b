"""Parse thresholds: lines of text that say what would be too slow or too little. Pure.

    threshold = figure comparison number [unit]
    figure    = [series "."] quantile | count
    series    = "delivery" | "ack" | "lag"                      (none: delivery)
    quantile  = "p" digits ["." digits] | "mean" | "max"
    count     = "sent" | "rate" | "deliveries" | "delivery_rate" | "missed" | "refused" | "again" | "gaps"
    comparison = ">" | ">=" | "<" | "<="
    unit      = "us" | "ms" | "s"                               (required for quantiles only)

Examples: `p99 > 50ms`, `ack.max >= 1s`, `lag.p99.9 > 20ms`, `rate < 49.5`. A run fails if a threshold is
true.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import ge, gt, le, lt

__all__ = ["COUNTS", "Threshold", "parse_threshold"]

COUNTS = ("sent", "rate", "deliveries", "delivery_rate", "missed", "refused", "again", "gaps")
_SERIES = ("delivery", "ack", "lag")
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1_000.0}
_SHAPE = re.compile(r"\s*([a-z_0-9.]+)\s*(>=|<=|>|<)\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", re.ASCII)
_QUANTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Threshold:
    """Compares a `count`, or the `percent` quantile of a `series` (100 is the maximum, None the mean)."""

    text: str
    series: str
    percent: float | None
    count: str
    comparison: str
    bound: float
    """The bound, in milliseconds for quantiles."""

    def is_missed(self, value: float) -> bool:
        return _COMPARISONS[self.comparison](value, self.bound)


def parse_threshold(text: str) -> Threshold:
    """Parse a threshold. Raises `ValueError` with the expected form."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"invalid threshold: got {text!r}, expected a form like 'p99 > 50ms' or 'rate < 40'")
    figure, comparison, number, unit = found.groups()
    if figure in COUNTS:
        if unit:
            raise ValueError(f"invalid threshold {text!r}: {figure} has no unit, got {unit!r}")
        return Threshold(text.strip(), "", None, figure, comparison, float(number))
    first, dot, rest = figure.partition(".")
    series, name = (first, rest) if dot and first in _SERIES else ("delivery", figure)
    quantile = _QUANTILE.fullmatch(name)
    if quantile is None and name not in ("mean", "max"):
        counts = ", ".join(COUNTS)
        raise ValueError(
            f"invalid threshold {text!r}: unknown figure {figure!r}, expected p50, p99, p99.9, mean or max,"
            f" optionally with ack. or lag. before it, or one of {counts}"
        )
    if unit not in _UNITS:
        raise ValueError(f"invalid threshold {text!r}: missing unit, expected us, ms or s")
    percent = float(quantile[1]) if quantile else 100.0 if name == "max" else None
    return Threshold(text.strip(), series, percent, "", comparison, float(number) * _UNITS[unit])
