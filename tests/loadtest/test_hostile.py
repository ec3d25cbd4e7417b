"""A load test against a hostile server: it ends with a verdict or an error of ours, and keeps little."""

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
from tests.loadtest.house import run_in_memory
from tests.loadtest.liar import Liar
from trio_chat.errors import ChatError
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire.messages import MAX_NUMBER, Ack, Error, Event, Gap, Presence, Room, Said

SMALL = Scenario(users=6, rate=20, duration_s=2, disconnects=0.5)


async def visit(seed: int) -> None:
    """Load a hostile server. Raises what is no error of ours."""
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
            assert run.outcome().verdict in Verdict
        except ChatError as error:
            assert str(error).isprintable()
        servers.cancel_scope.cancel()


@pytest.mark.seeds(20)
def test_a_load_test_survives_a_hostile_server(seed: int) -> None:
    trio.run(visit, seed, clock=MockClock(autojump_threshold=0))


# --- one lie that is told again and again -------------------------------------------------------------------


def huge_head(liar: Liar, event: Event) -> list[Event]:
    return [replace(event, head=MAX_NUMBER)] if isinstance(event, Room) else [event]


def huge_gap(liar: Liar, event: Event) -> list[Event]:
    return [Gap("room0", 0, MAX_NUMBER, kept=False), event] if isinstance(event, Said) else [event]


def huge_number(liar: Liar, event: Event) -> list[Event]:
    return [replace(event, seq=MAX_NUMBER)] if isinstance(event, Said) else [event]


def huge_ack(liar: Liar, event: Event) -> list[Event]:
    return [replace(event, seq=MAX_NUMBER)] if isinstance(event, Ack) and event.seq else [event]


def strangers(liar: Liar, event: Event) -> list[Event]:
    liar.seen += 1
    return [event, Presence("room0", 6, [f"{liar.seen} {number}" for number in range(500)])]


def made_up_codes(liar: Liar, event: Event) -> list[Event]:
    liar.seen += 1
    return [event, Error(f"code {liar.seen}\n", "no")]


@pytest.mark.parametrize(
    "change",
    [huge_head, huge_gap, huge_number, huge_ack, strangers, made_up_codes],
    ids=lambda change: change.__name__,
)
@pytest.mark.parametrize("victim", ["u0", "u"])
async def test_a_lie_told_to_one_or_to_all_has_a_verdict(
    change: Callable[[Liar, Event], list[Event]], victim: str, autojump_clock: MockClock
) -> None:
    outcome = await run_in_memory(SMALL, liar=Liar(victim, change))
    if change is made_up_codes:
        assert list(outcome.figures.refused) == ["other"]
    else:
        assert outcome.verdict is Verdict.BROKEN
    assert all(breach.words.isprintable() for breach in outcome.breaches)


async def test_a_server_that_talks_for_ever_of_nothing_ends_the_phase(autojump_clock: MockClock) -> None:
    """One ack is missing, and notices come as long as the run lasts."""
    liar = Liar(
        "u0", lambda liar, event: [] if isinstance(event, Ack) and isinstance(event.seq, int) else [event]
    )
    ticked = []

    async def tick(run: LoadTest) -> None:
        while True:
            await trio.sleep(5)
            for visit in run.judge.stays:
                visit.noticed(6, [], [])
            ticked.append(trio.current_time())

    outcome = await run_in_memory(SMALL, liar=liar, beside=tick)
    assert outcome.verdict is Verdict.BROKEN
    assert PHASE_S_MAX <= ticked[-1] < PHASE_S_MAX + 60


def test_codes_of_refusals_are_bounded_and_print() -> None:
    stats = Stats()
    for number in range(1_000):
        stats.count_refusal(f"code {number}")
    for code in ("x" * 60_000, "\x1b[2J", "code 3"):
        stats.count_refusal(code)
    assert len(stats.refused) == CODES_KEPT + 1
    assert stats.refused["code 3"] == 2
    assert stats.refused["other"] == 1_000 - CODES_KEPT + 2
    assert sum(stats.refused.values()) == 1_003
