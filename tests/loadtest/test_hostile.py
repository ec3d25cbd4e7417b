"""A load test against a hostile server ends with a verdict or an error, and uses little memory."""

from collections.abc import Callable

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from loadtest.runner import PHASE_S_MAX, LoadTest
from loadtest.scenario import Scenario
from loadtest.stats import CODES_KEPT, Stats
from loadtest.transport import Transport
from loadtest.verdict import Verdict
from tests.client.hostile import HostileServer
from tests.client.scripted import ScriptedServer
from tests.loadtest.faulty_server import FaultInjector
from tests.loadtest.in_memory import run_in_memory
from trio_chat.errors import ChatError
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire.messages import MAX_NUMBER, Ack, Error, Event, Gap, Presence, Room, Said

SMALL = Scenario(users=6, rate=20, duration_s=2, disconnects=0.5)


async def run_load_test(seed: int) -> None:
    """Load a hostile server; raise only unexpected errors."""
    stage = ScriptedServer()
    server = HostileServer(seed, answers=400)

    async def dial(host: str, port: int) -> Transport:
        link = await stage.dial(host, port)
        assert isinstance(link, PipeLink)
        return link

    async with trio.open_nursery() as servers:
        servers.start_soon(server.serve, stage)
        run = LoadTest(SMALL, "memory", 0, dial=dial)
        try:
            with trio.fail_after(3 * PHASE_S_MAX):
                await run.run()
            assert run.result().verdict in Verdict
        except ChatError as error:
            assert str(error).isprintable()
        servers.cancel_scope.cancel()


@pytest.mark.seeds(20)
def test_a_load_test_survives_a_hostile_server(seed: int) -> None:
    trio.run(run_load_test, seed, clock=MockClock(autojump_threshold=0))


# --- a repeated fault -------------------------------------------------------------------------------------


def huge_head(injector: FaultInjector, event: Event) -> list[Event]:
    return [replace(event, head=MAX_NUMBER)] if isinstance(event, Room) else [event]


def huge_gap(injector: FaultInjector, event: Event) -> list[Event]:
    return [Gap("room0", 0, MAX_NUMBER, kept=False), event] if isinstance(event, Said) else [event]


def huge_number(injector: FaultInjector, event: Event) -> list[Event]:
    return [replace(event, seq=MAX_NUMBER)] if isinstance(event, Said) else [event]


def huge_ack(injector: FaultInjector, event: Event) -> list[Event]:
    return [replace(event, seq=MAX_NUMBER)] if isinstance(event, Ack) and event.seq else [event]


def strangers(injector: FaultInjector, event: Event) -> list[Event]:
    injector.seen += 1
    return [event, Presence("room0", 6, [f"{injector.seen} {number}" for number in range(500)])]


def made_up_codes(injector: FaultInjector, event: Event) -> list[Event]:
    injector.seen += 1
    return [event, Error(f"code {injector.seen}\n", "no")]


@pytest.mark.parametrize(
    "change",
    [huge_head, huge_gap, huge_number, huge_ack, strangers, made_up_codes],
    ids=lambda change: change.__name__,
)
@pytest.mark.parametrize("user", ["u0", "u"])
async def test_a_fault_toward_one_or_all_users_has_a_verdict(
    change: Callable[[FaultInjector, Event], list[Event]], user: str, autojump_clock: MockClock
) -> None:
    outcome = await run_in_memory(SMALL, injector=FaultInjector(user, change))
    if change is made_up_codes:
        assert list(outcome.figures.refused) == ["other"]
    else:
        assert outcome.verdict is Verdict.BROKEN
    assert all(breach.words.isprintable() for breach in outcome.breaches)


async def test_endless_irrelevant_events_do_not_extend_a_phase(autojump_clock: MockClock) -> None:
    """One ack is missing, and notices arrive during the whole run."""
    injector = FaultInjector(
        "u0", lambda injector, event: [] if isinstance(event, Ack) and isinstance(event.seq, int) else [event]
    )
    ticked = []

    async def tick(run: LoadTest) -> None:
        while True:
            await trio.sleep(5)
            for visit in run.judge.stays:
                visit.noticed(6, [], [])
            ticked.append(trio.current_time())

    outcome = await run_in_memory(SMALL, injector=injector, beside=tick)
    assert outcome.verdict is Verdict.BROKEN
    assert PHASE_S_MAX <= ticked[-1] < PHASE_S_MAX + 60


def test_refusal_codes_are_bounded_and_printable() -> None:
    stats = Stats()
    for number in range(1_000):
        stats.count_refusal(f"code {number}")
    for code in ("x" * 60_000, "\x1b[2J", "code 3"):
        stats.count_refusal(code)
    assert len(stats.refused) == CODES_KEPT + 1
    assert stats.refused["code 3"] == 2
    assert stats.refused["other"] == 1_000 - CODES_KEPT + 2
    assert sum(stats.refused.values()) == 1_003
