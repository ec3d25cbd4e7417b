"""The verdict: as lines for people, and as JSON (docs/loadtest.md has the schema)."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from loadtest import leftovers
from loadtest.scenario import CannotRun, Scenario
from loadtest.verdict import Outcome, Series

__all__ = ["SCHEMA", "STANDARD", "as_json", "lines", "write_json"]

SCHEMA = 1
STANDARD = "-"  # in place of a file: standard output
BREACHES_SHOWN = 5  # of each kind


def lines(scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """What came of it; the last line is the verdict."""
    figures = outcome.figures
    yield ""
    yield (
        f"{figures.sent:,} messages, {figures.rate:,.1f}/s; {figures.deliveries:,} deliveries verified,"
        f" {figures.delivery_rate:,.0f}/s"
    )
    names = {"delivery": "delivery, from when it was due", "ack": "ack", "lag": "the generator's own lag"}
    for key, name in names.items():
        yield f"  {name:<31} {_quantiles(figures.series[key])}"
    if figures.trips:
        trips = ", ".join(f"{many} by {way}" for way, many in figures.trips.items())
        yield f"{sum(figures.trips.values())} went and came back ({trips})"
    if figures.again:
        yield f"{figures.again:,} messages were said again after coming back, with the same ref"
    if figures.gaps:
        yield f"{figures.gaps:,} deliveries were left out by honest gaps"
    if figures.missed:
        yield f"{figures.missed:,} messages were not started"
    if figures.refused:
        yield "refused: " + ", ".join(f"{code} {many:,} times" for code, many in figures.refused.items())
    for kind in outcome.kinds:
        breaches = [breach for breach in outcome.breaches if breach.kind == kind]
        yield from (f"  {kind}: {breach.words}" for breach in breaches[:BREACHES_SHOWN])
        if len(breaches) > BREACHES_SHOWN:
            yield f"  {kind}: … and {len(breaches) - BREACHES_SHOWN:,} more (--json has them)"
    if outcome.kinds and outcome.invalid:
        yield from outcome.invalid
    yield from leftovers.lines(outcome.rooms)
    yield f"{outcome.last_line} (exit {outcome.verdict.value})"


def _quantiles(series: Series) -> str:
    return (
        f"p50 {series.p50_ms:8.2f}  p90 {series.p90_ms:8.2f}  p99 {series.p99_ms:8.2f}"
        f"  p99.9 {series.p999_ms:8.2f}  max {series.max_ms:8.2f} ms"
    )


def as_json(scenario: Scenario, server: str, outcome: Outcome) -> dict[str, object]:
    """All of it, by the schema."""
    return {
        "schema": SCHEMA,
        "verdict": outcome.verdict.name.lower(),
        "exit": outcome.verdict.value,
        "says": outcome.last_line,
        "server": server,
        "scenario": asdict(scenario),
        "figures": asdict(outcome.figures),
        "broken": outcome.kinds,
        "breaches": [asdict(breach) for breach in outcome.breaches],
        "invalid": outcome.invalid,
        "thresholds_missed": outcome.missed,
        "rooms": outcome.rooms,
        "prune_command": leftovers.prune_command(outcome.rooms),
    }


def write_json(path: str | Path, report: dict[str, object]) -> None:
    """Write a report to a file, or to standard output for `-`.

    Raises `CannotRun`; what writing to standard output raises comes as it is (`OutputError`, in a command).
    """
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    if path == STANDARD:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error
