"""A server as a process of its own: where it runs, and what it costs. All of it as Linux tells it."""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.bench.checkout import Checkout
from tests.bench.errors import BenchError

__all__ = ["ServerProcess", "allow_files", "cores", "own_cpu_s", "pinned", "reference", "trio_chat"]

START_S = 20.0
STOP_S = 12.0
_PR_SET_PDEATHSIG = 1


def cores() -> list[int]:
    """The cores this process may use: the server gets the first, the driver the second."""
    return sorted(os.sched_getaffinity(0))


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Stay on one core for as long as the block lasts; anywhere for None."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def trio_chat() -> str:
    """The command, as it is installed beside this Python."""
    command = shutil.which("trio-chat", path=sysconfig.get_path("scripts"))
    if command is None:
        raise BenchError("trio-chat is not installed beside this Python: pip install -e .")
    return command


def reference(mode: str) -> list[str]:
    return [sys.executable, "-m", "tests.bench.reference", mode]


@dataclass
class ServerProcess:
    """A running server, and what it has used until now."""

    pid: int
    port: int

    def cpu_s(self) -> float:
        """CPU of all its threads, in user and kernel, to the nanosecond where the scheduler keeps books."""
        total = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def rss_kib(self) -> int:
        """What of its memory is resident now; what the kernel holds for its sockets is not in it."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise BenchError("the server is gone")

    def wait_idle(self, limit_s: float = 15.0) -> None:
        """Wait until it does next to nothing, so that one phase does not pay for the one before."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            before = self.cpu_s()
            time.sleep(0.1)
            if self.cpu_s() - before < 0.003:
                return

    @classmethod
    @contextmanager
    def running(
        cls,
        command: list[str],
        core: int | None,
        environment: dict[str, str] | None = None,
        *,
        stderr: IO[bytes] | None = None,
    ) -> Iterator[ServerProcess]:
        """The server for as long as the block lasts. It says where it listens in its first line."""
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - there are no threads here
            text=True,
        )
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            server = cls(process.pid, _port(process))
            server.wait_idle()
            yield server
        finally:
            _end(process)

    @classmethod
    @contextmanager
    def ours(
        cls,
        core: int | None,
        *,
        connections: int = 0,
        journal: str = "memory",
        checkout: Checkout | None = None,
    ) -> Iterator[ServerProcess]:
        """Run our server with the users' defaults but without a rate limit; `checkout` selects the commit."""
        program = checkout.command if checkout else [trio_chat()]
        command = [*program, "serve", "--port=0", f"--journal={journal}", "--no-rate-limit"]
        if connections:
            command.append(f"--max-connections={connections}")
        with cls.running(command, core, checkout.environment if checkout else None) as server:
            yield server


def _end_with_parent() -> None:
    # Should the driver be killed in a way that no `finally` sees.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_S)
    line = process.stdout.readline() if ready else ""
    if not line.startswith("listening on "):
        raise BenchError(f"the server did not start: it said {line!r}")
    return int(line.rpartition(":")[2])


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def own_cpu_s() -> float:
    return time.process_time()


def allow_files() -> int:
    """Raise this process's limit of open files to the hard one; how many that is."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard
