"""`nox -s mutants -- [OPTION …] [NAME …]`: hunt the mutants, by seed alone.

Each mutant is hunted from several starting points, seed after seed, by the scenario that the unmodified
server has to pass. Each seed that finds a mutant has to pass with the unmodified server. The exit status is
1 when a mutant is not found.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import Future, as_completed
from statistics import median

import click

from tests.mutants.hunt import Find, hunt
from tests.mutants.planted import PLANTED, keep_seeds
from tests.workers import ending_on_signals, signals_blocked, worker_pool

APART = 10_000  # seeds between two starting points
HEADS = ("mutant", "the mistake", "median", "worst", "found by, for one")


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(list(PLANTED)), metavar="[NAME]…")
@click.option("--starts", default=20, show_default=True, type=click.IntRange(1))
@click.option("--seeds", default=2_000, show_default=True, type=click.IntRange(1), help="From each start.")
@click.option("--processes", default=os.cpu_count(), show_default=True, type=click.IntRange(1))
@click.option("--keep", is_flag=True, help="Keep for the default run the seeds that were quickest to find.")
def main(names: tuple[str, ...], starts: int, seeds: int, processes: int, keep: bool) -> None:
    begun = time.monotonic()
    found = _hunt_all(names or tuple(PLANTED), starts, seeds, processes)
    missed = [name for name, finds in found.items() if not all(find.words for find in finds)]
    click.echo(f"seeds until found, from {starts} starting points, at most {seeds} each:\n")
    click.echo(table(found))
    click.echo(f"\n{len(found) - len(missed)} of {len(found)} found in {time.monotonic() - begun:.0f} s")
    if keep:
        keep_seeds({name: min(finds, key=lambda find: find.seeds).seed for name, finds in found.items()})
    if missed:
        click.echo(f"NOT FOUND, from some start at least: {', '.join(missed)}", err=True)
        sys.exit(1)


def _hunt_all(names: tuple[str, ...], starts: int, seeds: int, processes: int) -> dict[str, list[Find]]:
    found: dict[str, list[Find]] = {name: [] for name in names}
    total = len(names) * starts
    with (
        ending_on_signals(lambda: f"{sum(map(len, found.values()))} of {total} hunts are over"),
        worker_pool(processes) as pool,
    ):
        hunts: dict[Future[Find], str] = {}
        with signals_blocked():
            for name in names:
                for start in range(starts):
                    hunts[pool.submit(hunt, name, start * APART, seeds)] = name
        _gather(hunts, found, starts)
    return found


def _gather(hunts: dict[Future[Find], str], found: dict[str, list[Find]], starts: int) -> None:
    for count, done in enumerate(as_completed(hunts), 1):
        name = hunts[done]
        found[name].append(done.result())
        if len(found[name]) == starts:
            _, _, *row = _row(name, found[name])
            click.echo(f"{count} of {len(hunts)} hunts are over; {name}: {', '.join(row)}", err=True)


def table(found: dict[str, list[Find]]) -> str:
    """Return the results as a table, with a line for each mutant."""
    rows = [HEADS, *(_row(name, finds) for name, finds in found.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    ruled = [rows[0], tuple("-" * width for width in widths), *rows[1:]]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in ruled
    )


def _row(name: str, finds: list[Find]) -> tuple[str, ...]:
    words = next((find.words for find in finds if find.words), "").replace("|", "/")
    missed = sum(not find.words for find in finds)
    worst = f"NOT FOUND by {missed}" if missed else str(max(find.seeds for find in finds))
    middle = f"{median(find.seeds for find in finds):g}"
    return name, PLANTED[name].description, middle, worst, words


if __name__ == "__main__":
    main()
