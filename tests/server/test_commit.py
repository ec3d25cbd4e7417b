"""Commit, then show: nobody hears of what the journal does not hold, and everybody is answered once."""

import tracemalloc
from itertools import count

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, assert_no_checkpoints, wait_all_tasks_blocked

from tests.server.committing import ACKED, SETTLED, SHOWN, Happened, House, housed
from tests.server.stores import FatedStore, HeldStore
from trio_chat.errors import Refused
from trio_chat.server.commit import BATCH_BYTES, DRAFT_BYTES
from trio_chat.server.stream import RoomStream

UNAVAILABLE = "unavailable"
Logs = pytest.LogCaptureFixture


# --- the way of a draft -----------------------------------------------------------------------------


async def test_an_entry_is_acked_and_shown_once_the_journal_holds_it() -> None:
    store = HeldStore()
    async with housed(store) as house:
        with assert_no_checkpoints():
            house.teller("ada").says("hello", ref="r1")
        await wait_all_tasks_blocked()
        assert house.happened == []
        store.let_go()
        await wait_all_tasks_blocked()
        assert house.happened == [
            Happened(ACKED, "ada", "r1", 1),
            Happened(SHOWN, "lobby", "hello", 1),
            Happened(SETTLED, "ada"),
        ]


async def test_while_a_batch_is_committed_the_next_gathers() -> None:
    store = HeldStore()
    async with housed(store) as house:
        ada, bob = house.teller("ada"), house.teller("bob")
        ada.says("a")
        await wait_all_tasks_blocked()
        for text in "bcd":
            ada.says(text)
            bob.says(text.upper(), "attic")
            await wait_all_tasks_blocked()
        store.let_go()
        await wait_all_tasks_blocked()
        assert [[draft.text for draft in batch] for batch in store.batches] == [["a"], list("bBcCdD")]
        assert house.shown() == ["a"]
        store.let_go()
        await wait_all_tasks_blocked()
        assert (house.shown(), house.shown("attic")) == (["a", "b", "c", "d"], ["B", "C", "D"])


async def test_what_comes_in_one_step_is_one_batch_and_one_showing_a_room() -> None:
    showings: list[tuple[str, int]] = []

    async with housed(store := FatedStore()) as house:

        async def publish(stream: RoomStream, first: int, payloads: list[bytes]) -> None:
            showings.append((stream.key, len(payloads)))
            await House.publish(house, stream, first, payloads)

        house.committer._publish = publish
        ada = house.teller("ada")
        for number in range(100):
            ada.says(str(number), "lobby" if number % 4 else "attic")
        await wait_all_tasks_blocked()
    assert len(store.batches) == 1
    assert showings == [("attic", 25), ("lobby", 75)]


async def test_a_batch_has_a_bound() -> None:
    async with housed(store := FatedStore()) as house:
        ada = house.teller("ada")
        each = 4_000 + DRAFT_BYTES
        for _ in range(BATCH_BYTES // each * 3):
            ada.says("x" * 4_000)
        await wait_all_tasks_blocked()
        sizes = [len(batch) for batch in store.batches]
        assert len(sizes) > 2
        assert all((size - 1) * each < BATCH_BYTES for size in sizes)
        assert house.answers("ada") == list(range(1, sum(sizes) + 1))
        assert not house.committer.full and house.committer._bytes == 0


async def test_time_is_asked_for_each_batch() -> None:
    async with housed() as house:
        times = count(1_000)
        house.committer._clock_ms = lambda: next(times)
        for text in "abc":
            house.teller("ada").says(text)
            await wait_all_tasks_blocked()
        entries = house.journal._rooms["lobby"].entries
        assert [b'"at":%d' % at in payload for payload, at in zip(entries, count(1_000), strict=False)]


async def test_a_topic_holds_when_it_is_committed() -> None:
    store = HeldStore()
    async with housed(store) as house:
        house.teller("ada").says("welcome", retitles=True)
        await wait_all_tasks_blocked()
        assert house.rooms["lobby"].topic == ""
        store.let_go()
        await wait_all_tasks_blocked()
        assert house.rooms["lobby"].topic == "welcome"


async def test_a_room_stays_open_until_what_was_said_in_it_is_settled(autojump_clock: MockClock) -> None:
    store = HeldStore()
    async with housed(store) as house:
        house.teller("ada").says("a", ref="r1")
        house.teller("ada").says("a", ref="r1")
        house.teller("bob").says("b")
        await wait_all_tasks_blocked()
        house.close()
        assert len(house.feeds) == 1
        store.let_go()
        await wait_all_tasks_blocked()
        assert house.shown() == ["a", "b"]
        assert len(house.feeds) == 0


# --- places -----------------------------------------------------------------------------------------


async def waits_for_places(house: House, many: int, order: list[int]) -> None:
    """Many authors who each say one word as soon as there is a place for it."""
    async with trio.open_nursery() as nursery:
        for number in range(many):

            async def says(number: int = number) -> None:
                await house.committer.wait_capacity()
                house.teller(f"author {number}").says(str(number))
                order.append(number)

            nursery.start_soon(says)
            await wait_all_tasks_blocked()


@pytest.mark.parametrize(
    ("text", "ref"),
    [("x" * 3_000 + "\U0001f44b", ""), ("x", "\U0001f44b" * 60), ("猫" * 1_000, "r"), ("x" * 3_000, "r")],
    ids=["wide text", "wide ref", "chinese", "ascii"],
)
async def test_the_queue_is_bounded_in_real_memory(text: str, ref: str) -> None:
    """One character beyond U+FFFF makes all of a text take four bytes each, and all of a ref's key too."""
    bound = 1 << 20
    async with housed(HeldStore(), queue_bytes=bound) as house:
        ada = house.teller("ada")
        number = 0
        tracemalloc.start()
        try:
            while not house.committer.full:
                number += 1
                ada.says(text + str(number), ref=ref and f"{ref}{number}")
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert number < 10_000
        assert 0.7 * bound < taken < 1.3 * bound
        house.committer._fail("enough")


@pytest.mark.parametrize(
    "bounds", [{"queue_entries": 2}, {"queue_bytes": DRAFT_BYTES + 2}], ids=["entries", "bytes"]
)
async def test_a_full_queue_makes_authors_wait(bounds: dict[str, int], autojump_clock: MockClock) -> None:
    store = HeldStore()
    order: list[int] = []  # among those who wait it is anybody's
    async with housed(store, **bounds) as house, trio.open_nursery() as nursery:
        house.teller("first").says("first")
        await wait_all_tasks_blocked()
        nursery.start_soon(waits_for_places, house, 7, order)
        for has_place in (2, 4, 6, 7, 7):
            await wait_all_tasks_blocked(0.01)
            assert len(order) == has_place
            assert house.committer.full == (has_place < 7)
            store.let_go()
        await wait_all_tasks_blocked()
        assert [len(batch) for batch in store.batches] == [1, 2, 2, 2, 1]


async def test_asking_for_a_place_always_passes_a_checkpoint() -> None:
    async with housed() as house:
        with assert_checkpoints():
            await house.committer.wait_capacity()


async def test_whoever_gives_up_waiting_takes_no_place(autojump_clock: MockClock) -> None:
    store = HeldStore()
    async with housed(store, queue_entries=1) as house:
        house.teller("ada").says("a")
        await wait_all_tasks_blocked()
        house.teller("ada").says("b")
        with trio.move_on_after(0.01) as scope:
            await house.committer.wait_capacity()
        assert scope.cancelled_caught
        store.let_go()
        await wait_all_tasks_blocked()
        assert not house.committer.full
        store.let_go()


async def test_sending_again_takes_a_place_each_time(autojump_clock: MockClock) -> None:
    """However often it is the same: who sends it waits for an answer, and is remembered."""
    store = HeldStore()
    async with housed(store, queue_entries=10) as house:
        ada = house.teller("ada")
        ada.says("a", ref="r1")
        await wait_all_tasks_blocked()
        assert store.waiting == 1, "the first is on its way; nothing is queued"
        for _ in range(10):
            assert not house.committer.full
            ada.says("a", ref="r1")
        assert house.committer.full
        order: list[int] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits_for_places, house, 1, order)
            await wait_all_tasks_blocked(0.01)
            assert order == []
            store.let_go()
            await wait_all_tasks_blocked()
            assert order == [0], "nothing is committed meanwhile, and the place is told of"
            store.let_go()
        assert house.answers("ada") == [1] * 11
        assert not house.committer.full


# --- refs -------------------------------------------------------------------------------------------


async def test_the_same_again_while_pending_waits_for_the_first() -> None:
    store = HeldStore()
    async with housed(store) as house:
        laptop, phone = house.teller("laptop", "ada"), house.teller("phone", "ada")
        laptop.says("hello", ref="r1")
        phone.says("hello", ref="r1")
        await wait_all_tasks_blocked()
        laptop.says("hello", ref="r1")
        assert len(store.batches[0]) == 1
        store.let_go()
        await wait_all_tasks_blocked()
        assert house.shown() == ["hello"]
        assert (house.answers("laptop"), house.answers("phone")) == ([1, 1], [1])
        assert [each.who for each in house.happened if each.kind == SETTLED] == ["laptop", "laptop", "phone"]


async def test_the_same_again_later_is_known_by_the_journal() -> None:
    async with housed() as house:
        ada = house.teller("ada")
        for _ in range(2):
            ada.says("hello", ref="r1")
            await wait_all_tasks_blocked()
        assert house.shown() == ["hello"]
        assert house.answers("ada") == [1, 1]


@pytest.mark.parametrize(
    ("text", "action", "retitles"), [("Hello", False, False), ("hello", True, False), ("hello", False, True)]
)
async def test_another_thing_under_a_ref_is_refused(text: str, action: bool, retitles: bool) -> None:
    """At once while the first is pending, by the journal's word later."""
    async with housed() as house:
        ada = house.teller("ada")
        ada.says("hello", ref="r1")
        with pytest.raises(Refused, match="already used for a different message") as refused:
            ada.says(text, ref="r1", action=action, retitles=retitles)
        assert (refused.value.code, refused.value.field) == ("ref_reuse", "ref")
        await wait_all_tasks_blocked()
        ada.says(text, ref="r1", action=action, retitles=retitles)
        await wait_all_tasks_blocked()
        assert house.answers("ada") == [1, "ref_reuse"]
        assert house.shown() == ["hello"]
        assert house.rooms["lobby"].topic == ""


async def test_a_ref_is_of_one_author_in_one_room_and_no_ref_of_nobody() -> None:
    async with housed() as house:
        for author, room, ref in (("ada", "lobby", "r"), ("ada", "attic", "r"), ("bob", "lobby", "r")):
            house.teller(author).says("a", room, ref=ref)
        house.teller("ada").says("a")
        house.teller("ada").says("a")
        await wait_all_tasks_blocked()
        assert (len(house.shown()), len(house.shown("attic"))) == (4, 1)


async def test_a_committer_that_never_waits_lets_others_run() -> None:
    """Its store passes no checkpoint, and whatever is shown is at once followed by more."""
    async with housed() as house:
        ada = house.teller("ada")
        show = house.publish

        async def show_and_say_more(stream: RoomStream, first: int, payloads: list[bytes]) -> None:
            stream.append(first, payloads)
            if first < 1_000:
                ada.says("more")

        house.committer._publish = show_and_say_more
        ada.says("a")
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        assert 0 < house.rooms["lobby"].head < 20
        house.committer._publish = show
        await wait_all_tasks_blocked()


async def test_a_topic_changes_with_its_entry_and_not_before() -> None:
    async with housed(None, "lobby", "attic") as house, trio.open_nursery() as nursery:
        attic = house.rooms["attic"]

        async def watch() -> None:
            for _ in range(20):
                assert (attic.topic == "dust") == (attic.head == 1)
                await trio.lowlevel.checkpoint()

        nursery.start_soon(watch)
        house.teller("ada").says("a")
        house.teller("ada").says("dust", "attic", retitles=True)
        await wait_all_tasks_blocked()
        assert attic.topic == "dust"
