"""The connections: many sockets, one epoll, nothing else between the driver and the kernel."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable
from itertools import count
from typing import Self

from tests.bench.dialect import Dialect, frame
from tests.bench.errors import BenchError
from tests.bench.transcript import Company

__all__ = ["RECEIVE_BYTES", "Crowd", "Member"]

RECEIVE_BYTES = 65_536
# At most so many on their way in at once: enough to keep a server busy, few enough to be fair to one that
# accepts one connection a pass.
PENDING = 8
CONNECT_S = 90.0
SETTLE_S = 60.0
PING_S = 15.0
_BIND_ADDRESS_NO_PORT = 24  # Linux; Python names it from 3.12 on

_names = count(1)


class Member:
    """One connection. `at` and `messages` are how much of a transcript it has received."""

    __slots__ = ("at", "messages", "name", "recv", "said", "sender", "sock", "step", "unread")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.recv: Callable[[int], bytes] = sock.recv
        self.name = f"u{next(_names)}"  # never used twice: the last one's owner may still be leaving
        self.at = 0
        self.messages = 0
        self.said = 0  # while it waits for acks
        self.sender = -1  # which of the senders, if any
        self.step = 0
        self.unread = b""

    def widen(self, receive_bytes: int) -> None:
        """Give its socket a larger buffer."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)


class Crowd:
    """The members of one room of one server; a context manager, which closes their connections."""

    def __init__(self, port: int, dialect: Dialect) -> None:
        self.dialect = dialect
        self.members: dict[int, Member] = {}
        self.epoll = select.epoll()
        self.port = port
        self._pinged_at = time.monotonic()
        self._listener: Member | None = None  # the first of all, who hears of the others
        self._company = Company()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.part(list(self.members.values()))
        self.epoll.close()

    def connect(self, many: int, *, sources: int = 1, receive_bytes: int = 0) -> list[Member]:
        """Let so many more come in and join, from so many addresses of loopback; waits until they have.

        With `receive_bytes` their sockets hold no more than that, about.
        """
        deadline = time.monotonic() + CONNECT_S
        came: list[Member] = []
        waiting: dict[int, Member] = {}
        while len(came) < many or waiting:
            while len(came) < many and len(waiting) < PENDING:
                member = self._open(f"127.0.0.{1 + len(came) % sources}", receive_bytes)
                came.append(member)
                waiting[member.sock.fileno()] = member
                self._step(member)
            for fd, _ in self.epoll.poll(1.0):
                data = self._receive(self.members[fd])
                if fd in waiting and self._advanced(waiting[fd], data):
                    del waiting[fd]
            if time.monotonic() > deadline:
                raise BenchError(f"only {len(came) - len(waiting)} of {many} came in {CONNECT_S:.0f} s")
        return came

    def add(self, member: Member) -> None:
        """Let one in that has come by its own means, and is in another room."""
        self.members[member.sock.fileno()] = member
        self.epoll.register(member.sock, select.EPOLLIN)

    def drop(self, member: Member) -> None:
        """Remove a member that leaves without a notice to the room."""
        del self.members[member.sock.fileno()]
        member.sock.close()

    def settle(self, *, quiet_s: float = 0.0) -> None:
        """Read and forget until all have come, the room has been told so, and nothing comes any more.

        In large rooms the notices of who has come are rare: one in ten times what one costs to send.
        """
        self._keep_alive()
        quiet_s = quiet_s or 0.4 + len(self.members) / 20_000
        now = time.monotonic()
        deadline = now + SETTLE_S
        last = now
        while (now := time.monotonic()) - last < quiet_s or not self._told():
            for fd, _ in self.epoll.poll(0.05):
                self._receive(self.members[fd])
                last = now
            if now > deadline:
                raise BenchError(f"the room has not come to rest in {SETTLE_S:.0f} s")

    def _keep_alive(self) -> None:
        """Say something, as clients have to now and then: who is silent for a minute is given up."""
        now = time.monotonic()
        if self.dialect.ping and now - self._pinged_at > PING_S:
            self._pinged_at = now
            for member in self.members.values():
                member.sock.send(self.dialect.ping)

    def _told(self) -> bool:
        return (
            not self.dialect.presence or len(self.members) == 1 or self._company.members == len(self.members)
        )

    def hold(self, members: Iterable[Member]) -> None:
        """Read nothing more of theirs."""
        for member in members:
            self.epoll.unregister(member.sock)

    def resume(self, members: Iterable[Member]) -> None:
        for member in members:
            self.epoll.register(member.sock, select.EPOLLIN)

    def part(self, members: Iterable[Member]) -> None:
        """Close some connections."""
        for member in members:
            self._company.forget()
            del self.members[member.sock.fileno()]
            member.sock.close()

    def _open(self, source: str, receive_bytes: int) -> Member:
        sock = socket.socket()
        try:
            if receive_bytes:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            if source != "127.0.0.1":
                sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                sock.bind((source, 0))
            sock.settimeout(10)
            sock.connect(("127.0.0.1", self.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        member = Member(sock)
        self._company.forget()
        self._listener = self._listener or member
        self.add(member)
        return member

    def _step(self, member: Member) -> None:
        payload, _ = self.dialect.steps[member.step]
        member.sock.send(frame(payload.replace("NAME", member.name).encode("ascii")))

    def _advanced(self, member: Member, data: bytes) -> bool:
        """Go on with the handshake; true when it is done."""
        member.unread += data
        if b'{"type":"bye"' in member.unread or b'{"type":"error"' in member.unread:
            raise BenchError(f"{member.name} was refused: {member.unread[-300:]!r}")
        if self.dialect.steps[member.step][1] not in member.unread:
            return False
        member.unread = b""
        member.step += 1
        if member.step == len(self.dialect.steps):
            return True
        self._step(member)
        return False

    def _receive(self, member: Member) -> bytes:
        try:
            data = member.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            raise BenchError(f"the server has ended the connection of {member.name}")
        if self.dialect.presence and member is self._listener:
            self._company.hear(data)
        return data
