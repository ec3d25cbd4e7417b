"""The scenarios of many connections: what an idle one takes, how fast they come, and very large rooms."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from tests.bench.crowd import PENDING, Crowd
from tests.bench.dialect import OURS, PLAIN
from tests.bench.plan import Figure, Plan, Stage
from tests.bench.process import ServerProcess, reference
from tests.bench.rows import WINDOW
from tests.bench.talk import Sender, Talk

__all__ = ["measure_connects", "measure_idle", "measure_rooms"]

SPARE_FILES = 200
SOURCES = 4  # of addresses: each has some 28,000 ports to connect from, and half of them may still be closing


def measure_idle(plan: Plan, stage: Stage) -> Iterator[Figure]:
    """What the server's resident memory grows by, for each member of one room in which nothing is said."""
    with ServerProcess.ours(stage.server_core) as server, Crowd(server.port, OURS) as crowd:
        # The first connection pays for what Python makes only once.
        crowd.connect(1)
        crowd.settle()
        before_kib = server.rss_kib()
        for members in plan.idle:
            members = min(members, stage.files - SPARE_FILES)
            stage.say(f"memory: {members} idle connections")
            crowd.connect(members + 1 - len(crowd.members))
            crowd.settle()
            server.wait_idle()
            rss_kib = server.rss_kib()
            yield {
                "members": members,
                "rss_kib": rss_kib,
                "kib_a_connection": (rss_kib - before_kib) / members,
            }


def measure_connects(plan: Plan, stage: Stage) -> Iterator[Figure]:
    """How many come in and join one room in a second, a few at a time; in turn with the reference."""
    commands = {"ours": None, "direct": reference("direct")}
    for repetition in range(plan.repetitions):
        for name, command in commands.items():
            stage.say(f"connects: {name}, repetition {repetition + 1}")
            running = (
                ServerProcess.running(command, stage.server_core)
                if command
                else ServerProcess.ours(stage.server_core)
            )
            with running as server, Crowd(server.port, PLAIN if command else OURS) as crowd:
                began, used = perf_counter(), server.cpu_s()
                crowd.connect(plan.connects)
                seconds = perf_counter() - began
                yield {
                    "server": name,
                    "members": plan.connects,
                    "at_once": PENDING,
                    "per_s": plan.connects / seconds,
                    "cpu_us": (server.cpu_s() - used) * 1e6 / plan.connects,
                }


def measure_rooms(plan: Plan, stage: Stage) -> Iterator[Figure]:
    """What a delivery takes in a very large room: with 64 messages in flight, and with one.

    The reference shows, once, how much of what a larger room costs is the kernel's, with one in flight.
    """
    for repetition in range(plan.rooms_repetitions):
        for wanted in plan.rooms:
            members = min(wanted, stage.files - SPARE_FILES)
            for name in ("ours", "direct") if repetition == 0 else ("ours",):
                stage.say(f"rooms: {members} members, {name}, repetition {repetition + 1}")
                for figure in _one_room(name, members, plan, stage):
                    yield {"server": name, "wanted": wanted, **figure}


def _one_room(name: str, members: int, plan: Plan, stage: Stage) -> Iterator[Figure]:
    running, dialect, windows = (
        (ServerProcess.ours(stage.server_core, connections=members + SPARE_FILES), OURS, (WINDOW, 1))
        if name == "ours"
        else (ServerProcess.running(reference(name), stage.server_core), PLAIN, (1,))
    )
    with running as server, Crowd(server.port, dialect) as crowd:
        began = perf_counter()
        senders = Sender.of(crowd.connect(members, sources=SOURCES)[:1])
        came_s = perf_counter() - began
        crowd.settle()
        for window in windows:
            server.wait_idle()
            talk = Talk(crowd, server, senders)
            talk.burst(window, seconds=plan.rooms_s)
            spent = talk.finish()
            yield {
                "members": members,
                "window": window,
                "came_s": came_s,
                "rss_kib": server.rss_kib(),
                "deliveries": spent.deliveries,
                "cpu_us": spent.cpu_us,
                "per_s": spent.per_s,
                "message_ms": spent.seconds * 1e3 / spent.messages,
            }
