"""Clients that each say something and wait for its ack, again and again: a commit costs so much.

All are in one room, and what is said goes to all of them; the driver reads it and looks for the acks. Each
ack is checked: it names the ref that was waited for, and a number that no other message has.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from tests.bench.crowd import RECEIVE_BYTES, Crowd, Member
from tests.bench.dialect import say
from tests.bench.errors import BenchError
from tests.bench.process import ServerProcess, own_cpu_s
from tests.bench.transcript import ref_for

__all__ = ["Acked", "Client", "wait_for_acks"]

_ACK = re.compile(rb'\{"type":"ack","ref":"([0-9a-f]+)"[^}]*"seq":([0-9]+)\}')
_TAIL = 120  # an ack is shorter: what is kept of a read, should one be cut in two
WARM_S = 0.3
PATIENCE_S = 15.0


@dataclass(frozen=True)
class Acked:
    """What came of it; the latencies are those of all acks, in seconds."""

    messages: int
    seconds: float
    server_cpu_s: float
    driver_cpu_s: float
    latencies_s: list[float]

    @property
    def per_s(self) -> float:
        return self.messages / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU of the server for each message, in microseconds."""
        return self.server_cpu_s * 1e6 / max(self.messages, 1)


class Client:
    """One that waits: for which ref, since when, and the end of what it has read."""

    __slots__ = ("index", "member", "ref", "rest", "since")

    def __init__(self, index: int, member: Member) -> None:
        self.index = index
        self.member = member
        self.ref = b""
        self.rest = b""
        self.since = 0.0

    def say(self) -> None:
        # The member counts, since a ref that was used in an earlier wait would commit nothing.
        ref = ref_for(self.index, self.member.said)
        self.member.said += 1
        self.ref = ref.encode()
        self.since = time.perf_counter()
        self.member.sock.send(say(ref))  # a few hundred bytes, and nothing else is on its way

    def hear(self, data: bytes) -> int:
        """The number under which it was acked, or 0 when it was not yet."""
        seen = self.rest + data
        at = seen.find(b'{"type":"ack"')
        found = _ACK.match(seen, at) if at >= 0 else None
        if found is None:
            self.rest = seen[at:] if at >= 0 else seen[-_TAIL:]
            return 0
        if found[1] != self.ref:
            raise BenchError(f"waited for the ack of {self.ref!r}, and got {found[0]!r}")
        self.rest = b""
        return int(found[2])


def wait_for_acks(
    crowd: Crowd, server: ServerProcess, seconds: float, *, after: int = 0, warm_s: float = WARM_S
) -> Acked:
    """Let everybody say and wait for so long, after a moment and so many messages that are not counted."""
    clients = {fd: Client(index, member) for index, (fd, member) in enumerate(crowd.members.items())}
    numbers: set[int] = set()
    latencies_s: list[float] = []
    for client in clients.values():
        client.say()
    began = time.perf_counter() + warm_s
    counting = False
    server_cpu_s = driver_cpu_s = 0.0
    stop = False
    waiting = len(clients)
    came = ended = began
    counted = 0
    while waiting:
        now = time.perf_counter()
        if not counting and now >= began and len(numbers) >= after:
            counting, began = True, now
            latencies_s.clear()
            counted = len(numbers)
            server_cpu_s, driver_cpu_s = server.cpu_s(), own_cpu_s()
        elif counting and not stop and now >= began + seconds:
            stop, ended = True, now
            counted = len(numbers) - counted
            server_cpu_s, driver_cpu_s = server.cpu_s() - server_cpu_s, own_cpu_s() - driver_cpu_s
        if now - came > PATIENCE_S:
            raise BenchError(f"{waiting} clients wait for an ack for {PATIENCE_S:.0f} s")
        for fd, _ in crowd.epoll.poll(0.05):
            client = clients[fd]
            data = client.member.recv(RECEIVE_BYTES)
            if not data:
                raise BenchError(f"the server has ended the connection of {client.member.name}")
            seq = client.hear(data)
            if not seq:
                continue
            came = time.perf_counter()
            if seq in numbers:
                raise BenchError(f"{seq} was given twice")
            numbers.add(seq)
            if not stop:
                latencies_s.append(came - client.since)
                client.say()
            else:
                waiting -= 1
    return Acked(counted, ended - began, server_cpu_s, driver_cpu_s, latencies_s)
