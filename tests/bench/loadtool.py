"""The load tool itself: how many deliveries one core verifies, and what of that is the judge.

    python -m tests.bench.loadtool [--quick]

A server of ours on one core, the load tool on the other, a hundred users in one room, an open loop at more
than the tool is wanted to verify. Runs whose judge is timed are runs of their own, since the clock costs
as much as the judge. (A run without a judge shows nothing: a tool with less to do is woken more often,
for less.) Where the yardstick is at hand, `fanout.c` drives the same server at the same rate: what a
driver in C uses for a delivery that it checks is the ratio.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import click
import trio

from loadtest.runner import Progress, Run
from loadtest.scenario import Scenario
from loadtest.verdict import Verdict
from tests.bench.errors import BenchError
from tests.bench.process import ServerProcess, allow_files, cores, pinned
from tests.bench.yardstick import find
from trio_chat.contract import Entry, Judge, Stay

__all__ = ["JUDGE_SHARE", "VERIFIED_PER_S", "Figures", "main", "measure"]

VERIFIED_PER_S = 200_000
JUDGE_SHARE = 0.25
USERS = 100
RATE = 2_100.0  # messages a second: 210,000 deliveries
STEPS = '{"type":"hello","version":1,"name":"u%d"}|"welcome"', '{"type":"join","room":"room"}|"head"'
MESSAGE = '{"type":"say","room":"room","text":"%s","ref":"%r"}'


class _Clock:
    """The time spent in judging, as far as the clock of the wall can tell: at least what it costs."""

    seconds = 0.0


class _Timed(Stay):
    """Judges, and says how long that took."""

    __slots__ = ()

    def agrees(self, batch: Sequence[object]) -> bool:
        began = perf_counter()
        agreed = super().agrees(batch)
        _Clock.seconds += perf_counter() - began
        return agreed

    def saw(self, entry: Entry) -> None:
        began = perf_counter()
        super().saw(entry)
        _Clock.seconds += perf_counter() - began

    def noticed(
        self, members: int, joined: list[str], left: list[tuple[str, str]], *, cut: bool = False
    ) -> None:
        began = perf_counter()
        super().noticed(members, joined, left, cut=cut)
        _Clock.seconds += perf_counter() - began


class _TimedJudge(Judge):
    def entered(self, room: str, user: str, **facts: Any) -> Stay:
        stay = super().entered(room, user, **facts)
        stay.__class__ = _Timed
        return stay


@dataclass
class _Samples:
    """CPU of this process and deliveries at each telling of a talk."""

    cpu_s: list[float] = field(default_factory=list)
    judge_s: list[float] = field(default_factory=list)
    deliveries: list[int] = field(default_factory=list)

    def tell(self, progress: Progress) -> None:
        if progress.phase == "talking" and 0.1 < progress.share < 1:
            self.cpu_s.append(process_time())
            self.judge_s.append(_Clock.seconds)
            self.deliveries.append(progress.deliveries)

    @property
    def cpu_us(self) -> float:
        """A delivery's, in the midst of the talk."""
        if len(self.cpu_s) < 2:
            raise BenchError("the talk was too short to be measured")
        many = self.deliveries[-1] - self.deliveries[0]
        return (self.cpu_s[-1] - self.cpu_s[0]) * 1e6 / max(many, 1)

    @property
    def judge_share(self) -> float:
        """Of that CPU."""
        return (self.judge_s[-1] - self.judge_s[0]) / (self.cpu_s[-1] - self.cpu_s[0])


@dataclass(frozen=True)
class _Judged:
    """A run with the judge. CPU of a delivery is right also where the run was disturbed."""

    cpu_us: float
    per_s: float
    p99_ms: float
    disturbed: bool


@dataclass(frozen=True)
class Figures:
    """Medians. `fanout_cpu_us` is 0 where there is no yardstick."""

    verified_per_s: float
    cpu_us: float
    judge_share: float
    fanout_cpu_us: float
    p99_ms: float
    disturbed: float
    """The share of runs in which the tool did not keep up, as when others use this machine."""

    @property
    def capacity_per_s(self) -> float:
        """What a whole second of CPU verifies."""
        return 1e6 / self.cpu_us


def measure(seconds: float, repetitions: int) -> Figures:
    """Raises `BenchError`, also when a delivery was wrong."""
    server_core, driver_core, *_ = [*cores(), None, None] if len(cores()) > 1 else [None, None]
    allow_files()
    seeing: list[_Judged] = []
    shares: list[float] = []
    fanout: list[float] = []
    gc.disable()
    with tempfile.TemporaryDirectory() as away, _yardstick(Path(away)) as driver, pinned(driver_core):
        for _ in range(repetitions):
            seeing.append(_judged(server_core, seconds))
            with ServerProcess.ours(server_core) as server:
                shares.append(_run(server.port, _TimedJudge(), seconds)[0].judge_share)
            if driver is not None:
                with ServerProcess.ours(server_core) as server:
                    fanout.append(_fanout(driver, server.port, seconds))
            gc.collect()
    return Figures(
        verified_per_s=median(run.per_s for run in seeing),
        cpu_us=median(run.cpu_us for run in seeing),
        judge_share=median(shares),
        fanout_cpu_us=median(fanout) if fanout else 0.0,
        p99_ms=median(run.p99_ms for run in seeing),
        disturbed=sum(run.disturbed for run in seeing) / len(seeing),
    )


def _judged(server_core: int | None, seconds: float) -> _Judged:
    with ServerProcess.ours(server_core) as server:
        samples, run = _run(server.port, Judge(), seconds)
    outcome = run.outcome()
    if outcome.verdict is Verdict.BROKEN:
        raise BenchError(outcome.last_line)
    figures = outcome.figures
    disturbed = outcome.verdict is Verdict.INVALID
    return _Judged(samples.cpu_us, figures.delivery_rate, figures.series["delivery"].p99_ms, disturbed)


def _run(port: int, judge: Judge, seconds: float) -> tuple[_Samples, Run]:
    samples = _Samples()
    scenario = Scenario(users=USERS, rate=RATE, duration_s=seconds, disconnects=0.05)
    run = Run(scenario, "127.0.0.1", port, tell=samples.tell, judge=judge)
    trio.run(run.run)
    return samples, run


@contextmanager
def _yardstick(away: Path) -> Iterator[Path | None]:
    """The driver in C, built; None where there is none."""
    script, _ = find()
    if script is None:
        yield None
        return
    driver = away / "fanout"
    subprocess.run(["gcc", "-O2", "-o", driver, script.parent / "fanout.c"], check=True)
    yield driver


def _fanout(driver: Path, port: int, seconds: float) -> float:
    """CPU that the driver in C uses for each delivery at the same rate, in microseconds."""
    steps = [arg for step in STEPS for arg in ("--step", step)]
    command = [str(driver), "--proto", "lp", *steps, "--msg", MESSAGE, "--port", str(port)]
    command += ["-n", str(USERS), "--rate", str(RATE), "-t", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 3 * seconds, check=False)
    if done.returncode:
        raise BenchError(f"fanout ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return float(json.loads(done.stdout)["driver_cpu_us_per_delivery"])


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Short, and once.")
def main(quick: bool) -> None:
    try:
        figures = measure(*((3.0, 1) if quick else (6.0, 5)))
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"verified, paced at {RATE * USERS:,.0f}/s: {figures.verified_per_s:,.0f}/s")
    click.echo(f"a core verifies: {figures.capacity_per_s:,.0f}/s ({figures.cpu_us:.2f} us each)")
    click.echo(f"the judge's share: {figures.judge_share:.1%}")
    if figures.fanout_cpu_us:
        ratio = figures.cpu_us / figures.fanout_cpu_us
        click.echo(f"CPU of a delivery, to that of fanout.c ({figures.fanout_cpu_us:.2f} us): {ratio:.1f}")
    click.echo(f"p99: {figures.p99_ms:.1f} ms")
    if figures.disturbed:
        click.echo(f"{figures.disturbed:.0%} of the runs were disturbed: this wants a quiet machine")
    if figures.verified_per_s < VERIFIED_PER_S or figures.judge_share > JUDGE_SHARE:
        sys.exit(1)


if __name__ == "__main__":
    main()
