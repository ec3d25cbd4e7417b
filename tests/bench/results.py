"""All that one run has measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median

from tests.bench.plan import Figure

__all__ = ["Results", "middle", "number", "values"]


@dataclass(frozen=True)
class Results:
    """The figures by scenario, each repetition on its own; and the notes that a reader needs."""

    machine: dict[str, str]
    figures: dict[str, list[Figure]]
    why_no_yardstick: str
    pinned: bool
    files: int
    load: float  # when it began
    steal: float
    minutes: float

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def number(figure: Figure, key: str) -> float:
    """One value that is a number."""
    value = figure[key]
    assert not isinstance(value, str), f"{key} is a text"
    return value


def values(figures: list[Figure], key: str, **where: float | str) -> list[float]:
    """All values of a key in the figures that have the given others."""
    return [
        number(each, key) for each in figures if all(each[name] == wanted for name, wanted in where.items())
    ]


def middle(figures: list[Figure], key: str, **where: float | str) -> float:
    """The median over the repetitions."""
    return median(values(figures, key, **where))
