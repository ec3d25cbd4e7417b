"""Thresholds: what would be too slow, or too little, in a line of text.

    threshold = figure comparison number [unit]
    figure    = [series "."] quantile | count
    series    = "delivery" | "ack" | "lag"                      (none: delivery)
    quantile  = "p" digits ["." digits] | "mean" | "max"
    count     = "sent" | "rate" | "deliveries" | "delivery_rate" | "missed" | "refused" | "again" | "gaps"
    comparison = ">" | ">=" | "<" | "<="
    unit      = "us" | "ms" | "s"                               (of quantiles, and there required)

`p99 > 50ms`, `ack.max >= 1s`, `lag.p99.9 > 20ms`, `rate < 49.5`. What the text says is what must *not* be:
a run in which it is true fails. Pure.
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
    """`figure` is a count, or a series and a quantile in percent (100 is the maximum, None the mean)."""

    text: str
    series: str
    percent: float | None
    count: str
    comparison: str
    bound: float
    """In milliseconds for quantiles."""

    def is_missed(self, value: float) -> bool:
        return _COMPARISONS[self.comparison](value, self.bound)


def parse_threshold(text: str) -> Threshold:
    """Raises `ValueError`, with what would be right."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no threshold: it looks like 'p99 > 50ms' or 'rate < 40'")
    figure, comparison, number, unit = found.groups()
    if figure in COUNTS:
        if unit:
            raise ValueError(f"{text!r}: {figure} is a plain number, without {unit!r}")
        return Threshold(text.strip(), "", None, figure, comparison, float(number))
    first, dot, rest = figure.partition(".")
    series, name = (first, rest) if dot and first in _SERIES else ("delivery", figure)
    quantile = _QUANTILE.fullmatch(name)
    if quantile is None and name not in ("mean", "max"):
        counts = ", ".join(COUNTS)
        raise ValueError(
            f"{text!r}: no figure is called {figure!r}; there are p50, p99, p99.9, mean and max, of delivery,"
            f" ack. and lag., and {counts}"
        )
    if unit not in _UNITS:
        raise ValueError(f"{text!r}: a time wants a unit: us, ms or s")
    percent = float(quantile[1]) if quantile else 100.0 if name == "max" else None
    return Threshold(text.strip(), series, percent, "", comparison, float(number) * _UNITS[unit])
