"""Run `trio-chat loadtest` against a server, from the first connection to the result."""

import gc
import os
import resource
import secrets
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import trio
from rich.console import Console

from loadtest import leftovers
from loadtest.progress import progress_display
from loadtest.report import STANDARD
from loadtest.runner import LoadTest
from loadtest.scenario import CannotRun, Scenario
from loadtest.server import own_server
from loadtest.target import shown_server
from loadtest.thresholds import Threshold
from loadtest.verdict import RunResult, Verdict
from trio_chat.errors import ChatError

__all__ = ["check_writable", "measure", "raise_file_limit"]

SPARE_FILES = 64


async def measure(
    scenario: Scenario,
    address: tuple[str, int] | None,
    thresholds: Sequence[Threshold],
    json_path: str | None,
    console: Console,
) -> RunResult:
    """Run a scenario and return its result.

    Without an address, start a server for the run; it has ended when this returns. SIGINT or SIGTERM ends the
    run, and the result is what was measured until then. Raises `CannotRun`, also if the report could not be
    written to `json_path`.
    """
    run = _StoppableRun(scenario, address, console)
    failure: ChatError | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()  # not the nursery's: signals are handled until the run has ended
            nursery.start_soon(run.watch, signals, scope)
            try:
                raise_file_limit(scenario.users + SPARE_FILES)
                if json_path is not None and json_path != STANDARD:
                    check_writable(Path(json_path))
                with scope:
                    await run.run()
            except ChatError as error:
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None and run.stopped is None:
        raise failure
    return run.result(thresholds)


class _StoppableRun:
    """A run that a signal can stop; `stopped` is then the verdict."""

    stopped: Verdict | None = None

    def __init__(self, scenario: Scenario, address: tuple[str, int] | None, console: Console) -> None:
        self._scenario = scenario
        self._address = address
        self._console = console
        self._run = LoadTest(scenario, "", 0)  # until there is a server

    async def watch(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        """Cancel a scope at the first signal. Ignore further signals: the rest of the run is bounded."""
        async for number in signals:
            if self.stopped is None:
                self.stopped = Verdict(128 + number)
            scope.cancel()

    async def run(self) -> None:
        scenario, address, console = self._scenario, self._address, self._console
        async with _server(scenario, address) as (host, port):
            with progress_display(console, shown_server(address)) as on_progress:
                tag = secrets.token_hex(2) if address else ""
                self._run = LoadTest(scenario, host, port, tag=tag, on_progress=on_progress)
                _tune_memory()
                try:
                    await self._run.run()
                except Exception:  # the rooms still exist, and there will be no report to name them
                    has_rooms = address is not None and self.stopped is None
                    for line in leftovers.lines(self._run.rooms if has_rooms else []):
                        console.print(line, highlight=False, markup=False, soft_wrap=True)
                    raise

    def result(self, thresholds: Sequence[Threshold]) -> RunResult:
        return self._run.result(thresholds, stopped=self.stopped)


def check_writable(path: Path) -> None:
    """Raise `CannotRun` now, rather than after the run, if a file cannot be written."""
    if not path.parent.is_dir():
        raise CannotRun(f"cannot write {path}: no such directory")
    if path.is_dir():
        raise CannotRun(f"cannot write {path}: it is a directory")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise CannotRun(f"cannot write {path}: permission denied")


def _server(
    scenario: Scenario, address: tuple[str, int] | None
) -> AbstractAsyncContextManager[tuple[str, int]]:
    @asynccontextmanager
    async def given() -> AsyncGenerator[tuple[str, int]]:
        assert address is not None
        yield address

    @asynccontextmanager
    async def own() -> AsyncGenerator[tuple[str, int]]:
        async with own_server(scenario.users) as port:
            yield "127.0.0.1", port

    return given() if address is not None else own()


def raise_file_limit(count: int) -> None:
    """Raise the limit of open files to `count`. Raises `CannotRun` if that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise CannotRun(
            f"cannot open {count} files: the limit is {hard}; raise it (ulimit -n) or lower --users"
        )
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    except (OSError, ValueError, OverflowError) as error:  # a system may have a further limit
        raise CannotRun(f"cannot open {count} files: {error}; lower --users") from error


def _tune_memory() -> None:
    """Collect garbage less often, as the server does: there are few cycles, and many objects to visit."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
