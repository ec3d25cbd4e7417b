"""Messages through a crowd that has settled, and a check of every delivery.

*Closed loop* (`burst`): each sender keeps so many messages in flight, and a message is in flight until
every member has it. It finds what a server can do. *Open loop* (`pace`): messages go out by the clock,
whatever the server does, and latency counts from the moment a message was due, so that a server that
stalls is charged for the stall.

`finish` waits until everybody has everything, and proves it (see transcript.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from loadtest.rank import nearest_rank
from tests.bench.crowd import RECEIVE_BYTES, Crowd, Member
from tests.bench.dialect import TEXT_BYTES, say
from tests.bench.errors import BenchError
from tests.bench.process import ServerProcess, own_cpu_s
from tests.bench.transcript import Acks, Standing, Transcript, number_of, ref_for

__all__ = ["Sender", "Spent", "Talk", "percentile"]

PATIENCE_S = 15.0  # without anything coming in
AFTERWARDS_S = 0.05  # how long to look for what should not come any more


@dataclass
class Sender:
    """A member that also talks. Its numbers go on from talk to talk, since a ref is never used twice."""

    index: int
    member: Member
    number: int = 0
    in_flight: int = 0
    unsent: bytes = b""
    acks: Acks = field(default_factory=Acks)

    @classmethod
    def of(cls, members: Iterable[Member]) -> list[Sender]:
        return [cls(index, member) for index, member in enumerate(members)]


@dataclass(frozen=True)
class Spent:
    """What a talk was and what it cost."""

    members: int
    messages: int
    deliveries: int
    seconds: float
    server_cpu_s: float
    driver_cpu_s: float
    latencies_s: list[float]

    @property
    def cpu_us(self) -> float:
        """CPU of the server for each delivery, in microseconds."""
        return self.server_cpu_s * 1e6 / max(self.deliveries, 1)

    @property
    def per_s(self) -> float:
        return self.deliveries / self.seconds


def percentile(values: list[float], percent: float) -> float:
    """Return the value at the nearest rank (`loadtest.rank`); 0 without values."""
    return sorted(values)[nearest_rank(len(values), percent) - 1] if values else 0.0


class Talk:
    """One talk. The crowd must have settled: everybody has read everything that was sent so far."""

    def __init__(
        self, crowd: Crowd, server: ServerProcess, senders: list[Sender], *, text_bytes: int = TEXT_BYTES
    ) -> None:
        """`text_bytes` may be changed at any time."""
        self.crowd = crowd
        self.text_bytes = text_bytes
        self.latencies_s: list[float] = []
        self.transcript = Transcript([sender.number for sender in senders])
        self.sent = 0
        self._server = server
        self._senders = senders
        self._standing = Standing(len(crowd.members))
        self._held: list[Member] = []
        self._completed = 0
        self._due: list[float] = []  # when each message was due; 0 in a closed loop
        self._next_due = 0.0
        for member in crowd.members.values():
            member.at = member.messages = 0
            member.sender = -1
        for sender in senders:
            sender.member.sender = sender.index
            sender.in_flight = 0
            sender.acks = Acks()
        self._server_cpu_s = server.cpu_s()
        self._driver_cpu_s = own_cpu_s()
        self._began = self._came = time.perf_counter()

    # --- talking -------------------------------------------------------------------------------------

    def burst(self, window: int, *, seconds: float = 60.0, messages: int = 1 << 40) -> None:
        """Keep `window` messages of each sender in flight, for so long or so many."""
        until = time.perf_counter() + seconds
        most = self.sent + messages
        while self.sent < most and time.perf_counter() < until:
            for sender in self._senders:
                many = max(0, min(window - sender.in_flight, most - self.sent))
                self._due += [0.0] * many
                self._say(sender, many)
            self._turn(0.05)
            self._land()

    def pace(self, rate: float, seconds: float) -> None:
        """Let the first sender say `rate` messages a second for so long; goes on by the same clock when
        called again. After a `burst`, `catch_up` comes first."""
        now = time.perf_counter()
        if not self._next_due:
            self._next_due = now
            for member in self.crowd.members.values():
                member.messages = self._completed
        until = self._next_due + seconds
        while True:
            while self._next_due <= min(now, until):
                self._due.append(self._next_due)
                self._say(self._senders[0], 1)
                self._next_due += 1 / rate
            if now >= until:
                return
            # epoll counts in whole milliseconds: the last of them is waited for with open eyes.
            wait_ms = int((min(self._next_due, until) - now) * 1e3)
            self._turn(wait_ms / 1e3)
            now = time.perf_counter()

    def hold(self, members: Iterable[Member]) -> None:
        """These stop reading."""
        held = list(members)
        self.crowd.hold(held)
        for member in held:
            self._standing.leave(member.at)
        self._held += held

    def resume(self) -> None:
        """All who had stopped read again, and are owed everything."""
        for member in self._held:
            self._standing.enter(member.at)
        self.crowd.resume(self._held)
        self._held = []

    def everybody_has(self) -> int:
        """How many bytes of the transcript all who read have received."""
        return self._standing.lowest()

    def behind(self, seconds: float) -> bool:
        """Return whether a reading member lacks a message that was due so long ago."""
        due_before = time.perf_counter() - seconds
        have = self.transcript.messages_through(self._standing.lowest())
        return have < len(self._due) and self._due[have] < due_before

    # --- the end -------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Wait until everybody who reads has everything."""
        transcript = self.transcript
        while len(transcript.ends) < self.sent or self._standing.lowest() < len(transcript):
            self._turn(0.05)
        self._land()

    def finish(self) -> Spent:
        """Wait until everybody who reads has everything; what the talk was and cost.

        Raises `BenchError` when something was lost, doubled, changed, out of order, or not acked.
        """
        transcript = self.transcript
        self.catch_up()
        if self.crowd.dialect.acks:
            while sum(len(sender.acks.seqs) for sender in self._senders) < self.sent:
                self._turn(0.05)
        receivers = len(self.crowd.members) - len(self._held)
        spent = Spent(
            members=receivers,
            messages=self.sent,
            deliveries=self.sent * receivers,
            seconds=self._came - self._began,
            server_cpu_s=self._server.cpu_s() - self._server_cpu_s,
            driver_cpu_s=own_cpu_s() - self._driver_cpu_s,
            latencies_s=self.latencies_s,
        )
        until = time.perf_counter() + AFTERWARDS_S
        while time.perf_counter() < until:
            self._turn(0.01)
        if len(transcript.ends) != self.sent or self._standing.lowest() != len(transcript):
            raise BenchError(f"{self.sent} messages were said, {len(transcript.ends)} came")
        if self.crowd.dialect.acks:
            for sender in self._senders:
                sender.acks.check(transcript, sender.index)
        return spent

    # --- sending and receiving -----------------------------------------------------------------------

    def _say(self, sender: Sender, many: int) -> None:
        if many > 0:
            refs = [ref_for(sender.index, sender.number + each) for each in range(many)]
            sender.unsent += b"".join([say(ref, self.text_bytes) for ref in refs])
            sender.number += many
            sender.in_flight += many
            self.sent += many
        if sender.unsent:
            with suppress(BlockingIOError):
                sender.unsent = sender.unsent[sender.member.sock.send(sender.unsent) :]

    def _land(self) -> None:
        """Messages that everybody has are not in flight any more."""
        complete = self.transcript.messages_through(self._standing.lowest())
        for ref in self.transcript.refs[self._completed : complete]:
            self._senders[number_of(ref)[0]].in_flight -= 1
        self._completed = complete

    def _turn(self, timeout_s: float) -> None:
        """Receive what there is, and hold it against the transcript."""
        members = self.crowd.members
        standing = self._standing
        take = self.transcript.take
        last_at, last_end, last_data = -1, -1, b""
        events = self.crowd.epoll.poll(timeout_s)
        for fd, _ in events:
            member = members[fd]
            try:
                data = member.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            if not data:
                raise BenchError(f"the server has ended the connection of {member.name}")
            if member.sender >= 0 and self.crowd.dialect.acks:
                data = self._senders[member.sender].acks.sift(data)
            at = member.at
            if at != last_at or data != last_data:  # mostly it is what the one before received
                last_at, last_end, last_data = at, take(at, data), data
            member.at = last_end
            standing.move(at, last_end)
            if self._next_due:
                self._clock(member)
        now = time.perf_counter()
        if events:
            self._came = now
        elif now - self._came > PATIENCE_S:
            raise BenchError(f"nothing came for {PATIENCE_S:.0f} s, and not everybody has everything")
        for sender in self._senders:
            if sender.unsent:
                self._say(sender, 0)

    def _clock(self, member: Member) -> None:
        """How long after they were due a member has its newest messages."""
        now = time.perf_counter()
        ends = self.transcript.ends
        which = member.messages
        while which < len(ends) and ends[which] <= member.at:
            if self._due[which]:
                self.latencies_s.append(now - self._due[which])
            which += 1
        member.messages = which
