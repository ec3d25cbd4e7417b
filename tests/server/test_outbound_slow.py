"""Being slow: nothing is missed, nobody is copied anything for, and presence is made good."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.outbound_harness import Receiver, outbound_harness, private
from tests.server.stores import FailingStore, HeldStore
from trio_chat.journal.memory import MemoryStore
from trio_chat.server.outbound import READ_RETRY_S, WRITE_RETRY_S
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Bye, Gap, Members, Said

BYE = encode(Bye("quit", "goodbye", reconnect=False))
SHORT_TAIL = 300  # bytes: three or four entries


async def settled() -> None:
    await wait_all_tasks_blocked()


async def test_a_slow_reader_misses_nothing() -> None:
    async with outbound_harness(tail_bytes=SHORT_TAIL) as harness:
        reader = Receiver(harness, capacity=100)
        start = reader.join("lobby")
        for number in range(30):
            await harness.say(*(f"{number}-{each}" for each in range(number % 4 + 1)))
            reader.link.allow(70)
            await settled()
        reader.link.allow()
        await settled()
        reader.check_room("lobby", start, harness.rooms["lobby"].head)
        assert reader.outbound.live


async def test_what_is_kept_for_whoever_is_slow_are_bytes_that_all_share() -> None:
    """From the tail, and from a page; and none of what was said since."""
    async with outbound_harness(tail_bytes=SHORT_TAIL) as harness:
        readers = [Receiver(harness, capacity=10) for _ in range(20)]
        for reader in readers:
            reader.join("lobby")
        for text in "abcdefghijklmnop":
            await harness.say(text, text)
        for room in (1_000, 150, 150, 150, 1_000, 1_000):
            assert len({id(reader.outbound._remainder) for reader in readers}) == 1
            assert all(
                not reader.outbound._next_remainder and not reader.outbound.replies for reader in readers
            )
            for reader in readers:
                reader.link.allow(room)
            await settled()
        for reader in readers:
            reader.check_room("lobby", 0, 32)


async def test_a_busy_room_does_not_keep_who_is_slow_from_the_others() -> None:
    """However much is said in the lobby, and whether or not it is ever caught up there."""
    async with outbound_harness(None, "lobby", "attic", "porch") as harness:
        reader = Receiver(harness, capacity=0)
        for room in ("lobby", "attic", "porch"):
            reader.join(room)
        await harness.say("a")
        for room in ("attic", "porch"):
            await harness.say("x", "y", room=room)
        for _ in range(10):
            await harness.say("b" * 50)
            await harness.say("c" * 50)
            reader.link.allow(150)
            await settled()
        assert not reader.outbound.live
        assert (reader.texts("attic"), reader.texts("porch")) == (["x", "y"], ["x", "y"])


async def test_a_page_is_shared_by_all_who_are_behind_at_the_same_place() -> None:
    store = HeldStore()
    store.holds_commits = False
    async with outbound_harness(store, tail_bytes=SHORT_TAIL) as harness:
        readers = [Receiver(harness, capacity=0) for _ in range(20)]
        for reader in readers:
            reader.join("lobby")
        for text in "abcdefghijklmnop":
            await harness.say(text)
        store.holds_reads = True
        for reader in readers:
            reader.link.allow()
        await settled()
        assert store.waiting == 1
        store.release()
        await settled()
        assert all(reader.texts() == list("abcdefghijklmnop") for reader in readers)


async def test_a_journal_that_has_forgotten_leaves_an_honest_gap() -> None:
    async with outbound_harness(MemoryStore(room_entries_max=3), tail_bytes=1) as harness:
        reader = Receiver(harness, capacity=0)
        reader.join("lobby")
        for text in "abcdefgh":
            await harness.say(text)
        reader.outbound.send(private(1))
        reader.link.allow()
        await settled()
        assert [reader.texts(), reader.answers()] == [["a", "1..6", "f", "g", "h"], [1]]
        gap = next(event for event in reader.events if isinstance(event, Gap))
        assert gap == Gap("Lobby", 1, 6, kept=False)
        assert reader.outbound.live


async def test_a_journal_that_has_forgotten_all_leaves_a_gap_to_the_head() -> None:
    async with outbound_harness(MemoryStore(room_bytes_max=1), tail_bytes=1) as harness:
        reader = Receiver(harness, capacity=0)
        reader.join("lobby")
        for text in "abcd":
            await harness.say(text)
        harness.rooms["lobby"].tail.clear()
        reader.link.allow()
        await settled()
        assert reader.texts() == ["a", "1..5"]
        assert reader.outbound.live


async def test_a_journal_that_cannot_be_read_is_asked_again(autojump_clock: MockClock) -> None:
    store = FailingStore(failing=False)
    async with outbound_harness(store) as harness:
        await harness.say("a")
        harness.rooms["lobby"].tail.clear()
        store.reading_fails = True
        reader = Receiver(harness)
        reader.join("lobby", recent=1)
        await trio.sleep(2.5 * READ_RETRY_S)
        assert reader.texts() == []
        store.reading_fails = False
        await trio.sleep(READ_RETRY_S)
        assert reader.texts() == ["a"]


async def test_it_is_tried_every_second_whether_the_socket_takes_more(autojump_clock: MockClock) -> None:
    """With large buffers the system says so only after minutes."""
    async with outbound_harness() as harness:
        reader = Receiver(harness, capacity=0)
        reader.join("lobby")
        await harness.say("a")
        await settled()
        reader.link.capacity = 10**6  # without a word
        await trio.sleep(1.1 * WRITE_RETRY_S)
        assert reader.texts() == ["a"]


async def test_since_when_a_socket_takes_nothing(autojump_clock: MockClock) -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness, capacity=0)

        def stuck_since() -> float | None:
            return reader.outbound.stuck_since

        reader.join("lobby")
        assert stuck_since() is None
        await trio.sleep(5)
        await harness.say("a" * 100)
        began = trio.current_time()
        await trio.sleep(7)
        assert stuck_since() == began
        reader.link.allow(1)
        await settled()
        assert stuck_since() == trio.current_time() == began + 7
        await trio.sleep(5)
        assert stuck_since() == began + 7
        reader.link.allow()
        await settled()
        assert stuck_since() is None


async def test_a_socket_that_took_all_is_not_stuck_while_the_journal_is_read(
    autojump_clock: MockClock,
) -> None:
    store = HeldStore()
    store.holds_commits, store.holds_reads = False, True
    async with outbound_harness(store, tail_bytes=SHORT_TAIL) as harness:
        reader = Receiver(harness, capacity=0)
        reader.join("lobby")
        for text in "abcdefghijklmnop":
            await harness.say(text)
        reader.link.allow()
        await trio.sleep(100)
        assert store.waiting == 1
        assert reader.outbound.stuck_since is None


# --- presence ---------------------------------------------------------------------------------------


async def test_whoever_missed_a_notice_is_told_who_is_here_once_it_has_caught_up() -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness, capacity=0)
        reader.join("lobby")
        reader.join("attic")
        await harness.say("a")
        await harness.notify()
        await harness.notify()
        await harness.say("b")
        reader.link.allow()
        await settled()
        assert reader.events == [
            Said("Lobby", 1, 0, "ada", "a"),
            Said("Lobby", 2, 0, "ada", "b"),
            Members("Lobby", [], 2, more=False),
        ]
        await harness.notify("attic")
        assert len(reader.events) == 4, "it is live again, and told as all are"


async def test_what_was_missed_in_a_hundred_rooms_is_not_owed_at_once() -> None:
    """Pages of who is here are large: the next is made when the socket has taken the one before."""
    rooms = [f"r{number}" for number in range(100)]
    async with outbound_harness(None, *rooms) as harness:
        reader = Receiver(harness, capacity=0)
        for room in rooms:
            reader.join(room)
        await harness.say("a", room="r0")
        for room in rooms:
            await harness.notify(room)
        size = len(encode(Members("R10", [], 1, more=False)))
        most = 0
        while not reader.outbound.live:
            reader.link.allow(40)
            await settled()
            most = max(most, len(reader.outbound._remainder) + reader.outbound.replies_bytes)
        assert most <= size + 200
        assert [event.room for event in reader.events if isinstance(event, Members)] == [
            room.title() for room in rooms
        ]


async def test_a_room_entered_while_behind_owes_only_the_notices_since() -> None:
    async with outbound_harness() as harness:
        await harness.notify("attic")
        reader = Receiver(harness, capacity=0)
        reader.join("lobby")
        await harness.say("a")
        reader.join("attic")
        await harness.notify("lobby")
        reader.link.allow()
        await settled()
        assert reader.events[1:] == [Members("Lobby", [], 1, more=False)]


async def test_a_notice_in_a_room_entered_while_behind_is_made_good() -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness, capacity=0)
        reader.join("lobby")
        await harness.say("a")
        reader.join("attic")
        await harness.notify("attic")
        reader.link.allow()
        await settled()
        assert reader.events[1:] == [Members("Attic", [], 1, more=False)]
