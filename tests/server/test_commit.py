"""The committer: entries are published after they are committed, and each author gets one outcome."""

import tracemalloc
from itertools import count

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, assert_no_checkpoints, wait_all_tasks_blocked

from tests.server.committing import ACKED, PUBLISHED, SETTLED, CommitterHarness, Record, running_committer
from tests.server.stores import HeldStore, ScriptedStore
from trio_chat.errors import Refused
from trio_chat.server.commit import BATCH_BYTES, DRAFT_BYTES
from trio_chat.server.stream import RoomStream

UNAVAILABLE = "unavailable"
Logs = pytest.LogCaptureFixture


# --- drafts -----------------------------------------------------------------------------------------


async def test_an_entry_is_acked_and_published_once_the_journal_holds_it() -> None:
    store = HeldStore()
    async with running_committer(store) as harness:
        with assert_no_checkpoints():
            harness.author("ada").submit("hello", ref="r1")
        await wait_all_tasks_blocked()
        assert harness.records == []
        store.release()
        await wait_all_tasks_blocked()
        assert harness.records == [
            Record(ACKED, "ada", "r1", 1),
            Record(PUBLISHED, "lobby", "hello", 1),
            Record(SETTLED, "ada"),
        ]


async def test_the_next_batch_collects_during_a_commit() -> None:
    store = HeldStore()
    async with running_committer(store) as harness:
        ada, bob = harness.author("ada"), harness.author("bob")
        ada.submit("a")
        await wait_all_tasks_blocked()
        for text in "bcd":
            ada.submit(text)
            bob.submit(text.upper(), "attic")
            await wait_all_tasks_blocked()
        store.release()
        await wait_all_tasks_blocked()
        assert [[draft.text for draft in batch] for batch in store.batches] == [["a"], list("bBcCdD")]
        assert harness.published() == ["a"]
        store.release()
        await wait_all_tasks_blocked()
        assert (harness.published(), harness.published("attic")) == (["a", "b", "c", "d"], ["B", "C", "D"])


async def test_drafts_of_one_step_are_one_batch_published_once_for_each_room() -> None:
    showings: list[tuple[str, int]] = []

    async with running_committer(store := ScriptedStore()) as harness:

        async def publish(stream: RoomStream, first: int, payloads: list[bytes]) -> None:
            showings.append((stream.key, len(payloads)))
            await CommitterHarness.publish(harness, stream, first, payloads)

        harness.committer._publish = publish
        ada = harness.author("ada")
        for number in range(100):
            ada.submit(str(number), "lobby" if number % 4 else "attic")
        await wait_all_tasks_blocked()
    assert len(store.batches) == 1
    assert showings == [("attic", 25), ("lobby", 75)]


async def test_a_batch_has_a_bound() -> None:
    async with running_committer(store := ScriptedStore()) as harness:
        ada = harness.author("ada")
        each = 4_000 + DRAFT_BYTES
        for _ in range(BATCH_BYTES // each * 3):
            ada.submit("x" * 4_000)
        await wait_all_tasks_blocked()
        sizes = [len(batch) for batch in store.batches]
        assert len(sizes) > 2
        assert all((size - 1) * each < BATCH_BYTES for size in sizes)
        assert harness.outcomes("ada") == list(range(1, sum(sizes) + 1))
        assert not harness.committer.full and harness.committer._bytes == 0


async def test_the_clock_is_read_for_each_batch() -> None:
    async with running_committer() as harness:
        times = count(1_000)
        harness.committer._clock_ms = lambda: next(times)
        for text in "abc":
            harness.author("ada").submit(text)
            await wait_all_tasks_blocked()
        entries = harness.journal._rooms["lobby"].entries
        assert [b'"at":%d' % at in payload for payload, at in zip(entries, count(1_000), strict=False)]


async def test_a_topic_is_set_when_it_is_committed() -> None:
    store = HeldStore()
    async with running_committer(store) as harness:
        harness.author("ada").submit("welcome", is_topic=True)
        await wait_all_tasks_blocked()
        assert harness.rooms["lobby"].topic == ""
        store.release()
        await wait_all_tasks_blocked()
        assert harness.rooms["lobby"].topic == "welcome"


async def test_a_room_stays_open_until_its_drafts_are_settled(autojump_clock: MockClock) -> None:
    store = HeldStore()
    async with running_committer(store) as harness:
        harness.author("ada").submit("a", ref="r1")
        harness.author("ada").submit("a", ref="r1")
        harness.author("bob").submit("b")
        await wait_all_tasks_blocked()
        harness.close()
        assert len(harness.streams) == 1
        store.release()
        await wait_all_tasks_blocked()
        assert harness.published() == ["a", "b"]
        assert len(harness.streams) == 0


# --- capacity ---------------------------------------------------------------------------------------


async def waits_for_places(harness: CommitterHarness, many: int, order: list[int]) -> None:
    """Submit one text from each of many authors, as soon as the queue has room."""
    async with trio.open_nursery() as nursery:
        for number in range(many):

            async def says(number: int = number) -> None:
                await harness.committer.wait_capacity()
                harness.author(f"author {number}").submit(str(number))
                order.append(number)

            nursery.start_soon(says)
            await wait_all_tasks_blocked()


@pytest.mark.parametrize(
    ("text", "ref"),
    [("x" * 3_000 + "\U0001f44b", ""), ("x", "\U0001f44b" * 60), ("猫" * 1_000, "r"), ("x" * 3_000, "r")],
    ids=["wide text", "wide ref", "chinese", "ascii"],
)
async def test_the_queue_is_bounded_in_real_memory(text: str, ref: str) -> None:
    """One character beyond U+FFFF makes each character of a text, or of a ref's key, take four bytes."""
    bound = 1 << 20
    async with running_committer(HeldStore(), queue_bytes=bound) as harness:
        ada = harness.author("ada")
        number = 0
        tracemalloc.start()
        try:
            while not harness.committer.full:
                number += 1
                ada.submit(text + str(number), ref=ref and f"{ref}{number}")
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert number < 10_000
        assert 0.7 * bound < taken < 1.3 * bound
        harness.committer._fail("enough")


@pytest.mark.parametrize(
    "bounds", [{"queue_entries": 2}, {"queue_bytes": DRAFT_BYTES + 2}], ids=["entries", "bytes"]
)
async def test_a_full_queue_makes_authors_wait(bounds: dict[str, int], autojump_clock: MockClock) -> None:
    store = HeldStore()
    order: list[int] = []  # the order among waiting tasks is undefined
    async with running_committer(store, **bounds) as harness, trio.open_nursery() as nursery:
        harness.author("first").submit("first")
        await wait_all_tasks_blocked()
        nursery.start_soon(waits_for_places, harness, 7, order)
        for has_place in (2, 4, 6, 7, 7):
            await wait_all_tasks_blocked(0.01)
            assert len(order) == has_place
            assert harness.committer.full == (has_place < 7)
            store.release()
        await wait_all_tasks_blocked()
        assert [len(batch) for batch in store.batches] == [1, 2, 2, 2, 1]


async def test_wait_capacity_always_passes_a_checkpoint() -> None:
    async with running_committer() as harness:
        with assert_checkpoints():
            await harness.committer.wait_capacity()


async def test_a_cancelled_wait_takes_no_capacity(autojump_clock: MockClock) -> None:
    store = HeldStore()
    async with running_committer(store, queue_entries=1) as harness:
        harness.author("ada").submit("a")
        await wait_all_tasks_blocked()
        harness.author("ada").submit("b")
        with trio.move_on_after(0.01) as scope:
            await harness.committer.wait_capacity()
        assert scope.cancelled_caught
        store.release()
        await wait_all_tasks_blocked()
        assert not harness.committer.full
        store.release()


async def test_each_duplicate_counts_in_the_queue(autojump_clock: MockClock) -> None:
    """Each duplicate counts, as its author waits for an outcome and must be remembered."""
    store = HeldStore()
    async with running_committer(store, queue_entries=10) as harness:
        ada = harness.author("ada")
        ada.submit("a", ref="r1")
        await wait_all_tasks_blocked()
        assert store.waiting == 1, "the first is being committed; nothing is queued"
        for _ in range(10):
            assert not harness.committer.full
            ada.submit("a", ref="r1")
        assert harness.committer.full
        order: list[int] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits_for_places, harness, 1, order)
            await wait_all_tasks_blocked(0.01)
            assert order == []
            store.release()
            await wait_all_tasks_blocked()
            assert order == [0], "nothing was committed meanwhile, but there is capacity again"
            store.release()
        assert harness.outcomes("ada") == [1] * 11
        assert not harness.committer.full


# --- refs -------------------------------------------------------------------------------------------


async def test_a_duplicate_of_a_pending_ref_waits_for_the_first() -> None:
    store = HeldStore()
    async with running_committer(store) as harness:
        laptop, phone = harness.author("laptop", "ada"), harness.author("phone", "ada")
        laptop.submit("hello", ref="r1")
        phone.submit("hello", ref="r1")
        await wait_all_tasks_blocked()
        laptop.submit("hello", ref="r1")
        assert len(store.batches[0]) == 1
        store.release()
        await wait_all_tasks_blocked()
        assert harness.published() == ["hello"]
        assert (harness.outcomes("laptop"), harness.outcomes("phone")) == ([1, 1], [1])
        assert [each.who for each in harness.records if each.kind == SETTLED] == ["laptop", "laptop", "phone"]


async def test_a_later_duplicate_is_known_by_the_journal() -> None:
    async with running_committer() as harness:
        ada = harness.author("ada")
        for _ in range(2):
            ada.submit("hello", ref="r1")
            await wait_all_tasks_blocked()
        assert harness.published() == ["hello"]
        assert harness.outcomes("ada") == [1, 1]


@pytest.mark.parametrize(
    ("text", "action", "retitles"), [("Hello", False, False), ("hello", True, False), ("hello", False, True)]
)
async def test_a_ref_with_another_text_is_refused(text: str, action: bool, retitles: bool) -> None:
    """At once while the first is pending, and by the journal later."""
    async with running_committer() as harness:
        ada = harness.author("ada")
        ada.submit("hello", ref="r1")
        with pytest.raises(Refused, match="already used for a different message") as refused:
            ada.submit(text, ref="r1", action=action, is_topic=retitles)
        assert (refused.value.code, refused.value.field) == ("ref_reuse", "ref")
        await wait_all_tasks_blocked()
        ada.submit(text, ref="r1", action=action, is_topic=retitles)
        await wait_all_tasks_blocked()
        assert harness.outcomes("ada") == [1, "ref_reuse"]
        assert harness.published() == ["hello"]
        assert harness.rooms["lobby"].topic == ""


async def test_a_ref_belongs_to_one_author_in_one_room() -> None:
    async with running_committer() as harness:
        for author, room, ref in (("ada", "lobby", "r"), ("ada", "attic", "r"), ("bob", "lobby", "r")):
            harness.author(author).submit("a", room, ref=ref)
        harness.author("ada").submit("a")
        harness.author("ada").submit("a")
        await wait_all_tasks_blocked()
        assert (len(harness.published()), len(harness.published("attic"))) == (4, 1)


async def test_a_committer_that_never_blocks_lets_other_tasks_run() -> None:
    """Its store passes no checkpoint, and each published entry is followed by another draft at once."""
    async with running_committer() as harness:
        ada = harness.author("ada")
        show = harness.publish

        async def show_and_say_more(stream: RoomStream, first: int, payloads: list[bytes]) -> None:
            stream.append(first, payloads)
            if first < 1_000:
                ada.submit("more")

        harness.committer._publish = show_and_say_more
        ada.submit("a")
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        assert 0 < harness.rooms["lobby"].head < 20
        harness.committer._publish = show
        await wait_all_tasks_blocked()


async def test_a_topic_changes_together_with_its_entry() -> None:
    async with running_committer(None, "lobby", "attic") as harness, trio.open_nursery() as nursery:
        attic = harness.rooms["attic"]

        async def watch() -> None:
            for _ in range(20):
                assert (attic.topic == "dust") == (attic.head == 1)
                await trio.lowlevel.checkpoint()

        nursery.start_soon(watch)
        harness.author("ada").submit("a")
        harness.author("ada").submit("dust", "attic", is_topic=True)
        await wait_all_tasks_blocked()
        assert attic.topic == "dust"
