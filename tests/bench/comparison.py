"""What the pairs of two commits show: a table with a verdict a row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median

from tests.bench.interval import FASTER_BELOW, SLOWER_ABOVE, Interval, coverage, rank
from tests.bench.pairs import Pair
from tests.bench.tables import amount, table

__all__ = ["Comparison"]

NOTES = """\
{many} pairs a row. The interval runs from number {first} to number {last} of the sorted ratios, and holds the
true median with a probability of {covers}. A row is slower when all of its interval lies above {slower}, and
faster when all of it lies below 1/{slower} = {faster}. The run took {minutes} minutes; the load average was
{load} when it began, and other virtual machines took {steal} of the cores' time.
"""


@dataclass(frozen=True)
class Comparison:
    """The pairs of one run, and the notes that a reader of them needs."""

    old: str
    new: str
    pairs: list[Pair]
    pinned: bool
    load: float  # when it began
    steal: float
    minutes: float

    def intervals(self) -> dict[tuple[str, str], Interval]:
        """Return the interval of each row and unit. Raises `ValueError` when the pairs are too few."""
        return {key: Interval.of([pair.ratio for pair in pairs]) for key, pairs in self._rows().items()}

    def slower(self) -> list[str]:
        """Return the rows whose interval lies wholly above the bound."""
        return [
            f"{row} ({unit})" for (row, unit), each in self.intervals().items() if each.verdict == "slower"
        ]

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    def render(self) -> str:
        """Return the table, and below it how it came about."""
        rows = self._rows()
        cells = []
        for (row, unit), interval in self.intervals().items():
            measured = rows[row, unit]
            cells.append(
                [
                    f"{row}: {unit}",
                    amount(median(pair.old for pair in measured)),
                    amount(median(pair.new for pair in measured)),
                    f"{interval.median:.3f}",
                    f"{interval.low:.3f}–{interval.high:.3f}",
                    interval.verdict,
                ]
            )
        head = ["", f"old {self.old}", f"new {self.new}", "new / old", "95 % interval", "verdict"]
        return f"{table(head, cells)}\n{self._notes()}"

    def _rows(self) -> dict[tuple[str, str], list[Pair]]:
        rows: dict[tuple[str, str], list[Pair]] = {}
        for pair in self.pairs:
            rows.setdefault((pair.row, pair.unit), []).append(pair)
        return rows

    def _notes(self) -> str:
        intervals = self.intervals()
        many = max((len(pairs) for pairs in self._rows().values()), default=0)
        place = rank(many)
        text = NOTES.format(
            many=many,
            first=place,
            last=many + 1 - place,
            covers=f"{coverage(many, place):.1%}",
            slower=SLOWER_ABOVE,
            faster=f"{FASTER_BELOW:.3f}",
            minutes=f"{self.minutes:.1f}",
            load=f"{self.load:.1f}",
            steal=f"{self.steal:.1%}",
        )
        wide = sum(each.low <= SLOWER_ABOVE < each.high for each in intervals.values())
        if wide:
            text += (
                f"{wide} of {len(intervals)} intervals reach above {SLOWER_ABOVE}: --pairs narrows them.\n"
            )
        if not self.pinned:
            text += "Server and driver share the only core: no verdict is sound.\n"
        slower = self.slower()
        return text + (f"Slower: {', '.join(slower)}." if slower else "No row is slower.")
