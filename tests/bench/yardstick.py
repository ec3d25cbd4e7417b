"""The yardstick: C reference servers and a driver in C, which are not part of this repository.

They lie beside the checkout, or where the environment variable YARDSTICK says. They want a C compiler,
`taskset`, and the cores 0 and 1.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import cast

from tests.bench.plan import Figure, Plan, Stage
from tests.bench.process import trio_chat

__all__ = ["find", "find_driver", "measure_yardstick"]

ROOT = Path(__file__).parent.parent.parent
BESIDE = ROOT.parent / "shared" / "yardstick"
LIMIT_S = 420.0


def _place() -> Path:
    return Path(os.environ["YARDSTICK"]) if "YARDSTICK" in os.environ else BESIDE


def find_driver() -> Path | None:
    """The source of the driver, where it can be built."""
    source = _place() / "fanout.c"
    return source if source.is_file() and shutil.which("gcc") else None


def find() -> tuple[Path | None, str]:
    """The script that compares; without it, what is missing."""
    script = _place() / "compare.py"
    if not script.is_file():
        return None, "the yardstick is not at hand (set `YARDSTICK` to where it is)"
    for tool in ("gcc", "taskset"):
        if shutil.which(tool) is None:
            return None, f"there is no `{tool}`"
    if not os.sched_getaffinity(0) >= {0, 1}:
        return None, "it wants the cores 0 and 1"
    return script, ""


def measure_yardstick(plan: Plan, stage: Stage) -> tuple[list[Figure], str]:
    """The figures, a row for each size, medians already; or none, and why."""
    script, missing = find()
    if script is None:
        return [], missing
    stage.say("yardstick: against the C reference servers")
    with tempfile.TemporaryDirectory() as away:
        report = Path(away, "rows.json")
        command = [
            sys.executable,
            str(script),
            f"--server={shlex.quote(trio_chat())} serve --port {{port}} --no-rate-limit --journal memory",
            f"--sizes={','.join(map(str, plan.sizes))}",
            f"--reps={plan.repetitions}",
            f"--seconds={plan.yardstick_s}",
            f"--json={report}",
        ]
        status, said = _run(command)
        if status:
            return [], f"it ended with `{said.strip()[-200:] or status}`"
        return cast("list[Figure]", json.loads(report.read_text())), ""


def _run(command: list[str]) -> tuple[int, str]:
    """Run it with all it starts in a group of processes, which is ended when it takes too long."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _, said = process.communicate(timeout=LIMIT_S)
        return process.returncode, said
    except subprocess.TimeoutExpired:
        return 1, f"it took longer than {LIMIT_S:.0f} s"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
