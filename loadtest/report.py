"""Report the result as lines for people, and as JSON (docs/loadtest.md has the schema)."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from rich.console import Console

from loadtest import leftovers
from loadtest.scenario import CannotRun, Scenario
from loadtest.screen import wait_writable
from loadtest.target import shown_server
from loadtest.verdict import RunResult, Series
from trio_chat.errors import ChatError

__all__ = ["SCHEMA", "STANDARD", "as_json", "lines", "report", "write_json"]

SCHEMA = 1
STANDARD = "-"  # a file name that means standard output
BREACHES_SHOWN = 5  # of each kind


class VerdictKeeper(Protocol):
    """Keeps signals from changing the exit status once the verdict is being written."""

    def ignore_signals(self) -> None: ...


def report(
    scenario: Scenario,
    address: tuple[str, int] | None,
    result: RunResult,
    json_path: str | None,
    console: Console,
    keep_verdict: Callable[[], VerdictKeeper],
) -> None:
    """Write the JSON if `json_path` is given, then the lines; the last line is the verdict.

    `keep_verdict` is called before the last line. If the JSON cannot be written there is no verdict line:
    raises `CannotRun`, or the error of writing to standard output.
    """
    failure: ChatError | None = None
    if json_path is not None:
        try:
            write_json(json_path, as_json(scenario, shown_server(address), result))
        except ChatError as error:
            failure = error
    *summary, verdict = lines(scenario, result)
    for line in summary:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if failure is not None:
        raise failure
    keeper = keep_verdict()
    # meanwhile a second signal ends the process, if the reader has stopped reading
    wait_writable(console.file)
    keeper.ignore_signals()  # before the write: a reader may send signals as soon as it has the line
    console.print(verdict, highlight=False, markup=False, soft_wrap=True)


def lines(scenario: Scenario, result: RunResult) -> Iterator[str]:
    """Yield the lines of the report; the last line is the verdict."""
    yield ""
    yield from _figure_lines(result)
    for kind in result.kinds:
        breaches = [breach for breach in result.breaches if breach.kind == kind]
        yield from (f"  {kind}: {breach.words}" for breach in breaches[:BREACHES_SHOWN])
        if len(breaches) > BREACHES_SHOWN:
            yield f"  {kind}: … and {len(breaches) - BREACHES_SHOWN:,} more (--json has them)"
    if result.kinds and result.invalid and result.stopped is None:
        yield from result.invalid
    yield from leftovers.lines(result.rooms)
    yield f"{result.last_line} (exit {result.verdict.value})"


def _figure_lines(result: RunResult) -> Iterator[str]:
    figures = result.figures
    if result.stopped is not None and not figures.sent:
        return  # all figures are zero
    yield (
        f"{figures.sent:,} messages, {figures.rate:,.1f}/s; {figures.deliveries:,} deliveries verified,"
        f" {figures.delivery_rate:,.0f}/s"
    )
    names = {"delivery": "delivery, from when it was due", "ack": "ack", "lag": "the generator's own lag"}
    for key, name in names.items():
        yield f"  {name:<31} {_quantiles(figures.series[key])}"
    if figures.trips:
        trips = ", ".join(f"{many} by {way}" for way, many in figures.trips.items())
        yield f"{sum(figures.trips.values())} disconnects ({trips})"
    if figures.again:
        yield f"{figures.again:,} messages were sent again after a reconnect, with the same ref"
    if figures.gaps:
        yield f"{figures.gaps:,} deliveries were left out, as announced by gap events"
    if figures.missed:
        yield f"{figures.missed:,} messages were not sent in time"
    if figures.refused:
        yield "refused: " + ", ".join(f"{code} {many:,} times" for code, many in figures.refused.items())


def _quantiles(series: Series) -> str:
    return (
        f"p50 {series.p50_ms:8.2f}  p90 {series.p90_ms:8.2f}  p99 {series.p99_ms:8.2f}"
        f"  p99.9 {series.p999_ms:8.2f}  max {series.max_ms:8.2f} ms"
    )


def as_json(scenario: Scenario, server: str, result: RunResult) -> dict[str, object]:
    """Return the report in the form of the schema."""
    return {
        "schema": SCHEMA,
        "verdict": result.verdict.name.lower(),
        "exit": result.verdict.value,
        "says": result.last_line,
        "server": server,
        "scenario": asdict(scenario),
        "figures": asdict(result.figures),
        "broken": result.kinds,
        "breaches": [asdict(breach) for breach in result.breaches],
        "invalid": result.invalid,
        "thresholds_missed": result.missed,
        "rooms": result.rooms,
        "prune_command": leftovers.prune_command(result.rooms),
    }


def write_json(path: str | Path, report: dict[str, object]) -> None:
    """Write a report to a file, or to standard output for `-`.

    Raises `CannotRun` for a file. Errors of writing to standard output pass through (`OutputError`, in a
    command).
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
