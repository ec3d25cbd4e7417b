"""The outbound queue: order, completeness, and little memory for slow sessions."""

import pytest
import trio
from trio.testing import MockClock, assert_no_checkpoints, wait_all_tasks_blocked

from tests.server.outbound_harness import OutboundHarness, Receiver, outbound_harness, private
from tests.server.stores import HeldStore
from trio_chat.dialects.frames import FRAMES
from trio_chat.wire.codec import encode
from trio_chat.wire.framing import pack
from trio_chat.wire.messages import Bye, Members, Said

BYE = encode(Bye("quit", "goodbye", reconnect=False))
SHORT_TAIL = 300  # bytes: three or four entries


async def settled() -> None:
    await wait_all_tasks_blocked()


# --- replies ----------------------------------------------------------------------------------------


async def test_replies_wait_for_a_flush_and_are_sent_together() -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness)
        for number in range(3):
            reader.outbound.send(private(number))
        assert reader.outbound.replies_bytes == 3 * len(private(0))
        assert reader.link.sends == 0
        with assert_no_checkpoints():
            reader.outbound.flush()
        assert reader.answers() == [0, 1, 2]
        assert (reader.link.sends, reader.outbound.replies, reader.outbound.replies_bytes) == (1, [], 0)
        reader.outbound.flush()
        assert reader.link.sends == 1, "nothing is queued"


async def test_replies_that_do_not_fit_put_the_session_behind_and_arrive_in_order() -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness, capacity=len(pack([private(0)])) + 3)
        for number in range(5):
            reader.outbound.send(private(number))
            reader.outbound.flush()
        assert not reader.outbound.live
        assert reader.writer_starts == 1, "one writer at a time"
        assert reader.outbound.replies_bytes == 3 * len(private(0)), "the first two are being sent"
        for _ in range(40):
            reader.link.allow(11)
            await settled()
        assert reader.answers() == list(range(5))
        assert reader.outbound.live


async def test_a_broken_connection_is_reported_from_every_send() -> None:
    async with outbound_harness() as harness:
        at_flush, behind, going_on = Receiver(harness), Receiver(harness, capacity=0), Receiver(harness)
        at_flush.outbound.send(private(1))
        at_flush.link.reset()
        at_flush.outbound.flush()
        assert at_flush.losses == 1
        behind.outbound.send(private(1))
        behind.outbound.flush()
        await settled()
        behind.link.reset()
        await settled()
        assert behind.losses == 1
        await harness.say("a")
        going_on.link.reset()
        going_on.join("lobby", recent=1)
        assert going_on.losses == 1
        await settled()
        assert going_on.writer_starts == 0, "there was nothing to wait for"


# --- joining rooms ----------------------------------------------------------------------------------


async def test_a_join_at_the_head_is_live() -> None:
    async with outbound_harness() as harness:
        await harness.say("before")
        reader = Receiver(harness)
        with assert_no_checkpoints():
            reader.join("lobby")
        assert list(harness.rooms["lobby"].live) == [reader.outbound]
        await harness.say("after")
        assert reader.texts() == ["after"]


async def test_a_join_within_the_tail_is_caught_up_in_one_step() -> None:
    async with outbound_harness() as harness:
        await harness.say("a")
        await harness.say("b", "c", "d")
        reader = Receiver(harness)
        reader.outbound.send(private(1))
        with assert_no_checkpoints():
            reader.join("lobby", recent=2)
        assert reader.events == [
            Members("private", [], 1, more=False, ref="private"),
            Said("Lobby", 3, 0, "ada", "c"),
            Said("Lobby", 4, 0, "ada", "d"),
        ]
        assert reader.outbound.live and reader.writer_starts == 0
        await harness.say("e")
        assert reader.texts() == ["c", "d", "e"]


async def test_entries_before_the_tail_are_read_from_the_journal() -> None:
    async with outbound_harness(tail_bytes=SHORT_TAIL) as harness:
        for number in range(50):
            await harness.say(str(number))
        reader = Receiver(harness)
        reader.join("lobby", recent=40)
        assert reader.writer_starts == 1
        await harness.say("50")
        await settled()
        assert reader.texts() == [str(number) for number in range(10, 51)]
        assert reader.outbound.live


async def test_behind_in_one_room_is_behind_in_all() -> None:
    """All rooms share one socket: entries of other rooms wait until the history is sent."""
    store = HeldStore()
    store.holds_commits, store.holds_reads = False, True
    async with outbound_harness(store) as harness:
        await harness.say("a", "b")
        harness.rooms["lobby"].tail.clear()
        reader = Receiver(harness)
        reader.join("attic")
        reader.join("lobby", recent=2)
        assert not reader.outbound.live and not harness.rooms["attic"].live
        await settled()
        await harness.say("c", room="attic")
        await settled()
        assert reader.events == []
        store.release()
        await settled()
        assert reader.events == [
            Said("Lobby", 1, 0, "ada", "a"),
            Said("Lobby", 2, 0, "ada", "b"),
            Said("Attic", 1, 0, "ada", "c"),
        ]
        assert harness.rooms["attic"].live and harness.rooms["lobby"].live


async def test_a_session_that_is_behind_joins_further_rooms_behind() -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness, capacity=0)
        reader.join("lobby")
        await harness.say("a")
        await harness.say("x", room="attic")
        reader.join("attic")
        assert not harness.rooms["attic"].live
        await harness.say("y", room="attic")
        reader.link.allow()
        await settled()
        assert (reader.texts("lobby"), reader.texts("attic")) == (["a"], ["y"])


async def test_no_entries_are_sent_after_leaving_a_room() -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness, capacity=0)
        reader.join("lobby")
        reader.join("attic")
        await harness.say("a")
        await harness.say("b")
        await harness.say("x", room="attic")
        reader.leave("lobby")
        await harness.notify()
        reader.link.allow()
        await settled()
        assert reader.texts("lobby") == ["a"], "its bytes were being sent already"
        assert reader.texts("attic") == ["x"]
        assert len(reader.events) == 2, "no member list is sent either"
        assert reader.outbound.live and harness.rooms["lobby"].live == {}


async def test_no_entries_are_sent_after_leaving_a_room_during_a_read() -> None:
    store = HeldStore()
    store.holds_commits, store.holds_reads = False, True
    async with outbound_harness(store) as harness:
        await harness.say("a")
        harness.rooms["lobby"].tail.clear()
        reader = Receiver(harness)
        reader.join("lobby", recent=1)
        await settled()
        reader.leave("lobby")
        store.release()
        await settled()
        assert reader.events == [] and reader.outbound.live


async def test_is_behind_tells_whether_entries_of_a_room_are_unsent() -> None:
    async with outbound_harness() as harness:
        lobby = harness.rooms["lobby"]
        live, slow, other = Receiver(harness), Receiver(harness, capacity=0), Receiver(harness)
        live.join("lobby")
        slow.join("lobby")
        await harness.say("a")
        await harness.say("b")
        assert not live.outbound.is_behind(lobby, 2)
        assert slow.outbound.is_behind(lobby, 2) and not slow.outbound.is_behind(lobby, 1)
        assert not other.outbound.is_behind(lobby, 2), "it is not in the room"


# --- closing ----------------------------------------------------------------------------------------


def ends(reader: Receiver, bye: bytes | None, *, drop: bool) -> None:
    streams = list(reader.outbound.streams)
    reader.outbound.close(bye, drop=drop)
    for stream in streams:
        reader.harness.streams.release(stream)


@pytest.mark.parametrize("drop", [False, True])
async def test_close_sends_replies_and_bye_to_a_live_session(drop: bool) -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness)
        reader.join("lobby")
        reader.outbound.send(private(1))
        with assert_no_checkpoints():
            ends(reader, BYE, drop=drop)
        await harness.say("a")
        assert bytes(reader.link.taken) == pack([private(1), BYE])
        assert harness.rooms["lobby"].live == {} and reader.outbound.streams == {}
        await reader.outbound.wait_sent()


async def behind(harness: OutboundHarness) -> Receiver:
    """Return a receiver whose socket took half of an entry, with two replies and an entry still queued."""
    reader = Receiver(harness, capacity=20)
    reader.join("lobby")
    await harness.say("a", "b")
    await harness.say("c")
    reader.outbound.send(private(1))
    reader.outbound.send(private(2))
    return reader


async def test_an_orderly_close_sends_the_remainder_and_the_replies_before_the_bye() -> None:
    async with outbound_harness() as harness:
        reader = await behind(harness)
        ends(reader, BYE, drop=False)
        reader.link.allow()
        await settled()
        assert reader.texts() == ["a", "b"], "the batch that was partly sent, and no further entries"
        assert reader.answers() == [1, 2]
        assert isinstance(reader.events[-1], Bye)


async def test_a_dropping_close_finishes_only_the_partly_sent_frame() -> None:
    async with outbound_harness() as harness:
        reader = await behind(harness)
        ends(reader, BYE, drop=True)
        reader.link.allow()
        await settled()
        assert (reader.texts(), reader.answers()) == (["a"], [])
        assert isinstance(reader.events[-1], Bye)
        assert len(reader.events) == 2


async def test_a_dropping_close_drops_the_batch_after_the_replies() -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness, capacity=5)
        reader.join("lobby")
        reader.outbound.send(private(1))
        reader.outbound.send(private(2))
        await harness.say("a")
        ends(reader, BYE, drop=True)
        reader.link.allow()
        await settled()
        assert bytes(reader.link.taken) == pack([private(1), BYE])


@pytest.mark.parametrize("drop", [False, True])
async def test_close_without_a_bye_sends_nothing(drop: bool) -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness)
        reader.join("lobby")
        ends(reader, None, drop=drop)
        assert reader.link.sends == 0


async def test_wait_sent_returns_when_all_is_sent_or_the_connection_is_lost() -> None:
    async with outbound_harness() as harness:
        patient, lost = Receiver(harness, capacity=0), Receiver(harness, capacity=0)
        for reader in (patient, lost):
            reader.join("lobby")
        await harness.say("a")
        finished: list[Receiver] = []

        async def waits(reader: Receiver) -> None:
            ends(reader, BYE, drop=True)
            await reader.outbound.wait_sent()
            finished.append(reader)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits, patient)
            nursery.start_soon(waits, lost)
            await settled()
            assert finished == []
            patient.link.allow()
            await settled()
            assert finished == [patient]
            lost.link.reset()
        assert finished == [patient, lost]
        assert bytes(patient.link.taken) == pack([BYE])


async def test_close_wakes_tasks_that_wait_for_the_writer(autojump_clock: MockClock) -> None:
    async with outbound_harness() as harness:
        reader = await behind(harness)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.outbound.wait_progress)
            nursery.start_soon(reader.outbound.wait_progress)
            await settled()
            began = trio.current_time()
            ends(reader, BYE, drop=True)
        assert trio.current_time() == began, "at once, not at the next retry of the socket"


async def test_wait_progress_returns_at_once_without_a_writer() -> None:
    async with outbound_harness() as harness:
        reader = Receiver(harness)
        with trio.testing.assert_checkpoints():
            await reader.outbound.wait_progress()


async def test_the_writer_reports_each_progress() -> None:
    async with outbound_harness() as harness:
        reader = await behind(harness)
        await settled()
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reader.outbound.wait_progress)
                await settled()
                reader.link.allow(1)


async def test_an_interrupt_makes_the_writer_check_for_new_output() -> None:
    """The code that ends a session does not know whether its writer is waiting."""
    async with outbound_harness() as harness:
        reader = await behind(harness)
        await settled()
        reader.link.interrupt()
        await settled()
        reader.link.allow()
        await settled()
        assert reader.texts() == ["a", "b", "c"]


def test_the_packing_finds_the_end_of_the_partly_sent_frame() -> None:
    """`close` relies on it to finish the frame that was partly sent."""
    one, two = pack([private(1)]), pack([private(2)])
    assert [FRAMES.frame_boundary(one + two, sent) for sent in (0, 1, len(one), len(one) + 1)] == [
        0,
        len(one),
        len(one),
        len(one + two),
    ]
