"""`trio-chat loadtest`: a run against a server, from the first connection to what came of it."""

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
from loadtest.progress import showing
from loadtest.report import STANDARD
from loadtest.runner import LoadTest
from loadtest.scenario import CannotRun, Scenario
from loadtest.server import own_server
from loadtest.target import shown_server
from loadtest.thresholds import Threshold
from loadtest.verdict import RunResult, Verdict
from trio_chat.errors import ChatError

__all__ = ["allow_files", "look_at", "measure"]

SPARE_FILES = 64


async def measure(
    scenario: Scenario,
    address: tuple[str, int] | None,
    thresholds: Sequence[Threshold],
    json_path: str | None,
    console: Console,
) -> RunResult:
    """Run a scenario against a server, or one of our own, and return what came of it.

    SIGINT or SIGTERM ends it: the outcome is then what was measured until that. A server of our own has ended
    when this returns. Raises `CannotRun`, also for a report that could not be written to `json_path`.
    """
    attempt = _Attempt(scenario, address, console)
    failure: ChatError | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()  # not the nursery's: signals are taken until the run has ended
            nursery.start_soon(attempt.watch, signals, scope)
            try:
                allow_files(scenario.users + SPARE_FILES)
                if json_path is not None and json_path != STANDARD:
                    look_at(Path(json_path))
                with scope:
                    await attempt.run()
            except ChatError as error:
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None and attempt.stopped is None:
        raise failure
    return attempt.outcome(thresholds)


class _Attempt:
    """A run, and the signal that stopped it."""

    stopped: Verdict | None = None

    def __init__(self, scenario: Scenario, address: tuple[str, int] | None, console: Console) -> None:
        self._scenario = scenario
        self._address = address
        self._console = console
        self._run = LoadTest(scenario, "", 0)  # until there is a server

    async def watch(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        """Cancel a scope at the first signal. Further ones change nothing: all that follows is bounded."""
        async for number in signals:
            if self.stopped is None:
                self.stopped = Verdict(128 + number)
            scope.cancel()

    async def run(self) -> None:
        scenario, address, console = self._scenario, self._address, self._console
        async with _server(scenario, address) as (host, port):
            with showing(console, shown_server(address)) as tell:
                tag = secrets.token_hex(2) if address else ""
                self._run = LoadTest(scenario, host, port, tag=tag, tell=tell)
                _tune_memory()
                try:
                    await self._run.run()
                except Exception:  # the rooms are there all the same, and no report will say so
                    has_rooms = address is not None and self.stopped is None
                    for line in leftovers.lines(self._run.rooms if has_rooms else []):
                        console.print(line, highlight=False, markup=False, soft_wrap=True)
                    raise

    def outcome(self, thresholds: Sequence[Threshold]) -> RunResult:
        return self._run.outcome(thresholds, stopped=self.stopped)


def look_at(path: Path) -> None:
    """Raises `CannotRun` when there is no writing to it: better now than when the run is over."""
    if not path.parent.is_dir():
        raise CannotRun(f"cannot write {path}: there is no such directory")
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


def allow_files(count: int) -> None:
    """Raise the limit of open files. Raises `CannotRun` when it does not go so far."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise CannotRun(
            f"{count} open files are needed and the limit is {hard}: raise it (ulimit -n) or lower --users"
        )
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    except (OSError, ValueError, OverflowError) as error:  # a system may have a bound beside the limit
        raise CannotRun(f"{count} open files are needed, and cannot be had: lower --users") from error


def _tune_memory() -> None:
    """As the server does: what a run makes holds few cycles, and each collection walks all connections."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
