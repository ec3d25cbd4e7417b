"""`trio-chat loadtest`: all of it together."""

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
from loadtest.live import showing
from loadtest.report import STANDARD, as_json, lines, write_json
from loadtest.runner import Run
from loadtest.scenario import CannotRun, Scenario
from loadtest.server import own_server
from loadtest.target import shown
from loadtest.thresholds import Threshold
from trio_chat.errors import ChatError

__all__ = ["allow_files", "loadtest", "look_at"]

SPARE_FILES = 64


async def loadtest(
    scenario: Scenario,
    address: tuple[str, int] | None,
    thresholds: Sequence[Threshold],
    json_path: str | None,
    console: Console,
) -> int:
    """Run a scenario against a server, or one of our own, and say what came of it; the exit status.

    `json_path` is a file, or `-` for standard output: `console` is on standard error then.

    Raises `CannotRun`, also when SIGINT or SIGTERM ends it, and `OutputError`. Nothing is left running.
    """
    status: int | None = None
    failure: ChatError | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_heed, signals, nursery.cancel_scope)
            try:
                status = await _loadtest(scenario, address, thresholds, json_path, console)
            except ChatError as error:
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if status is None:
        raise CannotRun("interrupted, and nothing is proved")
    return status


async def _heed(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()


async def _loadtest(
    scenario: Scenario,
    address: tuple[str, int] | None,
    thresholds: Sequence[Threshold],
    json_path: str | None,
    console: Console,
) -> int:
    allow_files(scenario.users + SPARE_FILES)
    if json_path is not None and json_path != STANDARD:
        look_at(Path(json_path))
    async with _server(scenario, address) as (host, port):
        where = shown(host, port) if address else "a server of its own"
        with showing(console, where) as tell:
            run = Run(scenario, host, port, tag=secrets.token_hex(2) if address else "", tell=tell)
            _tune_memory()
            try:
                await run.run()
            except BaseException:  # the rooms are there all the same
                for line in leftovers.lines(run.rooms if address else []):
                    console.print(line, highlight=False, markup=False, soft_wrap=True)
                raise
    outcome = run.outcome(thresholds)
    for line in lines(scenario, outcome):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if json_path is not None:
        write_json(json_path, as_json(scenario, where, outcome))
    return outcome.verdict.value


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
