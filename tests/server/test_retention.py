"""Retention and wrong clocks: old entries are removed only while the clock is not in doubt."""

import logging
from pathlib import Path

import pytest

from tests.journal.test_memory import draft
from tests.server.clocks import DAY_MS, NOW_MS, TEN_YEARS_MS, Clocks
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.store import RetentionRule, Store
from trio_chat.server.clock import AGREEMENT_MS, PROOF_MS, ServerTime
from trio_chat.server.retention import HOUR_MS, RetentionTime

KEEP_MS = 90 * DAY_MS


@pytest.fixture(autouse=True)
def no_log_records() -> None:
    """Allow log records here: these tests check warnings."""


def begun(
    server_time: ServerTime, newest_ms: int, age_ms: int = KEEP_MS, *, in_memory: bool = False
) -> RetentionTime:
    retention = RetentionTime(server_time, age_ms, in_memory=in_memory)
    retention.begin(newest_ms)
    return retention


def is_waiting(retention: RetentionTime) -> bool:
    return retention.now_ms() < 0


async def tidied(store: Store, retention: RetentionTime) -> int:
    """Tidy to the end; return the oldest number that the lobby keeps."""
    while await store.tidy(retention.now_ms()):
        pass
    return store.first("lobby")


@pytest.mark.parametrize(
    ("newest_ms", "waits"),
    [
        (0, False),
        (NOW_MS, False),
        (NOW_MS + AGREEMENT_MS, False),
        (NOW_MS + AGREEMENT_MS + 1, True),
        (NOW_MS + TEN_YEARS_MS, True),
        (NOW_MS - KEEP_MS // 2, False),
        (NOW_MS - KEEP_MS // 2 - 1, True),
        (1_000, True),
    ],
)
def test_at_the_start_the_newest_entry_is_compared_with_the_clock(newest_ms: int, waits: bool) -> None:
    retention = begun(Clocks().server_time(), newest_ms)
    assert is_waiting(retention) == waits
    assert waits or retention.now_ms() == NOW_MS


def test_it_waits_until_both_clocks_have_agreed_for_a_day_and_logs_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "trio_chat.clock")
    clocks = Clocks()
    server_time = clocks.server_time()
    retention = begun(server_time, NOW_MS - KEEP_MS)
    clocks.run(server_time, DAY_MS - 60_000, 60_000)
    assert is_waiting(retention)
    clocks.run(server_time, 60_000)
    assert not is_waiting(retention)
    caplog.set_level(logging.WARNING, "trio_chat.clock")
    clocks.wall_ms += DAY_MS
    clocks.run(server_time, 60_000)
    assert not is_waiting(retention), "a difference that is not followed does not delay retention"
    (waits, goes_on) = [record.getMessage() for record in caplog.records]
    assert waits.startswith(
        "entries older than 90d are not removed yet: the newest entry, of 2026-06-23 14:13 UTC, is older than"
    )
    assert waits.endswith(
        "with the server stopped, `trio-chat journal prune --before 90d` removes them at once"
    )
    assert goes_on == "entries older than 90d are removed again: the system clock was steady"


def test_a_difference_meanwhile_restarts_the_day() -> None:
    clocks = Clocks()
    server_time = clocks.server_time()
    retention = begun(server_time, NOW_MS + DAY_MS)
    clocks.run(server_time, DAY_MS - 60_000, 60_000)
    clocks.wall_ms += DAY_MS
    clocks.run(server_time, 60_000, 60_000)
    clocks.wall_ms -= DAY_MS
    clocks.run(server_time, DAY_MS - 60_000, 60_000)
    assert is_waiting(retention)
    clocks.run(server_time, 120_000, 60_000)
    assert not is_waiting(retention)


@pytest.mark.parametrize("jump_ms", [TEN_YEARS_MS, -DAY_MS])
def test_it_waits_after_the_servers_time_was_changed(jump_ms: int, caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    server_time = clocks.server_time()
    retention = begun(server_time, NOW_MS)
    assert not is_waiting(retention)
    clocks.wall_ms += jump_ms
    clocks.run(server_time, PROOF_MS + 5_000)
    assert server_time.changes == 1 and is_waiting(retention) and is_waiting(retention)
    said = [record.getMessage() for record in caplog.records if "not removed yet" in record.getMessage()]
    assert len(said) == 1 and "the server's time was changed" in said[0]
    clocks.run(server_time, DAY_MS, 60_000)
    assert retention.now_ms() == clocks.wall_ms


def test_a_second_reason_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trio_chat.clock")
    clocks = Clocks()
    server_time = clocks.server_time()
    retention = begun(server_time, NOW_MS + 2 * DAY_MS)
    clocks.wall_ms += DAY_MS
    clocks.run(server_time, PROOF_MS + 5_000)
    assert server_time.changes == 1 and is_waiting(retention)
    clocks.run(server_time, DAY_MS, 60_000)
    assert not is_waiting(retention) and not is_waiting(retention)
    assert caplog.text.count("are not removed yet") == caplog.text.count("are removed again") == 1


def test_a_journal_without_retention_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trio_chat.clock")
    assert begun(Clocks().server_time(), NOW_MS + TEN_YEARS_MS, 0).now_ms() == NOW_MS
    assert not caplog.records


@pytest.mark.parametrize(
    ("age_ms", "words"), [(12 * HOUR_MS, "12h"), (48 * HOUR_MS, "2d"), (1_500, "1s"), (90 * DAY_MS, "90d")]
)
def test_the_age_is_logged_in_the_format_of_the_options(
    age_ms: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    begun(Clocks().server_time(), 1, age_ms)
    assert f"entries older than {words} " in caplog.text and f"--before {words}`" in caplog.text


def test_in_memory_no_prune_command_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    begun(Clocks().server_time(), 1, in_memory=True)
    assert "not removed yet" in caplog.text and "prune" not in caplog.text


async def test_a_server_that_starts_with_its_clock_ten_years_ahead_removes_nothing(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "journal.db", keep=RetentionRule(KEEP_MS))
    await store.open("lobby", "Lobby")
    await store.commit([draft("old")], NOW_MS - KEEP_MS - DAY_MS)
    await store.commit([draft("new")], NOW_MS)
    times = await store.room_times(NOW_MS, 5)
    clocks = Clocks(NOW_MS + TEN_YEARS_MS)
    retention = begun(clocks.server_time(), times.newest_ms)
    assert await tidied(store, retention) == 1
    right = begun(Clocks().server_time(), times.newest_ms)
    assert await tidied(store, right) == 2, "a server with a right clock removes old entries at once"
    await store.aclose()


async def test_a_clock_that_is_ten_years_ahead_for_four_seconds_removes_nothing() -> None:
    store = MemoryStore(keep=RetentionRule(KEEP_MS))
    await store.open("lobby", "Lobby")
    clocks = Clocks()
    server_time = clocks.server_time()
    await store.commit([draft("before")], server_time.now_ms())
    retention = begun(server_time, NOW_MS)
    clocks.wall_ms += TEN_YEARS_MS
    for _ in range(4):
        await store.commit([draft("ahead")], server_time.now_ms())
        assert await tidied(store, retention) == 1
        clocks.advance(1_000)
    clocks.wall_ms -= TEN_YEARS_MS
    await store.commit([draft("after")], server_time.now_ms())
    assert (await store.room_times(0, 1)).newest_ms == NOW_MS + 4_000
    clocks.run(server_time, KEEP_MS - 2_000, DAY_MS)
    assert await tidied(store, retention) == 1
    clocks.advance(2 * DAY_MS)
    assert await tidied(store, retention) == 7, "in the end all entries are old"


async def test_retention_by_count_does_not_wait_for_a_clock(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "journal.db", keep=RetentionRule(KEEP_MS, 3))
    await store.open("lobby", "Lobby")
    await store.commit([draft(text) for text in "abcdef"], NOW_MS + DAY_MS)
    retention = begun(Clocks().server_time(), NOW_MS + DAY_MS)
    assert is_waiting(retention) and await tidied(store, retention) == 4
    await store.aclose()
