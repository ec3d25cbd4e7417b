"""Run a load test against a server in memory, on a clock that jumps: ten seconds take a tenth of one."""

from collections.abc import Awaitable, Callable
from random import Random

import trio

from loadtest.runner import LoadTest, RunProgress
from loadtest.scenario import CannotRun, Scenario
from loadtest.thresholds import parse_threshold
from loadtest.transport import Transport
from loadtest.verdict import RunResult
from tests.loadtest.faulty_server import FaultInjector, FaultyLink
from tests.server.harness import START_MS, PipeListener
from trio_chat.journal.store import Store
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import open_server
from trio_chat.testing.pipe import PipeLink

__all__ = ["run_in_memory"]


async def run_in_memory(
    scenario: Scenario,
    *thresholds: str,
    injector: FaultInjector | None = None,
    rate_limit: bool = False,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
    store: Store | None = None,
    beside: Callable[[LoadTest], Awaitable[object]] | None = None,
    **limits: int,
) -> RunResult:
    """Return the result of a run. `beside` runs at the same time, and is cancelled at its end."""
    listener = PipeListener()

    async def dial(host: str, port: int) -> Transport:
        await trio.lowlevel.checkpoint()
        link: PipeLink = listener.dial(65_536, "")
        return FaultyLink(link, injector) if injector is not None else link

    config = Config(rate_limit=rate_limit, limits=Limits(**limits))
    async with open_server(
        config,
        listeners=[listener],
        store=store,
        clock_ms=lambda: START_MS + int(trio.current_time() * 1_000),  # not the clock of the machine
        random_bytes=Random(scenario.seed).randbytes,
    ):
        run = LoadTest(scenario, "memory", 0, dial=dial, on_progress=on_progress)
        failure: CannotRun | None = None
        async with trio.open_nursery() as nursery:
            if beside is not None:
                nursery.start_soon(beside, run)
            try:
                await run.run()
            except CannotRun as error:
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure  # raised here, so that the server's nurseries do not wrap it in groups
    return run.result([parse_threshold(text) for text in thresholds])
