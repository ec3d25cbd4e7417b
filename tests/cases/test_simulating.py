"""The commands that simulate with many seeds: a signal ends them and all of their processes at once."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.cases.commands import PATIENCE_S

SIM = ("tests.sim", "chat", "--seeds", "100000")
MUTANTS = ("tests.mutants", "unshown-read", "partial-send", "--starts", "2")
SIGNALS = [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]


@contextmanager
def started(*args: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module in its own process group, and kill the rest of the group at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, Sequence[str]]:
    """Wait until no process has the output open, so no worker is left; return the status and last lines.

    Raises:
        subprocess.TimeoutExpired: A process still runs.
    """
    out, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out.decode().splitlines()


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize(("number", "status", "word"), SIGNALS)
@pytest.mark.parametrize("to_group", [False, True])
def test_a_signal_ends_a_simulation(
    number: signal.Signals, status: int, word: str, processes: str, to_group: bool
) -> None:
    with started(*SIM, "--processes", processes) as process:
        assert process.stdout is not None
        assert b" of 100,000 runs" in process.stdout.readline()
        (os.killpg if to_group else os.kill)(process.pid, number)
        code, lines = ended(process)
    assert code == status
    assert re.fullmatch(word + r": +\d+ s  [\d,]+ of 100,000 runs, \d+ a second, 0 failed", lines[-1])
    assert "Traceback" not in "".join(lines)


def test_workers_end_with_a_simulation_that_is_killed() -> None:
    with started(*SIM, "--processes", "2") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        code, _ = ended(process)
    assert code == -signal.SIGKILL


@pytest.mark.parametrize(("number", "status", "word"), SIGNALS)
def test_a_signal_ends_a_mutant_run(number: signal.Signals, status: int, word: str) -> None:
    with started(*MUTANTS, "--processes", "2") as process:
        assert process.stdout is not None
        assert b" hunts are over; " in process.stdout.readline()
        process.send_signal(number)
        code, lines = ended(process)
    assert code == status
    assert re.fullmatch(word + r": \d of 4 hunts are over", lines[-1])
