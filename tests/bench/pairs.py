"""The scenarios in which two commits can be compared: each pair of measurements gives one ratio.

    low, burst, many  CPU of the server for each delivery, as in the large table
    paced             the same, and the median latency
    connects          CPU and time of each connection that says `hello` and joins one room
    memory            what the server's resident memory grows by for each of them
    journal           CPU and time of each ack, with the journal in a file

A pair is a new process of either commit. Two processes of the same code differ by some percent for as long as
they run (where their memory lies, how their hashes fall), so that any number of turns with the same two would
measure that. Within a pair the two take many short turns, in the order old, new, new, old, so that whatever
slows the machine down meets both; the next pair begins with the other one. A pair's ratio is of the sums
over its turns.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from tests.bench.acks import Acked, wait_for_acks
from tests.bench.checkout import Checkout
from tests.bench.crowd import Crowd
from tests.bench.dialect import OURS
from tests.bench.errors import BenchError
from tests.bench.machine import steal_share, ticks
from tests.bench.plan import Pairing, Stage
from tests.bench.process import ServerProcess
from tests.bench.rows import ROWS, SENDERS, run_row
from tests.bench.talk import Sender, Spent, percentile

__all__ = ["COMPARABLE", "TRIES", "Pair", "measure_pairs", "order", "undisturbed"]

ARRIVING = ("connects", "memory")
COMPARABLE = (*ROWS, *ARRIVING, "journal")
OPEN_LOOP = ("low", "paced")
QUIET_S = 0.05
WARM_S = 0.05
# The bounds of the yardstick: more than this taken by other virtual machines spoils a pair.
STEAL_MAX = 0.06
TRIES = 3


@dataclass(frozen=True)
class Pair:
    """One figure of the old server and of the new one. More is worse, whatever the unit."""

    row: str
    unit: str
    old: float
    new: float

    def __post_init__(self) -> None:
        if self.old <= 0 or self.new <= 0:
            raise BenchError(f"cannot compare {self.row}: got {self.old:g} and {self.new:g} {self.unit}")

    @property
    def ratio(self) -> float:
        return self.new / self.old


@dataclass
class _Side:
    """One of the two servers and the connections to it."""

    server: ServerProcess
    crowd: Crowd


def measure_pairs(
    commits: tuple[Checkout, Checkout], rows: Sequence[str], pairs: int, plan: Pairing, stage: Stage
) -> Iterator[Pair]:
    """Measure every chosen row once for each pair, old commit and new. Raises `BenchError`.

    The rows take turns as well, so that what the machine does for a minute does not spoil one row alone.
    """
    scenarios = list(_scenarios(commits, rows, plan, stage))
    for pair in range(pairs):
        for name, measure in scenarios:
            stage.say(f"pair {pair + 1} of {pairs}: {name}")
            yield from undisturbed(partial(measure, pair), stage)


def _scenarios(
    commits: tuple[Checkout, Checkout], rows: Sequence[str], plan: Pairing, stage: Stage
) -> Iterator[tuple[str, Callable[[int], Iterator[Pair]]]]:
    if talks := [row for row in ROWS if row in rows]:
        for members in plan.sizes:
            measure = partial(_talks, commits, talks, members, plan, stage)
            yield f"{', '.join(talks)}, {members} members", measure
    if arriving := [row for row in ARRIVING if row in rows]:
        yield ", ".join(arriving), partial(_arrivals, commits, arriving, plan, stage)
    if "journal" in rows:
        for authors in plan.authors:
            yield _of_authors(authors), partial(_acks, commits, authors, plan, stage)


def undisturbed(
    measure: Callable[[], Iterator[Pair]], stage: Stage, read: Callable[[], tuple[int, int]] = ticks
) -> list[Pair]:
    """Measure again while other virtual machines take the cores, `TRIES` times at most.

    `read` returns what `ticks` does.
    """
    measured: list[Pair] = []
    for _ in range(TRIES):
        gc.collect()
        before = read()
        measured = list(measure())
        share = steal_share(before, read())
        if share <= STEAL_MAX:
            break
        stage.say(f"other virtual machines took {share:.0%} of the cores' time")
    return measured


def order(turn: int) -> tuple[int, int]:
    """Return which server comes first and which second: old, new, new, old in two turns."""
    return (0, 1) if turn % 2 == 0 else (1, 0)


@contextmanager
def _sides(
    commits: tuple[Checkout, Checkout], pair: int, members: int, stage: Stage, *, file: bool = False
) -> Iterator[tuple[_Side, _Side]]:
    """Start both servers and connect so many members to each; the first to start is another in each pair."""
    sides: dict[int, _Side] = {}
    with ExitStack() as stack:
        for side in order(pair):
            journal = "memory"
            if file:
                journal = str(Path(stack.enter_context(tempfile.TemporaryDirectory()), "journal.db"))
            server = stack.enter_context(
                ServerProcess.ours(stage.server_core, journal=journal, checkout=commits[side])
            )
            crowd = stack.enter_context(Crowd(server.port, OURS))
            crowd.connect(members)
            crowd.settle()
            sides[side] = _Side(server, crowd)
        yield sides[0], sides[1]


def _talks(
    commits: tuple[Checkout, Checkout], rows: list[str], members: int, plan: Pairing, stage: Stage, pair: int
) -> Iterator[Pair]:
    with _sides(commits, pair, members, stage) as sides:
        senders = [Sender.of(list(side.crowd.members.values())[:SENDERS]) for side in sides]
        for row in rows:
            for side in sides:
                side.crowd.settle(quiet_s=QUIET_S)
                side.server.wait_idle()
            turns, seconds = (
                (plan.open_turns, plan.open_s) if row in OPEN_LOOP else (plan.closed_turns, plan.closed_s)
            )
            spent: tuple[list[Spent], list[Spent]] = ([], [])
            for turn in range(turns):
                for each in order(pair + turn):
                    side = sides[each]
                    spent[each].append(run_row(row, side.crowd, side.server, senders[each], seconds))
            where = f"{row}, {members} members"
            yield Pair(where, "µs of CPU a delivery", *map(_cpu_us, spent))
            if row == "paced":
                yield Pair(where, "ms of latency, p50", *map(_p50_ms, spent))


def _cpu_us(spent: list[Spent]) -> float:
    return _us_each(sum(each.server_cpu_s for each in spent), sum(each.deliveries for each in spent))


def _p50_ms(spent: list[Spent]) -> float:
    return percentile([latency for each in spent for latency in each.latencies_s], 50) * 1e3


def _arrivals(
    commits: tuple[Checkout, Checkout], rows: list[str], plan: Pairing, stage: Stage, pair: int
) -> Iterator[Pair]:
    """Connect members in turns. The CPU includes the notices to all who are there, however late they are."""
    with _sides(commits, pair, 1, stage) as sides:
        rss_kib = [side.server.rss_kib() for side in sides]
        seconds, cpu_s = [0.0, 0.0], [0.0, 0.0]
        for turn in range(plan.arrival_turns):
            for each in order(pair + turn):
                server, crowd = sides[each].server, sides[each].crowd
                used, began = server.cpu_s(), perf_counter()
                crowd.connect(plan.arrivals)
                seconds[each] += perf_counter() - began
                crowd.settle(quiet_s=QUIET_S)
                cpu_s[each] += server.cpu_s() - used
        arrived = plan.arrivals * plan.arrival_turns
        where = f"connects, {arrived:,} members"
        if "connects" in rows:
            yield Pair(where, "µs of CPU a connection", *(_us_each(each, arrived) for each in cpu_s))
            yield Pair(where, "µs a connection", *(_us_each(each, arrived) for each in seconds))
        if "memory" in rows:
            for side in sides:
                side.server.wait_idle()
            grown = [side.server.rss_kib() - before for side, before in zip(sides, rss_kib, strict=True)]
            yield Pair(
                f"memory, {arrived:,} members", "KiB a connection", *(each / arrived for each in grown)
            )


def _acks(
    commits: tuple[Checkout, Checkout], authors: int, plan: Pairing, stage: Stage, pair: int
) -> Iterator[Pair]:
    with _sides(commits, pair, authors, stage, file=True) as sides:
        acked: tuple[list[Acked], list[Acked]] = ([], [])
        for turn in range(plan.ack_turns):
            for each in order(pair + turn):
                server, crowd = sides[each].server, sides[each].crowd
                for side in sides:
                    side.server.wait_idle()  # the search index is made when the talk is over
                crowd.settle(quiet_s=QUIET_S)
                waited = wait_for_acks(crowd, server, plan.acks_s, warm_s=WARM_S)
                acked[each].append(waited)
        where = _of_authors(authors)
        messages = [sum(each.messages for each in side) for side in acked]
        cpu_s = [sum(each.server_cpu_s for each in side) for side in acked]
        seconds = [sum(each.seconds for each in side) for side in acked]
        yield Pair(where, "µs of CPU an ack", *map(_us_each, cpu_s, messages))
        yield Pair(where, "µs an ack", *map(_us_each, seconds, messages))


def _of_authors(authors: int) -> str:
    return f"journal, {authors} author{'s' if authors > 1 else ''}"


def _us_each(seconds: float, many: int) -> float:
    return seconds * 1e6 / max(many, 1)
