"""The load tool itself: how many deliveries one core verifies, and what of that is the judge.

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
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import trio

from loadtest.runner import LoadTest, RunProgress
from loadtest.scenario import Scenario
from loadtest.verdict import Verdict
from tests.bench.errors import BenchError
from tests.bench.plan import Figure, Plan, Stage
from tests.bench.process import ServerProcess
from tests.bench.yardstick import find_driver
from trio_chat.contract import Entry, Judge, Visit

__all__ = ["measure_loadtool"]

USERS = 100
RATE = 2_100.0  # messages a second: 210,000 deliveries
STEPS = '{"type":"hello","version":1,"name":"u%d"}|"welcome"', '{"type":"join","room":"room"}|"head"'
MESSAGE = '{"type":"say","room":"room","text":"%s","ref":"%r"}'


class _Clock:
    """The time spent in judging, as far as the clock of the wall can tell: at least what it costs."""

    seconds = 0.0


class _Timed(Visit):
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
    def entered(self, room: str, user: str, **facts: Any) -> Visit:
        visit = super().entered(room, user, **facts)
        visit.__class__ = _Timed
        return visit


@dataclass
class _Samples:
    """CPU of this process and deliveries at each telling of a talk."""

    cpu_s: list[float] = field(default_factory=list)
    judge_s: list[float] = field(default_factory=list)
    deliveries: list[int] = field(default_factory=list)

    def tell(self, progress: RunProgress) -> None:
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


def measure_loadtool(plan: Plan, stage: Stage) -> Iterator[Figure]:
    """Raises `BenchError`, also when a delivery was wrong."""
    stage.say("loadtool: the load tool itself")
    core, seconds = stage.server_core, plan.loadtool_s
    seeing: list[_Judged] = []
    shares: list[float] = []
    fanout: list[float] = []
    with tempfile.TemporaryDirectory() as away, _yardstick(Path(away)) as driver:
        for _ in range(plan.loadtool_repetitions):
            seeing.append(_judged(core, seconds))
            with ServerProcess.ours(core) as server:
                shares.append(_run(server.port, _TimedJudge(), seconds)[0].judge_share)
            if driver is not None:
                with ServerProcess.ours(core) as server:
                    fanout.append(_fanout(driver, server.port, seconds))
            gc.collect()
    yield {
        "users": USERS,
        "paced_per_s": RATE * USERS,
        "verified_per_s": median(run.per_s for run in seeing),
        "cpu_us": median(run.cpu_us for run in seeing),
        "judge_share": median(shares),
        "fanout_cpu_us": median(fanout) if fanout else 0.0,
        "p99_ms": median(run.p99_ms for run in seeing),
        "disturbed": sum(run.disturbed for run in seeing) / len(seeing),
    }


def _judged(server_core: int | None, seconds: float) -> _Judged:
    with ServerProcess.ours(server_core) as server:
        samples, run = _run(server.port, Judge(), seconds)
    outcome = run.result()
    if outcome.verdict is Verdict.BROKEN:
        raise BenchError(outcome.last_line)
    figures = outcome.figures
    disturbed = outcome.verdict is Verdict.INVALID
    return _Judged(samples.cpu_us, figures.delivery_rate, figures.series["delivery"].p99_ms, disturbed)


def _run(port: int, judge: Judge, seconds: float) -> tuple[_Samples, LoadTest]:
    samples = _Samples()
    scenario = Scenario(users=USERS, rate=RATE, duration_s=seconds, disconnects=0.05)
    run = LoadTest(scenario, "127.0.0.1", port, on_progress=samples.tell, judge=judge)
    trio.run(run.run)
    return samples, run


@contextmanager
def _yardstick(away: Path) -> Iterator[Path | None]:
    """The driver in C, built; None where there is none."""
    source = find_driver()
    if source is None:
        yield None
        return
    driver = away / "fanout"
    subprocess.run(["gcc", "-O2", "-o", driver, source], check=True)
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
