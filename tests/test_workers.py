"""Workers and signals: what a worker is started with, and a signal that arrives inside a run."""

import os
import signal
import subprocess
import sys

from tests.patience import PATIENCE_S
from tests.workers import ending_on_signals, signals_blocked, worker_pool

SIGNALLED_IN_A_NURSERY = """
import os, signal, trio
from tests.sim.__main__ import main
from tests.sim.stories import STORIES
from trio_chat.testing import simulate

async def signals_itself(sim):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        os.kill(os.getpid(), signal.SIGTERM)

STORIES["chat"] = lambda seed: simulate(seed, signals_itself) if seed == 3 else None
main(["chat", "--seeds", "5", "--processes", "1"])
"""


def blocked_here() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def test_a_worker_keeps_the_signals_blocked_and_its_parent_does_not() -> None:
    before = blocked_here()
    with worker_pool(1) as pool:
        with signals_blocked():
            submitted = pool.submit(blocked_here)
        assert {signal.SIGINT, signal.SIGTERM} <= submitted.result(PATIENCE_S)
    assert blocked_here() == before


def test_a_signal_inside_a_run_is_no_failure_of_the_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED_IN_A_NURSERY],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stdout) == (143, "")
    assert done.stderr.splitlines()[-1].startswith("terminated: ")
    assert " 3 of 5 runs" in done.stderr.splitlines()[-1]


def test_the_handlers_are_back_and_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        terminated = signal.getsignal(signal.SIGTERM)
        with ending_on_signals(str):
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not terminated
        assert signal.getsignal(signal.SIGTERM) is terminated
    finally:
        signal.signal(signal.SIGINT, before)
