"""`nox -s sim -- [--quick] [--seeds N] [--from K] [STORY …]`: simulate with very many seeds, in all cores.

Each story of tests/sim/stories.py is told with the seeds from K on: the chat with all N of them, the rows
of the table of faults with one in twenty, unless they are asked for. A seed that fails is told at once,
with the line that replays it, and the rest goes on; the exit status is 1 then.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import click

from tests.sim.hunt import Failure, Work, pieces, run
from tests.sim.stories import STORIES

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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seeds = seeds or (QUICK if quick else SEEDS)
    works = pieces(stories, first, seeds, rows_one_in=1) if stories else pieces(tuple(STORIES), first, seeds)
    began, failed = time.monotonic(), 0
    progress = _Progress(sum(len(work.seeds) for work in works), began)
    for work, failures in _done(works, processes):
        for failure in failures:
            failed += 1
            click.echo(str(failure))
        progress.add(len(work.seeds), failed)
    click.echo(progress.line(failed))
    sys.exit(1 if failed else 0)


def _done(works: list[Work], processes: int) -> Iterator[tuple[Work, list[Failure]]]:
    """Each piece of work as it is done. One process is this one, where a debugger reaches it."""
    if processes == 1:
        for work in works:
            yield work, run(work)
        return
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        doing: dict[Future[list[Failure]], Work] = {pool.submit(run, work): work for work in works}
        for done in as_completed(doing):
            yield doing[done], done.result()
    finally:
        pool.shutdown(cancel_futures=True)


class _Progress:
    """Tells every few seconds how far it has got."""

    def __init__(self, total: int, began: float) -> None:
        self._total = total
        self._began = self._told = began
        self._done = 0

    def add(self, count: int, failed: int) -> None:
        self._done += count
        if time.monotonic() - self._told > TOLD_EVERY_S:
            self._told = time.monotonic()
            click.echo(self.line(failed), err=True)

    def line(self, failed: int) -> str:
        seconds = time.monotonic() - self._began
        per_s = self._done / max(seconds, 0.001)
        return (
            f"{seconds:5.0f} s  {self._done:,} of {self._total:,} runs, {per_s:.0f} a second, {failed} failed"
        )


if __name__ == "__main__":
    main()
