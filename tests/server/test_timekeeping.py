"""Timekeeping: the warnings about clocks and future times, and jumps under a running server."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.journal.test_memory import draft
from tests.server.clocks import DAY_MS, NOW_MS, TEN_YEARS_MS, Clocks
from tests.server.harness import PipeListener, ServerHarness
from trio_chat.errors import StoreError
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.store import RetentionRule, RoomTimes, Store
from trio_chat.server import retention as retention_module
from trio_chat.server.clock import AGREEMENT_MS, PROOF_MS, ServerTime
from trio_chat.server.config import Config
from trio_chat.server.retention import RetentionTime
from trio_chat.server.serve import open_server
from trio_chat.server.timekeeping import begin_retention
from trio_chat.wire.messages import Said

KEEP = RetentionRule(90 * DAY_MS)


@pytest.fixture(autouse=True)
def no_log_records() -> None:
    """Allow log records here: these tests check warnings."""


class UnreadableStore(MemoryStore):
    """Fails to read the times of rooms."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.failure = failure

    async def room_times(self, limit_ms: int, names_max: int) -> RoomTimes:
        raise self.failure


class WallClock:
    """A wall clock that follows Trio's clock, with an offset."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def monotonic_ms(self) -> int:
        return int(trio.current_time() * 1_000)

    def wall_ms(self) -> int:
        return NOW_MS + self.monotonic_ms() + self.ahead_ms


@asynccontextmanager
async def running(wall: WallClock, store: Store, keep: RetentionRule = KEEP) -> AsyncGenerator[ServerHarness]:
    """Run a server with two clocks."""
    listener = PipeListener()
    async with open_server(
        Config(keep=keep),
        store=store,
        listeners=[listener],
        clock_ms=ServerTime(wall.monotonic_ms, wall.wall_ms),
    ) as server:
        yield ServerHarness(server, listener)


async def warned(store: Store, server_time: ServerTime, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings that a server logs when it starts with this journal."""
    await begin_retention(store, server_time, RetentionTime(server_time, 0, in_memory=False))
    return [record.getMessage() for record in caplog.records if record.name == "trio_chat.clock"]


async def test_a_room_with_a_future_time_is_logged_once_with_the_command_that_corrects_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_sqlite(tmp_path / "journal.db")
    for room, at_ms in (("attic", NOW_MS + AGREEMENT_MS), ("lobby", NOW_MS + TEN_YEARS_MS)):
        await store.open(room, room.title())
        await store.commit([draft("hello", room)], at_ms)
    (warning,) = await warned(store, Clocks().server_time(), caplog)
    assert warning == (
        "room Lobby: the newest entry is in the future, up to 2036-09-18 14:13 UTC; new entries get the same"
        " time until then. To correct it, stop the server and run `trio-chat journal retime --room Lobby`"
    )
    await store.aclose()


async def test_only_some_of_many_rooms_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = await open_sqlite(tmp_path / "journal.db")
    for number in range(7):
        await store.open(f"r{number}", f"r{number}")
        await store.commit([draft("hello", f"r{number}")], NOW_MS + (number + 1) * DAY_MS)
    (warning,) = await warned(store, Clocks().server_time(), caplog)
    assert warning.startswith("rooms r6, r5, r4, r3, r2 and 2 more: the newest entry is in the future")
    assert "--room r6 --room r5 --room r4 --room r3 --room r2`" in warning
    await store.aclose()


async def test_in_memory_no_command_is_named(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    await store.open("lobby", "Lobby")
    await store.commit([draft("hello")], NOW_MS + DAY_MS)
    (warning,) = await warned(store, Clocks().server_time(), caplog)
    assert warning.startswith("room Lobby: the newest entry is in the future") and "retime" not in warning


@pytest.mark.parametrize("failure", [StoreError("input/output error"), ZeroDivisionError("a bug")])
async def test_retention_waits_when_the_journal_cannot_be_read(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    server_time = Clocks().server_time()
    retention = RetentionTime(server_time, KEEP.age_ms, in_memory=False)
    await begin_retention(UnreadableStore(failure), server_time, retention)
    assert retention.now_ms() < 0
    (error, warning) = caplog.records
    assert error.levelno == logging.ERROR and "cannot be read" in warning.getMessage()


async def test_a_running_server_ignores_jumps_of_its_wall_clock(autojump_clock: MockClock) -> None:
    wall = WallClock()
    store = MemoryStore(keep=KEEP)
    async with running(wall, store) as harness:
        ada = await harness.enter("ada", "lobby")
        times = []
        for ahead_ms in (0, *[TEN_YEARS_MS] * 5, 0, -TEN_YEARS_MS, 0):
            wall.ahead_ms = ahead_ms
            await ada.say("what time is it?")
            times.append((await ada.expect(Said)).at - wall.wall_ms() + wall.ahead_ms)
            await trio.sleep(20)
        assert store.first("lobby") == 1
        ada.link.close()
    assert max(map(abs, times)) <= 1_000


async def test_a_quiet_server_in_memory_notices_a_changed_clock_too(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The reading of the clock at the end comes too late to be the first."""
    wall = WallClock()
    async with running(wall, MemoryStore(), RetentionRule()) as harness:
        wall.ahead_ms = DAY_MS
        await trio.sleep(PROOF_MS / 1_000 + 30)
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1 and harness.server.clock_ms() == wall.wall_ms()


async def test_a_quiet_server_notices_that_its_clock_was_set_and_warns_of_rooms_ahead(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    wall = WallClock()
    async with running(wall, MemoryStore(keep=KEEP)) as harness:
        ada = await harness.enter("ada", "lobby")
        await ada.say("hello")
        wall.ahead_ms = -DAY_MS
        await trio.sleep(PROOF_MS / 1_000 + 30)
        assert harness.server.clock_ms() == wall.wall_ms()
        ada.link.close()
    warnings = [record.getMessage() for record in caplog.records if record.name == "trio_chat.clock"]
    assert [warning.split(":")[0] for warning in warnings] == [
        "the system clock has been 1 day, 0",
        "entries older than 90d are not removed yet",
        "room lobby",
    ]


async def test_retention_waits_in_a_server_that_starts_long_after_its_newest_entry(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention_module, "AGREED_MS", 600_000)
    store = MemoryStore(keep=KEEP)
    await store.open("lobby", "Lobby")
    await store.commit([draft("old")], NOW_MS - 100 * DAY_MS)
    async with running(WallClock(), store):
        await trio.sleep(590)
        assert store.first("lobby") == 1
        await trio.sleep(100)
        assert store.first("lobby") == 2
    assert caplog.text.count("are not removed yet") == 1
