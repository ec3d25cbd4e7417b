"""Show the progress of a run: a live view on a terminal that supports it, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtest.runner import RunProgress

__all__ = ["progress_display"]

LINE_EVERY = 8  # updates: two seconds

ProgressCallback = Callable[[RunProgress], None]


@contextmanager
def progress_display(console: Console, where: str) -> Iterator[ProgressCallback]:
    """Yield a function that shows the progress; it is called four times a second.

    A dumb terminal, which cannot move its cursor, gets plain lines: Rich shows nothing there.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        yield _PlainProgress(console).update
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda progress: live.update(_view(progress, where), refresh=True)


class _PlainProgress:
    """Prints a line at each change of phase, and every two seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._updates = 0

    def update(self, progress: RunProgress) -> None:
        self._updates += 1
        if progress.phase == self._phase and self._updates % LINE_EVERY:
            return
        self._phase = progress.phase
        self._console.print(_line(progress), highlight=False, soft_wrap=True)


def _line(progress: RunProgress) -> str:
    if progress.phase in {"leaving", "judged"}:
        return progress.phase
    if progress.phase != "talking":
        return f"{progress.phase}: {progress.connected} of {progress.scenario.users} users are connected"
    latency = progress.stats.delivery
    return (
        f"{progress.phase} {progress.share:4.0%}: {progress.connected} users,"
        f" {progress.messages_per_s:,.0f} messages/s, {progress.deliveries_per_s:,.0f} deliveries/s,"
        f" p50 {latency.quantile_ms(50):.1f} ms, p99 {latency.quantile_ms(99):.1f} ms,"
        f" {progress.breaches} failures"
    )


def _view(progress: RunProgress, where: str) -> Group:
    scenario, stats = progress.scenario, progress.stats
    grid = Table.grid(padding=(0, 2))
    for _ in range(6):
        grid.add_column(justify="right")
    failures = Text(f"{progress.breaches:,}", style="bold red" if progress.breaches else "green")
    for row in (
        ("users", f"{progress.connected:,}", "messages/s", f"{progress.messages_per_s:,.0f}"),
        ("rooms", f"{scenario.rooms:,}", "deliveries/s", f"{progress.deliveries_per_s:,.0f}"),
    ):
        name, percent = ("p50", 50) if row[0] == "users" else ("p99", 99)
        grid.add_row(*row, name, f"{stats.delivery.quantile_ms(percent):,.1f} ms")
    trips, verified = f"{stats.trips.total():,}", f"{progress.deliveries:,}"
    grid.add_row("disconnects", trips, "verified", verified, "failures", failures)
    share = min(progress.share, 1.0)
    title = Text.assemble((progress.phase, "bold"), f"  {where}")
    # without padding it would not end the line
    bar = Padding(ProgressBar(total=1.0, completed=share, width=60), 0)
    return Group(title, bar, grid)
