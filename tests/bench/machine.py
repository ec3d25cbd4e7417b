"""What it was measured on: without it a figure in microseconds means nothing."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

__all__ = ["describe", "steal_share", "ticks"]


def describe() -> dict[str, str]:
    """The machine and the versions, as rows of a table."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: version(name) for name in ("trio-chat", "trio", "msgspec")},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def ticks() -> tuple[int, int]:
    """Of all cores since the machine began: the time others took from this virtual machine, and all time."""
    fields = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[7], sum(fields)


def steal_share(before: tuple[int, int], after: tuple[int, int] | None = None) -> float:
    """How much of the cores' time was taken by other virtual machines since `before`, from `ticks`."""
    stolen, total = after or ticks()
    return (stolen - before[0]) / max(total - before[1], 1)
