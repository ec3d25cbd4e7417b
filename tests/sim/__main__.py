"""`nox -s sim -- [--quick] [--seeds N] [--from K] [STORY …]`: simulate with very many seeds, in all cores.

Each story of tests/sim/stories.py is told with the seeds from K on: the chat with all N of them, the rows
of the table of faults with one in twenty, unless they are asked for. A seed that fails is told at once,
with the line that replays it, and the rest goes on; the exit status is 1 then. SIGINT and SIGTERM end the
command at once, with status 130 or 143 and the number of runs that were done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from concurrent.futures import Future, as_completed
from contextlib import closing
from time import monotonic  # a signal asks for the time inside a run, where `time.monotonic` is refused

import click

from tests.sim.hunt import Failure, Work, pieces, run
from tests.sim.stories import STORIES
from tests.workers import ending_on_signals, signals_blocked, worker_pool

__all__ = ["main"]

SEEDS, QUICK = 5_000, 200
TOLD_EVERY_S = 5.0


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("stories", nargs=-1, type=click.Choice(list(STORIES)))
@click.option("--quick", is_flag=True, help=f"{QUICK} seeds.")
@click.option("--seeds", type=click.IntRange(1), help=f"How many; {SEEDS:,} unless told.")
@click.option("--from", "first", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--processes", type=click.IntRange(1), default=os.cpu_count() or 1, help="One for each core.")
def main(stories: tuple[str, ...], quick: bool, seeds: int | None, first: int, processes: int) -> None:
    seeds = seeds or (QUICK if quick else SEEDS)
    works = pieces(stories, first, seeds, rows_one_in=1) if stories else pieces(tuple(STORIES), first, seeds)
    progress = _Progress(sum(len(work.seeds) for work in works), monotonic())
    with ending_on_signals(progress.line), closing(_done(works, processes)) as done:
        for work, failures in done:
            for failure in failures:
                click.echo(str(failure))
            progress.add(len(work.seeds), len(failures))
    click.echo(progress.line())
    sys.exit(1 if progress.failed else 0)


def _done(works: list[Work], processes: int) -> Generator[tuple[Work, list[Failure]]]:
    """Each piece of work as it is done. One process is this one, where a debugger reaches it: it does one
    run at a time, so that the count is exact when a signal ends it."""
    if processes == 1:
        for work in works:
            for seed in work.seeds:
                one = Work(work.story, range(seed, seed + 1))
                yield one, run(one)
        return
    with worker_pool(processes) as pool:
        with signals_blocked():
            doing: dict[Future[list[Failure]], Work] = {pool.submit(run, work): work for work in works}
        for done in as_completed(doing):
            yield doing[done], done.result()


class _Progress:
    """Tells at first and then every few seconds how far it has got."""

    def __init__(self, total: int, began: float) -> None:
        self._total = total
        self._began = began
        self._told = -TOLD_EVERY_S
        self._done = 0
        self.failed = 0

    def add(self, count: int, failed: int) -> None:
        self._done += count
        self.failed += failed
        if monotonic() - self._told > TOLD_EVERY_S:
            self._told = monotonic()
            click.echo(self.line(), err=True)

    def line(self) -> str:
        seconds = monotonic() - self._began
        per_s = self._done / max(seconds, 0.001)
        done = f"{self._done:,} of {self._total:,} runs"
        return f"{seconds:5.0f} s  {done}, {per_s:.0f} a second, {self.failed} failed"


if __name__ == "__main__":
    main()
