"""How long processes were ready to run while others had their core: the machine's doing, not the server's.

Linux counts it for each thread in /proc/PID/task/TID/schedstat: nanoseconds on a core, nanoseconds ready and
waiting for one, and how often. A thread of the server that waits for another thread of the server, such as
the one that writes the journal, is delayed by the server: that time is not subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Delay", "Schedule", "read_delay", "read_schedule", "total_delay", "without_delay"]

Schedule = tuple[int, int]
"""Nanoseconds on a core, and nanoseconds ready and waiting for one."""


class Delay(NamedTuple):
    """Seconds since the processes began, of which only differences mean something."""

    server_waited_s: float = 0.0
    """For which the server's main thread was ready and waited for a core."""
    server_ran_s: float = 0.0
    server_threads_s: float = 0.0
    """For which other threads of the server ran, perhaps on that core."""
    own_waited_s: float = 0.0


def without_delay(latency_s: float, before: Delay, after: Delay) -> float:
    """Return what is left of a latency without the time for which other processes had the core.

    The server and the witnesses may have waited at the same moment, so their times are not added. A wait is
    counted when it ends, so it may have begun before the line was sent: what the server has run meanwhile is
    its own in any case.
    """
    waited_s = after.server_waited_s - before.server_waited_s
    waited_s -= after.server_threads_s - before.server_threads_s
    delayed_s = max(waited_s, after.own_waited_s - before.own_waited_s, 0.0)
    ran_s = after.server_ran_s - before.server_ran_s
    return min(max(latency_s - delayed_s, ran_s), latency_s)


def total_delay(server: Mapping[int, Schedule], server_pid: int, own: Mapping[int, Schedule]) -> Delay:
    """Return the delay from the schedules of both processes, by thread."""
    ran, waited = server.get(server_pid, (0, 0))
    threads = sum(ran for thread, (ran, _) in server.items() if thread != server_pid)
    return Delay(waited / 1e9, ran / 1e9, threads / 1e9, sum(waiting for _, waiting in own.values()) / 1e9)


def read_schedule(pid: int) -> dict[int, Schedule]:
    """Return the schedule of each thread of a process; nothing when it has ended."""
    found: dict[int, Schedule] = {}
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            ran, waited, _ = (task / "schedstat").read_text().split()
            found[int(task.name)] = (int(ran), int(waited))
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return found


def read_delay(server_pid: int, own_pid: int) -> Delay:
    """Return the delay until now."""
    return total_delay(read_schedule(server_pid), server_pid, read_schedule(own_pid))
