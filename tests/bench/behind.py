"""One member reads a long history, while others talk in another room."""

from __future__ import annotations

import json
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import trio

from tests.bench.crowd import Crowd, Member
from tests.bench.dialect import OURS, frame
from tests.bench.errors import BenchError
from tests.bench.plan import Figure, Plan, Stage
from tests.bench.process import ServerProcess, own_cpu_s
from tests.bench.rows import PACED_PER_S
from tests.bench.storing import LONG_ROOM, draft
from tests.bench.talk import Sender, Talk, percentile
from trio_chat.journal.sqlite import open_sqlite

__all__ = ["measure_behind"]

OTHERS = 100
BATCH = 100
READ_BYTES = 1 << 18  # more would keep the driver from looking at the others
PATIENCE_S = 60.0
_SAID = b'"type":"said"'
_SEQ = re.compile(rb'"seq":(\d+)')


class _Reader(Member):
    """A member that is given the whole history: it keeps what it receives, and looks at it later."""

    __slots__ = ("count", "parts", "rest")

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.parts: list[bytes] = []
        self.count = 0
        self.rest = b""
        self.recv = self._receive

    def _receive(self, _: int) -> bytes:
        data = self.sock.recv(READ_BYTES)
        if not data:
            raise BenchError("the server has ended the connection of who reads the history")
        self.parts.append(data)
        seen = self.rest + data
        self.count += seen.count(_SAID)
        self.rest = seen[1 - len(_SAID) :]  # a pattern may be cut in two
        raise BlockingIOError  # nothing of it is for the transcript of the others

    def seqs(self) -> list[int]:
        return [int(seq) for seq in _SEQ.findall(b"".join(self.parts))]


def measure_behind(plan: Plan, stage: Stage) -> Iterator[Figure]:
    """How fast one that has nothing catches up, and what others notice. Every number is checked."""
    stage.say(f"journal: a history of {plan.behind:,} entries is written")
    with tempfile.TemporaryDirectory() as away:
        path = Path(away, "journal.db")
        epoch = trio.run(partial(_write, path, plan.behind))
        stage.say("journal: one reads it while others talk")
        with (
            ServerProcess.ours(stage.server_core, journal=str(path)) as server,
            Crowd(server.port, OURS) as crowd,
        ):
            senders = Sender.of(crowd.connect(OTHERS)[:1])
            for _ in range(plan.journal_repetitions):
                crowd.settle()
                server.wait_idle()
                yield {"what": "behind", **_read(crowd, server, senders, epoch, plan)}


async def _write(path: Path, entries: int) -> str:
    store = await open_sqlite(path)
    try:
        epoch = (await store.open(LONG_ROOM, LONG_ROOM)).epoch
        for start in range(0, entries, BATCH):
            many = min(BATCH, entries - start)
            await store.commit([draft(start + each) for each in range(many)], 1_700_000_000_000)
        return epoch
    finally:
        await store.aclose()


def _read(crowd: Crowd, server: ServerProcess, senders: list[Sender], epoch: str, plan: Plan) -> Figure:
    rate = PACED_PER_S / OTHERS
    alone = Talk(crowd, server, senders)
    alone.pace(rate, plan.journal_s)
    alone.finish()
    talk = Talk(crowd, server, senders)
    talk.pace(rate, 0.1)
    talk.latencies_s.clear()
    reader = _enter(crowd, epoch)
    server_cpu_s, driver_cpu_s = server.cpu_s(), own_cpu_s()
    began = time.perf_counter()
    while reader.count < plan.behind:
        talk.pace(rate, 0.02)
        if time.perf_counter() > began + PATIENCE_S:
            raise BenchError(f"only {reader.count:,} of {plan.behind:,} entries came")
    seconds = time.perf_counter() - began
    server_cpu_s, driver_cpu_s = server.cpu_s() - server_cpu_s, own_cpu_s() - driver_cpu_s
    meanwhile = list(talk.latencies_s)
    crowd.drop(reader)
    talk.finish()
    if reader.seqs() != list(range(1, plan.behind + 1)):
        raise BenchError("the history was not read in order, each entry once")
    return {
        "entries": plan.behind,
        "per_s": plan.behind / seconds,
        "alone_ms": percentile(alone.latencies_s, 50) * 1e3,
        "meanwhile_ms": percentile(meanwhile, 50) * 1e3,
        "server_busy": server_cpu_s / seconds,
        "driver_busy": driver_cpu_s / seconds,
    }


def _enter(crowd: Crowd, epoch: str) -> _Reader:
    sock = socket.create_connection(("127.0.0.1", crowd.port), 10)
    sock.sendall(frame(b'{"type":"hello","version":1,"name":"reader"}'))
    if b'"welcome"' not in sock.recv(READ_BYTES):
        raise BenchError("no welcome")
    reader = _Reader(sock)
    join = {"type": "join", "room": LONG_ROOM, "after": 0, "epoch": epoch}
    sock.sendall(frame(json.dumps(join).encode()))
    sock.setblocking(False)
    crowd.add(reader)
    return reader
