"""Slow sessions: no entry is missed, nothing is copied, and missed presence is replaced by a member list."""

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


async def test_a_slow_session_keeps_only_shared_bytes() -> None:
    """The bytes come from the tail and from a page. Later entries are not kept."""
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


async def test_a_busy_room_does_not_block_a_slow_session_s_other_rooms() -> None:
    """Even if the session never catches up in the lobby."""
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


async def test_sessions_with_the_same_cursor_share_a_page() -> None:
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


async def test_removed_entries_are_sent_as_a_gap() -> None:
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


async def test_when_all_entries_are_removed_the_gap_reaches_the_head() -> None:
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


async def test_a_failed_read_of_the_journal_is_retried(autojump_clock: MockClock) -> None:
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


async def test_a_blocked_socket_is_retried_every_second(autojump_clock: MockClock) -> None:
    """With large buffers the system reports a writable socket only after minutes."""
    async with outbound_harness() as harness:
        reader = Receiver(harness, capacity=0)
        reader.join("lobby")
        await harness.say("a")
        await settled()
        reader.link.capacity = 10**6  # without a notification
        await trio.sleep(1.1 * WRITE_RETRY_S)
        assert reader.texts() == ["a"]


async def test_stuck_since_is_the_time_of_the_last_progress(autojump_clock: MockClock) -> None:
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


async def test_a_socket_is_not_stuck_while_the_journal_is_read(
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


async def test_a_session_that_missed_a_notice_gets_the_member_list_once_caught_up() -> None:
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
        assert len(reader.events) == 4, "it is live again, and gets the usual notices"


async def test_member_lists_of_a_hundred_rooms_are_not_queued_at_once() -> None:
    """Member lists are large: the next is made only when the socket has taken the previous one."""
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


async def test_a_room_joined_while_behind_counts_only_later_notices() -> None:
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


async def test_a_notice_missed_in_a_room_joined_while_behind_is_replaced() -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness, capacity=0)
        reader.join("lobby")
        await harness.say("a")
        reader.join("attic")
        await harness.notify("attic")
        reader.link.allow()
        await settled()
        assert reader.events[1:] == [Members("Attic", [], 1, more=False)]
