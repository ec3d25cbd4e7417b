"""Worker processes that end with their parent, and commands that a signal ends at once, with a summary."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from types import FrameType

__all__ = ["ending_on_signals", "signals_blocked", "worker_pool"]

SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@contextmanager
def ending_on_signals(summary: Callable[[], str]) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the process with status 130 or 143 and a last line, while the block runs.

    Without workers the handler ends the process itself: an exception could be raised inside a run, and be
    taken for its result. With workers it raises SystemExit, so that `worker_pool` can kill them. A signal
    that is ignored stays ignored.
    """

    def end(number: int, _: FrameType | None) -> None:
        for each in handled:
            signal.signal(each, signal.SIG_IGN)
        # Not through sys.stderr: the signal may have interrupted a write to it.
        with suppress(OSError):
            os.write(2, f"{SIGNALS[signal.Signals(number)]}: {summary()}\n".encode())
        if active_children():
            sys.exit(128 + number)
        os._exit(128 + number)

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    handled = [number for number, handler in handlers.items() if handler is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, handlers[number])


@contextmanager
def worker_pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Open a pool whose processes end with this process, even if it is killed. Submit in `signals_blocked`.

    They are spawned, not forked, so that they behave alike on every system and inherit no imported modules.
    """
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool
    except BaseException:
        for worker in active_children():  # otherwise the shutdown waits for the work they have begun
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block SIGINT and SIGTERM while the block runs. Processes that are started in it keep them blocked.

    Ctrl-C signals all processes of a terminal, and a traceback of each worker would bury the last line.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    assert parent is not None, "only a worker waits"
    parent.join()
    os._exit(1)
