"""Failing stores and cancellation: each author gets an outcome, and only held entries are published."""

import logging
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.committing import ACKED, FAILED, SETTLED, running_committer
from tests.server.stores import (
    BuggyStore,
    FailingStore,
    HeldStore,
    MissingResultStore,
    ScriptedStore,
    WriteThenFailStore,
)
from trio_chat.journal.memory import MemoryStore
from trio_chat.server.commit import PAGE_ENTRIES, RETRY_S
from trio_chat.server.stream import RoomStream

UNAVAILABLE = "unavailable"
Logs = pytest.LogCaptureFixture


# --- stores that fail -------------------------------------------------------------------------------


async def test_a_failed_commit_refuses_the_batch_and_the_queue(caplog: Logs) -> None:
    """In order. Nothing was published, so nothing is undone."""
    store = HeldStore(FailingStore())
    async with running_committer(store) as harness:
        ada, bob = harness.author("ada"), harness.author("bob")
        ada.submit("a", ref="r1")
        await wait_all_tasks_blocked()
        bob.submit("b", ref="r2")
        ada.submit("c", "attic", ref="r3")
        store.release()
        await wait_all_tasks_blocked()
        assert [(each.kind, each.what, each.why) for each in harness.records if each.what] == [
            (FAILED, "r1", UNAVAILABLE),
            (FAILED, "r2", UNAVAILABLE),
            (FAILED, "r3", UNAVAILABLE),
        ]
        assert [each.who for each in harness.records if each.kind == SETTLED] == ["ada", "ada", "bob"]
        assert len(store.batches) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "cannot write the journal: no space left on device"
    ]
    caplog.clear()


async def test_it_works_again_when_the_disk_is_writable_again(caplog: Logs) -> None:
    store = FailingStore()
    async with running_committer(store) as harness:
        ada = harness.author("ada")
        for _ in range(3):
            ada.submit("a", ref="r1")
            await wait_all_tasks_blocked()
        assert len(caplog.records) == 1, "logged once for each failure that begins"
        store.failing = False
        ada.submit("a", ref="r1")
        await wait_all_tasks_blocked()
        assert harness.outcomes("ada") == [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, 1]
        assert harness.published() == ["a"]
        store.failing = True
        ada.submit("b")
        await wait_all_tasks_blocked()
        assert len(caplog.records) == 2
    caplog.clear()


async def test_a_failing_store_is_probed_each_second_until_it_works(
    caplog: Logs, autojump_clock: MockClock
) -> None:
    caplog.set_level(logging.INFO)
    store = FailingStore()
    async with running_committer(store) as harness:
        await trio.sleep(10)
        assert (store.probes, harness.committer.failing) == ([], False)
        harness.author("ada").submit("a")
        await wait_all_tasks_blocked()
        assert (store.probes, harness.committer.failing) == ([], True)
        await trio.sleep(5.5 * RETRY_S)
        assert [later - earlier for earlier, later in pairwise(store.probes)] == [RETRY_S] * 4
        assert (len(store.probes), harness.committer.failing) == (5, True)
        store.failing = False
        await trio.sleep(RETRY_S)
        assert (len(store.probes), harness.committer.failing) == (6, False), "without a draft"
        await trio.sleep(10)
        assert len(store.probes) == 6, "a working store is not probed"
        assert (harness.outcomes("ada"), harness.published()) == ([UNAVAILABLE], [])
    assert [record.getMessage() for record in caplog.records] == [
        "cannot write the journal: no space left on device",
        "the journal can be written again",
    ]
    caplog.clear()


async def test_a_draft_is_tried_at_once_on_a_failing_store(caplog: Logs, autojump_clock: MockClock) -> None:
    store = FailingStore()
    async with running_committer(store) as harness:
        for _ in range(10):
            harness.author("ada").submit("a")
            await trio.sleep(RETRY_S / 2)
        assert len(store.batches) == 10 and store.probes == []
        store.failing = False
        harness.author("ada").submit("b")
        await wait_all_tasks_blocked()
        assert not harness.committer.failing and harness.published() == ["b"]
    caplog.clear()


async def test_a_draft_during_a_probe_is_committed_after_it(caplog: Logs, autojump_clock: MockClock) -> None:
    class SlowProbe(FailingStore):
        async def probe(self) -> None:
            await trio.sleep(RETRY_S)
            await super().probe()

    store = SlowProbe()
    async with running_committer(store) as harness:
        harness.author("ada").submit("a")
        await trio.sleep(1.5 * RETRY_S)
        store.failing = False
        harness.author("bob").submit("b")
        await wait_all_tasks_blocked()
        assert harness.outcomes("bob") == []
        await trio.sleep(RETRY_S)
        assert (harness.outcomes("bob"), harness.committer.failing) == ([1], False)
    caplog.clear()


async def test_a_probe_with_a_bug_is_logged_once(caplog: Logs, autojump_clock: MockClock) -> None:
    store = BuggyStore()
    async with running_committer(store) as harness:
        for number in (1, 2):
            harness.author("ada").submit("a")
            await trio.sleep(19.5 * RETRY_S)  # not in the step of a probe, which would refuse the next draft
            assert len(caplog.records) == number, "one record for each batch, and none for probes"
        assert (store.failing, harness.committer.failing) == (True, True)
        store.failing = False
        await trio.sleep(2 * RETRY_S)
        assert (store.failing, harness.committer.failing) == (False, False)
    caplog.clear()


async def test_entries_written_by_a_failed_commit_are_published(
    caplog: Logs, autojump_clock: MockClock
) -> None:
    store = WriteThenFailStore()
    async with running_committer(store) as harness:
        harness.author("ada").submit("hello", ref="r1")
        await wait_all_tasks_blocked()
        assert harness.outcomes("ada") == [UNAVAILABLE]
        store.failing = False
        await trio.sleep(2 * RETRY_S)
        assert harness.published() == ["hello"]
        assert harness.outcomes("ada") == [UNAVAILABLE], "a refused author gets no second outcome"
        harness.author("ada").submit("hello", ref="r1")
        await wait_all_tasks_blocked()
        assert harness.outcomes("ada") == [UNAVAILABLE, 1]
        assert harness.published() == ["hello"]
    caplog.clear()


async def test_entries_written_by_a_failed_commit_are_published_before_later_ones(caplog: Logs) -> None:
    async with running_committer(ScriptedStore(commits=["after"])) as harness:
        harness.author("ada").submit("a")
        harness.author("ada").submit("welcome", is_topic=True)
        await wait_all_tasks_blocked()
        assert harness.published() == []
        harness.author("bob").submit("b")
        await wait_all_tasks_blocked()
        assert harness.published() == ["a", "welcome", "b"]
        assert harness.outcomes("bob") == [3]
        assert harness.rooms["lobby"].topic == "welcome"
    caplog.clear()


async def test_entries_written_by_a_failed_commit_are_read_in_pages(caplog: Logs) -> None:
    many = 2 * PAGE_ENTRIES + 7
    async with running_committer(ScriptedStore(commits=["after"])) as harness:
        for number in range(many):
            harness.author("ada").submit(str(number))
        await wait_all_tasks_blocked()
        harness.author("bob").submit("b")
        await wait_all_tasks_blocked()
        assert harness.published() == [*map(str, range(many)), "b"]
    caplog.clear()


async def test_nothing_is_committed_while_the_journal_cannot_be_read(
    caplog: Logs, autojump_clock: MockClock
) -> None:
    """It is unknown what the journal holds of the first batch, so the second might leave a hole."""
    torn = WriteThenFailStore()
    torn.reading_fails = True
    async with running_committer(torn) as harness:
        harness.author("ada").submit("a")
        await wait_all_tasks_blocked()
        torn.failing = False
        harness.author("bob").submit("b")
        await trio.sleep(10 * RETRY_S)
        harness.author("bob").submit("c")
        await wait_all_tasks_blocked()
        assert (harness.outcomes("bob"), harness.published()) == ([UNAVAILABLE, UNAVAILABLE], [])
        torn.reading_fails = False
        await trio.sleep(2 * RETRY_S)
        assert harness.published() == ["a"]
        harness.author("bob").submit("d")
        await wait_all_tasks_blocked()
        assert harness.outcomes("bob") == [UNAVAILABLE, UNAVAILABLE, 2]
    assert len(caplog.records) == 1
    caplog.clear()


async def test_an_uncertain_room_stays_open_until_it_is_resolved(
    caplog: Logs, autojump_clock: MockClock
) -> None:
    store = FailingStore()
    async with running_committer(store) as harness:
        for _ in range(2):
            harness.author("ada").submit("a")
            harness.author("ada").submit("a", "attic")
            await wait_all_tasks_blocked()
        harness.close()
        assert len(harness.streams) == 2
        await trio.sleep(2 * RETRY_S)
        assert len(harness.streams) == 0
    caplog.clear()


async def test_entries_written_and_already_removed_are_skipped(caplog: Logs) -> None:
    """A journal that keeps three entries writes ten of them, and then reports a failure."""
    async with running_committer(
        ScriptedStore(MemoryStore(room_entries_max=3), commits=["after"])
    ) as harness:
        for number in range(10):
            harness.author("ada").submit(str(number))
        await wait_all_tasks_blocked()
        harness.author("bob").submit("b")
        await wait_all_tasks_blocked()
        assert harness.published() == ["7", "8", "9", "b"]
        assert harness.outcomes("bob") == [11]
    caplog.clear()


@pytest.mark.parametrize("writes", [False, True])
async def test_a_bug_in_the_store_is_logged_and_ends_no_session(writes: bool, caplog: Logs) -> None:
    store = BuggyStore(writes=writes)
    async with running_committer(store) as harness:
        for text in ("a", "b"):
            harness.author("ada").submit(text)
            await wait_all_tasks_blocked()
        assert harness.outcomes("ada") == [UNAVAILABLE, UNAVAILABLE]
        assert [record.exc_info is not None for record in caplog.records] == [True, True]
        caplog.clear()
        store.failing = False
        harness.author("ada").submit("c")
        await wait_all_tasks_blocked()
        assert harness.published() == (["a", "b", "c"] if writes else ["c"])


async def test_a_missing_result_of_the_store_is_a_bug(caplog: Logs) -> None:
    async with running_committer(MissingResultStore()) as harness:
        harness.author("ada").submit("a")
        harness.author("bob").submit("b")
        await wait_all_tasks_blocked()
        assert (harness.outcomes("ada"), harness.outcomes("bob")) == ([UNAVAILABLE], [UNAVAILABLE])
        harness.author("ada").submit("c")
        await wait_all_tasks_blocked()
        assert harness.published() == ["a", "b", "c"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    caplog.clear()


# --- the end ----------------------------------------------------------------------------------------


async def test_cancelling_refuses_all_pending_drafts() -> None:
    store = HeldStore()
    async with running_committer(store) as harness:
        harness.author("ada").submit("a", ref="r1")
        await wait_all_tasks_blocked()
        harness.author("bob").submit("b", ref="r2")
        assert store.waiting == 1
    assert (harness.outcomes("ada"), harness.outcomes("bob")) == ([UNAVAILABLE], [UNAVAILABLE])
    assert [each.who for each in harness.records if each.kind == SETTLED] == ["ada", "bob"]


async def test_waiting_authors_get_capacity_at_the_end(nursery: trio.Nursery) -> None:
    got: list[str] = []
    async with running_committer(HeldStore(), queue_entries=1) as harness:

        async def waits() -> None:
            await harness.committer.wait_capacity()
            got.append("a place")

        harness.author("ada").submit("a")
        await wait_all_tasks_blocked()
        harness.author("ada").submit("b")
        nursery.start_soon(waits)
        await wait_all_tasks_blocked()
        assert got == []
    await wait_all_tasks_blocked()
    assert got == ["a place"]


async def test_a_bug_in_the_committer_ends_it_and_leaves_no_author_waiting() -> None:
    async def publish(stream: RoomStream, first: int, payloads: list[bytes]) -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError("a bug")

    with pytest.RaisesGroup(ZeroDivisionError):
        async with running_committer(store := HeldStore()) as harness:
            harness.committer._publish = publish
            harness.author("ada").submit("a")
            harness.author("bob").submit("b", "attic")
            await wait_all_tasks_blocked()
            harness.author("eva").submit("c")
            store.release()
            await trio.sleep_forever()
    assert [each.who for each in harness.records if each.kind == SETTLED] == ["ada", "bob", "eva"]
    assert harness.outcomes("eva") == [UNAVAILABLE]


async def test_cancelling_during_a_publish_settles_all_authors() -> None:
    async def publish(stream: RoomStream, first: int, payloads: list[bytes]) -> None:
        await trio.sleep_forever()

    async with running_committer() as harness:
        harness.committer._publish = publish
        harness.author("ada").submit("a")
        await wait_all_tasks_blocked()
    assert [each.kind for each in harness.records] == [ACKED, SETTLED]
