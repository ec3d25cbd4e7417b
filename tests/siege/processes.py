"""The witnesses and the attacker as processes of their own, and how the runner talks to them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path

from tests.bench.process import ServerProcess
from tests.siege.attack import Attack
from tests.siege.errors import SiegeError
from tests.siege.verdict import Phase

__all__ = ["Attacker", "Chatter", "Witnesses", "wait_for_end"]

ROOT = Path(__file__).parent.parent.parent
START_S = 30.0
FINISH_S = 25.0
LINE_BYTES = 1 << 16


class _Process:
    """A child that prints lines; reading them has a deadline."""

    def __init__(self, arguments: Sequence[str], core: int | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        self._unread = b""

    def line(self, deadline: float) -> str | None:
        """Return the next line, or None at the deadline. Raises `SiegeError` at the end of the output."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._unread:
            ready, _, _ = select.select([descriptor], [], [], max(deadline - time.monotonic(), 0.0))
            if not ready:
                return None
            data = os.read(descriptor, LINE_BYTES)
            if not data:
                raise SiegeError(f"cannot go on: {self._what} ended with status {self._process.wait()}")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def required_line(self, seconds: float) -> str:
        line = self.line(time.monotonic() + seconds)
        if line is None:
            raise SiegeError(f"cannot go on: {self._what} printed nothing for {seconds:.0f} s")
        return line

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def _what(self) -> str:
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Chatter:
    """All that the witnesses have measured."""

    lines: list[tuple[float, float, float]]
    """When each was sent, its latency, and that with the machine's delay; infinite if it never came."""
    faults: list[str]
    late_s: float

    def phase(self, first: float, last: float) -> Phase:
        """Return the latencies of the lines that were sent between two moments."""
        chosen = [line for line in self.lines if first <= line[0] < last]
        return Phase([latency for _, latency, _ in chosen], [raw for _, _, raw in chosen])


class Witnesses(_Process):
    """The two witnesses, chatting for as long as the block lasts."""

    @classmethod
    @contextmanager
    def chatting(cls, server: ServerProcess, core: int | None) -> Iterator[Witnesses]:
        witnesses = cls(
            ["tests.siege.witnesses", f"--port={server.port}", f"--server-pid={server.pid}"], core
        )
        try:
            if witnesses.required_line(START_S) != "ready":
                raise SiegeError("cannot go on: the witnesses are not in their room")
            yield witnesses
        finally:
            witnesses.end()

    def announce_drain(self) -> None:
        """Tell the witnesses that the server will stop."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"drain\n")
        self._process.stdin.flush()

    def finish(self) -> Chatter:
        """End the chat. Return what was measured."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        result = json.loads(self.required_line(FINISH_S))
        lines = [
            (sent_at, inf if latency is None else latency, inf if raw is None else raw)
            for sent_at, latency, raw in result["lines"]
        ]
        return Chatter(lines, result["faults"], result["late_s"])


class Attacker(_Process):
    """The process of one attack, for as long as the block lasts."""

    @classmethod
    @contextmanager
    def attacking(
        cls,
        attack: Attack,
        server: ServerProcess,
        core: int | None,
        *,
        seconds: float,
        quick: bool,
        journal: str,
    ) -> Iterator[Attacker]:
        arguments = [
            "tests.siege.attacker",
            attack.name,
            f"--port={server.port}",
            f"--server-pid={server.pid}",
            f"--seconds={seconds}",
            *(["--quick"] if quick else []),
            *([f"--journal={journal}"] if attack.journal == "file" else []),
        ]
        attacker = cls(arguments, core)
        try:
            yield attacker
        finally:
            attacker.end()


def wait_for_end(pid: int, seconds: float) -> tuple[float, int] | None:
    """Return after how long a child has ended, and its status or signal; None if it has not.

    The child stays one that its owner can wait for.
    """
    began = time.monotonic()
    while (took := time.monotonic() - began) < seconds:
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is not None:
            return took, ended.si_status
        time.sleep(0.02)
    return None
