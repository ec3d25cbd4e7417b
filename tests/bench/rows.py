"""The scenarios of the large table: how much CPU a delivery takes, and how long, as the room gets busier.

    low    open loop, 20 messages a second: everything is cold, each delivery is a send of its own
    burst  closed loop, one sender, 64 messages in flight
    many   closed loop, 16 senders, one message in flight each
    paced  open loop, 50,000 deliveries a second: the latency, counted from when a message was due

Ours and the two references take turns, and each repetition is a server of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

from tests.bench.crowd import Crowd
from tests.bench.dialect import OURS, PLAIN
from tests.bench.plan import Figure, Plan, Stage
from tests.bench.process import ServerProcess, reference
from tests.bench.talk import Sender, Spent, Talk, percentile

__all__ = ["PACED_PER_S", "ROWS", "SENDERS", "SERVERS", "measure_rows", "run_row"]

ROWS = ("low", "burst", "many", "paced")
SERVERS = ("ours", "direct", "shared")
SENDERS = 16
WINDOW = 64
LOW_PER_S = 20.0
PACED_PER_S = 50_000.0


def measure_rows(plan: Plan, stage: Stage, rows: list[str]) -> Iterator[Figure]:
    for repetition in range(plan.repetitions):
        for members in plan.sizes:
            for name in SERVERS:
                stage.say(f"{', '.join(rows)}: {members} members, {name}, repetition {repetition + 1}")
                with _server(name, stage) as server:
                    yield from _one_server(name, server, members, plan.seconds, rows)


def _server(name: str, stage: Stage) -> AbstractContextManager[ServerProcess]:
    if name == "ours":
        return ServerProcess.ours(stage.server_core)
    return ServerProcess.running(reference(name), stage.server_core)


def _one_server(
    name: str, server: ServerProcess, members: int, seconds: float, rows: list[str]
) -> Iterator[Figure]:
    with Crowd(server.port, OURS if name == "ours" else PLAIN) as crowd:
        senders = Sender.of(crowd.connect(members)[:SENDERS])
        crowd.settle()
        for row in rows:
            server.wait_idle()
            spent = run_row(row, crowd, server, senders, seconds)
            yield {
                "row": row,
                "server": name,
                "members": members,
                "messages": spent.messages,
                "deliveries": spent.deliveries,
                "cpu_us": spent.cpu_us,
                "per_s": spent.per_s,
                "p50_ms": percentile(spent.latencies_s, 50) * 1e3,
                "p99_ms": percentile(spent.latencies_s, 99) * 1e3,
                "server_busy": spent.server_cpu_s / spent.seconds,
                "driver_busy": spent.driver_cpu_s / spent.seconds,
            }


def run_row(row: str, crowd: Crowd, server: ServerProcess, senders: list[Sender], seconds: float) -> Spent:
    """Hold one talk of the given row with a crowd that has settled. Raises `BenchError`."""
    talk = Talk(crowd, server, senders if row == "many" else senders[:1])
    match row:
        case "low":
            talk.pace(LOW_PER_S, seconds)
        case "burst":
            talk.burst(WINDOW, seconds=seconds)
        case "many":
            talk.burst(1, seconds=seconds)
        case "paced":
            talk.pace(PACED_PER_S / len(crowd.members), seconds)
    return talk.finish()
