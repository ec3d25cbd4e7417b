"""`nox -s bench -- [--quick] [--json FILE] [SCENARIO …]`: measure, say what came out, and write it down.

A full run writes docs/benchmarks.md; a quick one, or one of some scenarios, only prints the tables.

With `--against COMMIT` the servers of that commit and of HEAD take turns in one run, in pairs, and each row
gets the median ratio of new to old with its 95 % interval. The exit status is 1 when a row is slower (its
interval lies wholly above 1.05), 0 when none is, and 2 when there is no verdict.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from tests.bench.checkout import exported
from tests.bench.comparison import Comparison
from tests.bench.crowds import measure_connects, measure_idle, measure_rooms
from tests.bench.errors import BenchError
from tests.bench.interval import RATIOS_MIN
from tests.bench.journals import measure_journals
from tests.bench.loadtool import measure_loadtool
from tests.bench.machine import describe, steal_share, ticks
from tests.bench.pairs import COMPARABLE, measure_pairs
from tests.bench.plan import FULL, PAIRING, PAIRING_QUICK, QUICK, Figure, Pairing, Plan, Stage
from tests.bench.process import allow_files, cores, pinned
from tests.bench.report import render, splice
from tests.bench.results import Results
from tests.bench.rows import ROWS, measure_rows
from tests.bench.simulated import measure_sim
from tests.bench.stalls import measure_everybody, measure_stalled
from tests.bench.yardstick import measure_yardstick
from trio_chat.cli.standard_output import refuse_standard

PAGE = Path(__file__).parent.parent.parent / "docs" / "benchmarks.md"
OTHERS = {
    "memory": measure_idle,
    "connects": measure_connects,
    "rooms": measure_rooms,
    "stalled": measure_stalled,
    "everybody": measure_everybody,
    "loadtool": measure_loadtool,
    "journal": measure_journals,
    "sim": measure_sim,
}
NAMES = ("yardstick", *ROWS, *OTHERS)
PAIRS, PAIRS_MAX = 15, 200


class _NoFigures(click.ClickException):
    """End with one line, and not with the status that a slower row has."""

    exit_code = 2


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("scenarios", nargs=-1, type=click.Choice(NAMES))
@click.option("--quick", is_flag=True, help="Small and short: whether it works at all.")
@click.option("--json", "raw", metavar="FILE", callback=refuse_standard, help="Write the raw figures.")
@click.option("--against", metavar="COMMIT", help=f"Compare with a commit: {', '.join(COMPARABLE)}.")
@click.option(
    "--pairs",
    type=click.IntRange(RATIOS_MIN, PAIRS_MAX),
    help=f"Pairs a row with --against.  [default: {PAIRS}, or {RATIOS_MIN} with --quick]",
)
def main(
    scenarios: tuple[str, ...], quick: bool, raw: str | None, against: str | None, pairs: int | None
) -> None:
    try:
        if against is not None:
            pairs = pairs or (RATIOS_MIN if quick else PAIRS)
            compared = compare(PAIRING_QUICK if quick else PAIRING, against, _comparable(scenarios), pairs)
            _write(raw, compared.as_json())
            click.echo(compared.render())
            sys.exit(1 if compared.slower() else 0)
        if pairs is not None:
            raise click.UsageError("--pairs needs --against COMMIT")
        results = run(QUICK if quick else FULL, scenarios or NAMES)
    except BenchError as error:
        raise _NoFigures(str(error)) from error
    except OSError as error:  # a server that went away, a file that cannot be written
        raise _NoFigures(f"cannot measure: {error}") from error
    _write(raw, results.as_json())
    page = render(results)
    if quick or scenarios:
        click.echo(page)
    else:
        PAGE.write_text(splice(page, PAGE.read_text() if PAGE.exists() else ""))
        click.echo(f"wrote {PAGE.relative_to(PAGE.parent.parent)}")


def _comparable(scenarios: Sequence[str]) -> Sequence[str]:
    for name in scenarios:
        if name not in COMPARABLE:
            raise click.UsageError(
                f"invalid row with --against: got {name}, expected {', '.join(COMPARABLE)}"
            )
    return scenarios or COMPARABLE


def _write(raw: str | None, figures: dict[str, object]) -> None:
    if raw:
        Path(raw).write_text(json.dumps(figures, indent=1) + "\n")


def compare(plan: Pairing, against: str, rows: Sequence[str], pairs: int) -> Comparison:
    """Measure the chosen rows of a commit and of HEAD in pairs. Raises `BenchError`."""
    began = time.monotonic()
    before, load = ticks(), os.getloadavg()[0]
    with exported(against) as commits:
        stage = _stage(began)
        gc.disable()
        with pinned(stage.driver_core):
            measured = list(measure_pairs(commits, rows, pairs, plan, stage))
    return Comparison(
        old=commits[0].commit,
        new=commits[1].commit,
        pairs=measured,
        pinned=stage.server_core is not None,
        load=load,
        steal=steal_share(before),
        minutes=(time.monotonic() - began) / 60,
    )


def run(plan: Plan, chosen: Sequence[str]) -> Results:
    """Measure the chosen scenarios, one after the other. Raises `BenchError`."""
    began = time.monotonic()
    stage = _stage(began)
    before, load = ticks(), os.getloadavg()[0]
    figures: dict[str, list[Figure]] = {}
    why_no_yardstick = "it was not asked for"
    if "yardstick" in chosen:
        figures["yardstick"], why_no_yardstick = measure_yardstick(plan, stage)
    # The driver makes no cycles, and a collection in its midst would be charged to the server's latency.
    gc.disable()
    with pinned(stage.driver_core):
        if rows := [row for row in ROWS if row in chosen]:
            figures["rows"] = list(measure_rows(plan, stage, rows))
        for name, measure in OTHERS.items():
            if name in chosen:
                figures[name] = list(measure(plan, stage))
                gc.collect()
    return Results(
        machine=describe(),
        figures=figures,
        why_no_yardstick=why_no_yardstick,
        pinned=stage.server_core is not None,
        files=stage.files,
        load=load,
        steal=steal_share(before),
        minutes=(time.monotonic() - began) / 60,
    )


def _stage(began: float) -> Stage:
    server_core, driver_core, *_ = [*cores(), None, None] if len(cores()) > 1 else [None, None]
    return Stage(server_core, driver_core, allow_files(), lambda line: _say(line, began))


def _say(line: str, began: float) -> None:
    click.echo(f"{time.monotonic() - began:5.0f} s  {line}", err=True)


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _: sys.exit(128 + number))  # so that every `finally` runs
    main()
