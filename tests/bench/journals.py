"""The journal in a file, in turn with the one in memory: what it costs that what is said outlives the server.

    acks    clients that each wait for the ack of what they said before they say more; a hundred, and one;
            and a hundred that have said so much that the search index is made meanwhile
    talk    `burst` and `many` of the large table
    behind  one member reads a long history, while others talk
    store   the store by itself, beside a loop that only writes the same rows

The server's threads all run on its one core.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.acks import wait_for_acks
from tests.bench.behind import measure_behind
from tests.bench.crowd import Crowd
from tests.bench.dialect import OURS
from tests.bench.plan import Figure, Plan, Stage
from tests.bench.process import ServerProcess
from tests.bench.rows import SENDERS, WINDOW
from tests.bench.storing import measure_store
from tests.bench.talk import Sender, Talk, percentile

__all__ = ["JOURNALS", "measure_journals"]

JOURNALS = ("memory", "file")
CLIENTS = (100, 1)
# More than the server lets wait for its index while there is talk.
BACKLOG = 120_000


def measure_journals(plan: Plan, stage: Stage) -> Iterator[Figure]:
    for repetition in range(plan.journal_repetitions):
        for journal in JOURNALS:
            stage.say(f"journal: acks, in {journal}, repetition {repetition + 1}")
            for clients in CLIENTS:
                yield _acks(journal, clients, plan, stage)
        stage.say(f"journal: acks, while the index is made, repetition {repetition + 1}")
        yield _acks("file", CLIENTS[0], plan, stage, after=min(BACKLOG, plan.behind))
        for members in plan.journal_sizes:
            for journal in JOURNALS:
                stage.say(f"journal: {members} members, in {journal}, repetition {repetition + 1}")
                yield from _talk(journal, members, plan, stage)
    yield from measure_store(plan, stage)
    yield from measure_behind(plan, stage)


@contextmanager
def _server(journal: str, stage: Stage) -> Iterator[ServerProcess]:
    with ExitStack() as stack:
        if journal == "file":
            away = stack.enter_context(tempfile.TemporaryDirectory())
            journal = str(Path(away, "journal.db"))
        yield stack.enter_context(ServerProcess.ours(stage.server_core, journal=journal))


def _acks(journal: str, clients: int, plan: Plan, stage: Stage, *, after: int = 0) -> Figure:
    with _server(journal, stage) as server, Crowd(server.port, OURS) as crowd:
        crowd.connect(clients)
        crowd.settle()
        acked = wait_for_acks(crowd, server, plan.journal_s, after=after)
    return {
        "what": "acks",
        "journal": f"{journal}, indexed" if after else journal,
        "clients": clients,
        "per_s": acked.per_s,
        "cpu_us": acked.cpu_us,
        "p50_ms": percentile(acked.latencies_s, 50) * 1e3,
        "p99_ms": percentile(acked.latencies_s, 99) * 1e3,
    }


def _talk(journal: str, members: int, plan: Plan, stage: Stage) -> Iterator[Figure]:
    with _server(journal, stage) as server, Crowd(server.port, OURS) as crowd:
        senders = Sender.of(crowd.connect(members)[:SENDERS])
        crowd.settle()
        for row, talking, window in (("burst", senders[:1], WINDOW), ("many", senders, 1)):
            server.wait_idle()
            talk = Talk(crowd, server, talking)
            talk.burst(window, seconds=plan.journal_s)
            spent = talk.finish()
            yield {
                "what": "talk",
                "journal": journal,
                "row": row,
                "members": members,
                "per_s": spent.per_s,
                "cpu_us": spent.cpu_us,
            }
