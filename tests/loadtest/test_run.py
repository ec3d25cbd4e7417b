"""Whole runs against a server in memory: a correct server has no breaches, a faulty server is found."""

import re
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from trio.testing import MockClock

from loadtest.runner import LoadTest, RunProgress
from loadtest.scenario import CannotRun, Scenario
from loadtest.verdict import Verdict
from tests.loadtest.faulty_server import FAULTS, FaultInjector
from tests.loadtest.in_memory import run_in_memory
from tests.server.stores import FailingStore
from trio_chat.wire.messages import Ack, Bye, Error, Event, Room, Said, TopicChanged

SMALL = Scenario(users=12, rate=40, duration_s=5, disconnects=0.5)
AFFECTED = f"u{min(set(range(12)) - {trip.user for trip in SMALL.trips()})}"  # never disconnects


@pytest.mark.parametrize("seed", range(20))
async def test_a_correct_server_has_no_breaches(seed: int, autojump_clock: MockClock) -> None:
    outcome = await run_in_memory(
        Scenario(users=16, rooms=1 + seed % 3, rate=30, duration_s=4, disconnects=0.5, seed=seed)
    )
    assert outcome.breaches == []
    assert outcome.verdict is Verdict.FINE, outcome.last_line
    assert outcome.figures.series["delivery"].max_ms < 100, "replayed entries have no latency"
    assert outcome.figures.trips == {"quit": 2, "fin": 2, "rst": 2, "leave": 2}


async def test_every_user_receives_every_message(autojump_clock: MockClock) -> None:
    outcome = await run_in_memory(Scenario(users=10, rate=50, duration_s=2, disconnects=0.2))
    assert outcome.figures.sent == 100
    assert outcome.figures.deliveries == 1_000
    assert outcome.figures.rate == pytest.approx(50)
    assert outcome.last_line.startswith("FINE: 1,000 deliveries verified")


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_server_fault_is_found_and_names_its_user(fault: str, autojump_clock: MockClock) -> None:
    change, kind, words = FAULTS[fault]
    injector = FaultInjector(AFFECTED, change)
    outcome = await run_in_memory(SMALL, injector=injector)
    assert injector.done == 1, "the fault was injected"
    assert outcome.verdict is Verdict.BROKEN
    first = next(breach for breach in outcome.breaches if breach.kind == kind)
    assert first.user == AFFECTED
    assert re.fullmatch(f"{AFFECTED} .*{words}.*", first.words), first.words
    assert {breach.user for breach in outcome.breaches} == {AFFECTED}, outcome.breaches
    assert outcome.last_line.startswith("BROKEN: ")


async def test_one_fault_in_ten_thousand_deliveries_is_found(autojump_clock: MockClock) -> None:
    change, kind, _ = FAULTS["drop"]
    injector = FaultInjector("u7", change)
    outcome = await run_in_memory(
        Scenario(users=20, rate=100, duration_s=5, disconnects=0.0), injector=injector
    )
    assert outcome.kinds == {kind: 1}
    assert outcome.figures.deliveries == 9_999


async def test_a_rate_limited_run_names_the_option(autojump_clock: MockClock) -> None:
    outcome = await run_in_memory(Scenario(users=2, rate=100, duration_s=2, disconnects=0), rate_limit=True)
    assert outcome.verdict is Verdict.INVALID
    assert "start it with --no-rate-limit" in outcome.last_line


async def test_only_rooms_with_messages_are_reported(autojump_clock: MockClock) -> None:
    """The prune command would refuse a room that is not in the journal."""
    runs: list[LoadTest] = []

    async def keep(run: LoadTest) -> None:
        runs.append(run)

    scenario = Scenario(users=6, rooms=6, rate=2, duration_s=2, disconnects=0)
    outcome = await run_in_memory(scenario, beside=keep)
    said = {f"room{scenario.room_of(user)}" for user in scenario.senders()[: scenario.messages]}
    assert set(runs[0].rooms) == said and len(said) == 4
    assert outcome.rooms == [], "a server started for the run leaves no rooms"


async def test_a_room_that_the_journal_may_have_is_reported(autojump_clock: MockClock) -> None:
    """Nothing is acked, but the journal may have the messages nevertheless."""
    runs: list[LoadTest] = []

    async def keep(run: LoadTest) -> None:
        runs.append(run)

    scenario = Scenario(users=2, rate=2, duration_s=1, disconnects=0)
    await run_in_memory(scenario, beside=keep, store=FailingStore())
    assert runs[0].rooms == ["room0"]


async def test_a_refused_user_is_reported_with_the_reason(autojump_clock: MockClock) -> None:
    words = r"u\d+ could not join: .*too_many_connections.* \([0-4] of 8 users are connected\)"
    with pytest.raises(CannotRun, match=words):
        await run_in_memory(Scenario(users=8, duration_s=1), connections=4)


async def test_a_disconnected_user_is_reported(autojump_clock: MockClock) -> None:
    def kick(injector: FaultInjector, event: Event) -> list[Event]:
        return [Bye("internal", "something went wrong", True)] if isinstance(event, Said) else [event]

    outcome = await run_in_memory(SMALL, injector=FaultInjector(AFFECTED, kick))
    assert outcome.kinds["ended"] == 1
    (breach,) = (breach for breach in outcome.breaches if breach.kind == "ended")
    assert breach.words == (
        f"{AFFECTED} was disconnected from room0 at 0:"
        " the server ended the connection: something went wrong (internal)"
    )


async def test_thresholds_are_compared_with_the_figures(autojump_clock: MockClock) -> None:
    scenario = Scenario(users=3, rate=20, duration_s=1, disconnects=0)
    outcome = await run_in_memory(scenario, "sent > 19", "p99 > 1s", "rate < 100", "refused > 0")
    assert outcome.verdict is Verdict.THRESHOLD
    assert outcome.missed == ["sent > 19: 20", "rate < 100: 20"]


async def test_a_message_without_a_connected_user_is_missed(autojump_clock: MockClock) -> None:
    outcome = await run_in_memory(Scenario(users=1, rate=10, duration_s=5, disconnects=1.0))
    assert outcome.figures.missed > 5
    assert outcome.verdict is Verdict.INVALID
    missed = f"{outcome.figures.missed} of 50 messages"
    assert outcome.last_line == (
        f"INVALID: no user was connected to send {missed} (raise --users or lower --disconnects)"
    )


async def test_if_every_user_was_disconnected_that_is_the_reason(autojump_clock: MockClock) -> None:
    """The messages do not count as missed by the generator."""

    def kick(injector: FaultInjector, event: Event) -> list[Event]:
        return [Bye("internal", "something went wrong", True)] if isinstance(event, Said) else [event]

    scenario = Scenario(users=1, rate=20, duration_s=5, disconnects=0)
    outcome = await run_in_memory(scenario, injector=FaultInjector("u0", kick))
    assert outcome.verdict is Verdict.BROKEN
    assert outcome.figures.sent + outcome.figures.missed == 100
    reason = "u0: the server ended the connection: something went wrong (internal)"
    assert outcome.invalid == [
        "nothing was delivered, so nothing was verified",
        f"no user was connected to send {outcome.figures.missed} of 100 messages ({reason})",
    ]


async def test_a_generator_that_stalls_is_invalid(autojump_clock: MockClock) -> None:
    stalled: list[str] = []

    def on_progress(progress: RunProgress) -> None:
        if progress.phase == "talking" and progress.share > 0.5 and not stalled:
            stalled.append(progress.phase)
            autojump_clock.jump(3)  # as if this process had not run for three seconds

    outcome = await run_in_memory(
        Scenario(users=4, rate=50, duration_s=6, disconnects=0), on_progress=on_progress
    )
    assert stalled
    assert outcome.verdict is Verdict.INVALID
    assert 90 < outcome.figures.missed < 110
    assert "could not keep up" in outcome.last_line


async def test_a_generator_that_is_always_late_is_invalid(autojump_clock: MockClock) -> None:
    def on_progress(progress: RunProgress) -> None:
        if progress.phase == "talking":
            autojump_clock.jump(0.5)

    outcome = await run_in_memory(
        Scenario(users=4, rate=50, duration_s=6, disconnects=0), on_progress=on_progress
    )
    assert outcome.figures.missed == 0
    assert outcome.verdict is Verdict.INVALID
    assert "ms late (p99), so the latencies are its own" in outcome.last_line


async def test_an_invalid_number_does_not_affect_other_entries(autojump_clock: MockClock) -> None:
    """The client then expects larger numbers; the judge still gets the entries that the client drops."""

    def number_far_away(injector: FaultInjector, event: Event) -> list[Event]:
        if isinstance(event, Said):
            injector.seen += 1
            if injector.seen == 20:
                return [replace(event, seq=10**9)]
        return [event]

    scenario = Scenario(users=4, rate=20, duration_s=2, disconnects=0)
    outcome = await run_in_memory(scenario, injector=FaultInjector("u2", number_far_away))
    assert outcome.kinds == {"phantom": 1, "lost": 1}


@pytest.mark.parametrize("users", [1, 4])
async def test_a_fault_in_the_last_entry_is_found(users: int, autojump_clock: MockClock) -> None:
    def double_the_last(injector: FaultInjector, event: Event) -> list[Event]:
        injector.seen += isinstance(event, Said)
        return [event, event] if isinstance(event, Said) and injector.seen == 40 else [event]

    scenario = Scenario(users=users, rate=20, duration_s=2, disconnects=0)
    outcome = await run_in_memory(scenario, injector=FaultInjector("u0", double_the_last))
    assert [breach.words for breach in outcome.breaches] == ["u0 was shown room0 40 twice"]


async def test_progress_reports_phase_and_counts(autojump_clock: MockClock) -> None:
    phases: list[str] = []
    rates: list[float] = []

    def on_progress(progress: RunProgress) -> None:
        if progress.phase not in phases:
            phases.append(progress.phase)
        if progress.phase == "talking":
            rates.append(progress.deliveries_per_s)

    await run_in_memory(Scenario(users=4, rate=20, duration_s=3, disconnects=0.25), on_progress=on_progress)
    assert phases[0] == "connecting"
    assert phases[-1] == "judged"
    assert "talking" in phases
    assert 60 <= max(rates) <= 160


def _gone_by(way: str) -> str:
    # not a prefix of another user's name
    return max(f"u{trip.user}" for trip in SMALL.trips() if trip.way == way)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_join_without_a_reply_does_not_hang(times: int, autojump_clock: MockClock) -> None:
    def forget(injector: FaultInjector, event: Event) -> list[Event]:
        injector.seen += isinstance(event, Room)
        return [] if isinstance(event, Room) and injector.seen == times else [event]

    injector = FaultInjector(_gone_by("fin"), forget)
    if times == 1:
        with pytest.raises(CannotRun, match="could not join: no reply to its join within 15 s"):
            await run_in_memory(SMALL, injector=injector)
        return
    outcome = await run_in_memory(SMALL, injector=injector)
    (breach,) = (breach for breach in outcome.breaches if breach.kind == "ended")
    assert breach.user == injector.user
    assert re.fullmatch(
        rf"{injector.user} could not rejoin room0 after \d+: no reply to its join .*", breach.words
    )


@pytest.mark.parametrize("duration_s", [0.5, 3])
async def test_a_rate_limited_reconnect_makes_the_run_invalid(
    duration_s: float, autojump_clock: MockClock
) -> None:
    scenario = Scenario(users=8, rate=20, duration_s=duration_s, disconnects=0.5)
    outcome = await run_in_memory(scenario, rate_limit=True, rooms_burst=1, rooms_per_s=1, talk_burst=1_000)
    assert outcome.breaches == []
    assert outcome.figures.refused["rate_limited"] > 0
    assert outcome.verdict is Verdict.INVALID


async def test_an_entry_of_another_room_is_not_late(autojump_clock: MockClock) -> None:
    def misdeliver(injector: FaultInjector, event: Event) -> list[Event]:
        if isinstance(event, Said):
            injector.seen += 1
            if injector.seen in (20, 22):
                return [replace(event, room="room1"), event]
        return [event]

    outcome = await run_in_memory(SMALL, injector=FaultInjector(AFFECTED, misdeliver))
    assert outcome.kinds == {"phantom": 2}
    assert re.fullmatch(
        rf"{AFFECTED} was shown room1 20 without being in that room: by u\d+", outcome.breaches[0].words
    )


def _as_a_topic(said: Said) -> Event:
    return TopicChanged(said.room, said.seq, said.at, said.by, said.text)


def _as_an_action(said: Said) -> Event:
    return replace(said, action=True)


def _back_in_time(said: Said) -> Event:
    return replace(said, at=1_000 - said.seq)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_as_a_topic, r"u\d+ was shown room0 \d+, “.*”, as another kind of entry than u\d+ sent"),
        (_as_an_action, r"u\d+ was shown room0 \d+, “.*”, as another kind of entry than u\d+ sent"),
        (_back_in_time, r"room0 \d+ is 1 ms older than room0 \d+"),
    ],
)
async def test_a_fault_toward_all_users_is_found(
    change: Callable[[Said], Event], words: str, autojump_clock: MockClock
) -> None:
    def fault(injector: FaultInjector, event: Event) -> list[Event]:
        return [change(event)] if isinstance(event, Said) else [event]

    scenario = Scenario(users=3, rate=20, duration_s=1, disconnects=0)
    outcome = await run_in_memory(scenario, injector=FaultInjector("u", fault))
    assert outcome.kinds["phantom"] >= 19
    assert re.fullmatch(words, next(each.words for each in outcome.breaches if each.kind == "phantom"))


@pytest.mark.parametrize(("code", "kinds"), [("forbidden", {"ack": 1}), ("unavailable", {})])
async def test_a_refused_message_must_not_be_delivered(
    code: str, kinds: dict[str, int], autojump_clock: MockClock
) -> None:
    """After `unavailable` it may be delivered: the journal may have stored it before it failed."""

    def refuse(injector: FaultInjector, event: Event) -> list[Event]:
        if isinstance(event, Ack) and isinstance(event.seq, int) and not injector.done:
            injector.done += 1
            return [Error(code, "no", ref=event.ref)]
        return [event]

    outcome = await run_in_memory(SMALL, injector=FaultInjector(AFFECTED, refuse))
    assert outcome.kinds == kinds
    if kinds:
        assert re.fullmatch(
            rf"{AFFECTED} was refused a message that was shown as room0 \d+", outcome.breaches[0].words
        )


async def test_a_run_without_deliveries_is_invalid(autojump_clock: MockClock) -> None:
    outcome = await run_in_memory(Scenario(users=3, rate=20, duration_s=1), text_bytes=20)
    assert outcome.verdict is Verdict.INVALID
    assert outcome.last_line == "INVALID: nothing was delivered, so nothing was verified"
