"""`nox -s bench -- [--quick] [--json FILE] [SCENARIO …]`: measure, say what came out, and write it down.

A full run writes docs/benchmarks.md; a quick one, or one of some scenarios, only prints the tables.
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

from tests.bench.crowds import measure_connects, measure_idle, measure_rooms
from tests.bench.errors import BenchError
from tests.bench.journals import measure_journals
from tests.bench.loadtool import measure_loadtool
from tests.bench.machine import describe, steal_share, ticks
from tests.bench.plan import FULL, QUICK, Figure, Plan, Stage
from tests.bench.process import allow_files, cores, pinned
from tests.bench.report import render, splice
from tests.bench.results import Results
from tests.bench.rows import ROWS, measure_rows
from tests.bench.simulated import measure_sim
from tests.bench.stalls import measure_everybody, measure_stalled
from tests.bench.yardstick import measure_yardstick

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


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("scenarios", nargs=-1, type=click.Choice(NAMES))
@click.option("--quick", is_flag=True, help="Small and short: whether it works at all.")
@click.option("--json", "raw", type=click.Path(path_type=Path, dir_okay=False), help="Write the raw figures.")
def main(scenarios: tuple[str, ...], quick: bool, raw: Path | None) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that every `finally` runs
    try:
        results = run(QUICK if quick else FULL, scenarios or NAMES)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    if raw:
        raw.write_text(json.dumps(results.as_json(), indent=1) + "\n")
    page = render(results)
    if quick or scenarios:
        click.echo(page)
    else:
        PAGE.write_text(splice(page, PAGE.read_text() if PAGE.exists() else ""))
        click.echo(f"wrote {PAGE.relative_to(PAGE.parent.parent)}")


def run(plan: Plan, chosen: Sequence[str]) -> Results:
    """Measure the chosen scenarios, one after the other. Raises `BenchError`."""
    began = time.monotonic()
    server_core, driver_core, *_ = [*cores(), None, None] if len(cores()) > 1 else [None, None]
    stage = Stage(server_core, driver_core, allow_files(), lambda line: _say(line, began))
    before, load = ticks(), os.getloadavg()[0]
    figures: dict[str, list[Figure]] = {}
    why_no_yardstick = "it was not asked for"
    if "yardstick" in chosen:
        figures["yardstick"], why_no_yardstick = measure_yardstick(plan, stage)
    # The driver makes no cycles, and a collection in its midst would be charged to the server's latency.
    gc.disable()
    with pinned(driver_core):
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
        pinned=server_core is not None,
        files=stage.files,
        load=load,
        steal=steal_share(before),
        minutes=(time.monotonic() - began) / 60,
    )


def _say(line: str, began: float) -> None:
    click.echo(f"{time.monotonic() - began:5.0f} s  {line}", err=True)


if __name__ == "__main__":
    main()
