"""What a session is owed: order kept, nothing missed, and next to nothing held for whoever is slow."""

import pytest
import trio
from trio.testing import MockClock, assert_no_checkpoints, wait_all_tasks_blocked

from tests.server.stage import Reader, Stage, on_stage, private
from tests.server.stores import HeldStore
from trio_chat.dialects.frames import FRAMES
from trio_chat.wire.codec import encode
from trio_chat.wire.framing import pack
from trio_chat.wire.messages import Bye, Members, Said

BYE = encode(Bye("quit", "goodbye", reconnect=False))
SHORT_TAIL = 300  # bytes: three or four entries


async def settled() -> None:
    await wait_all_tasks_blocked()


# --- answers ----------------------------------------------------------------------------------------


async def test_answers_wait_for_a_flush_and_go_out_in_one_send() -> None:
    async with on_stage() as stage:
        reader = Reader(stage)
        for number in range(3):
            reader.owed.send(private(number))
        assert reader.owed.replies_bytes == 3 * len(private(0))
        assert reader.link.sends == 0
        with assert_no_checkpoints():
            reader.owed.flush()
        assert reader.answers() == [0, 1, 2]
        assert (reader.link.sends, reader.owed.replies, reader.owed.replies_bytes) == (1, [], 0)
        reader.owed.flush()
        assert reader.link.sends == 1, "nothing is owed"


async def test_answers_that_do_not_fit_make_one_fall_behind_and_come_in_order() -> None:
    async with on_stage() as stage:
        reader = Reader(stage, room=len(pack([private(0)])) + 3)
        for number in range(5):
            reader.owed.send(private(number))
            reader.owed.flush()
        assert not reader.owed.live
        assert reader.fallen == 1, "one writer at a time"
        assert reader.owed.replies_bytes == 3 * len(private(0)), "the first two are on their way"
        for _ in range(40):
            reader.link.widen(11)
            await settled()
        assert reader.answers() == list(range(5))
        assert reader.owed.live


async def test_a_broken_connection_is_told_to_the_owner_wherever_it_shows() -> None:
    async with on_stage() as stage:
        at_flush, behind, going_on = Reader(stage), Reader(stage, room=0), Reader(stage)
        at_flush.owed.send(private(1))
        at_flush.link.reset()
        at_flush.owed.flush()
        assert at_flush.gone == 1
        behind.owed.send(private(1))
        behind.owed.flush()
        await settled()
        behind.link.reset()
        await settled()
        assert behind.gone == 1
        await stage.says("a")
        going_on.link.reset()
        going_on.join("lobby", recent=1)
        assert going_on.gone == 1
        await settled()
        assert going_on.fallen == 0, "there was nothing to wait for"


# --- coming into rooms ------------------------------------------------------------------------------


async def test_whoever_begins_at_the_head_is_live() -> None:
    async with on_stage() as stage:
        await stage.says("before")
        reader = Reader(stage)
        with assert_no_checkpoints():
            reader.join("lobby")
        assert list(stage.rooms["lobby"].live) == [reader.owed]
        await stage.says("after")
        assert reader.texts() == ["after"]


async def test_whoever_begins_further_back_is_caught_up_in_one_step_when_the_tail_reaches_so_far() -> None:
    async with on_stage() as stage:
        await stage.says("a")
        await stage.says("b", "c", "d")
        reader = Reader(stage)
        reader.owed.send(private(1))
        with assert_no_checkpoints():
            reader.join("lobby", recent=2)
        assert reader.events == [
            Members("private", [], 1, more=False, ref="private"),
            Said("Lobby", 3, 0, "ada", "c"),
            Said("Lobby", 4, 0, "ada", "d"),
        ]
        assert reader.owed.live and reader.fallen == 0
        await stage.says("e")
        assert reader.texts() == ["c", "d", "e"]


async def test_what_the_tail_does_not_hold_is_read_from_the_journal() -> None:
    async with on_stage(tail_bytes=SHORT_TAIL) as stage:
        for number in range(50):
            await stage.says(str(number))
        reader = Reader(stage)
        reader.join("lobby", recent=40)
        assert reader.fallen == 1
        await stage.says("50")
        await settled()
        assert reader.texts() == [str(number) for number in range(10, 51)]
        assert reader.owed.live


async def test_behind_in_one_room_is_behind_in_all() -> None:
    """One socket, one order: what is said elsewhere waits until the history is through."""
    store = HeldStore()
    store.holds_commits, store.holds_reads = False, True
    async with on_stage(store) as stage:
        await stage.says("a", "b")
        stage.rooms["lobby"].tail.clear()
        reader = Reader(stage)
        reader.join("attic")
        reader.join("lobby", recent=2)
        assert not reader.owed.live and not stage.rooms["attic"].live
        await settled()
        await stage.says("c", room="attic")
        await settled()
        assert reader.events == []
        store.let_go()
        await settled()
        assert reader.events == [
            Said("Lobby", 1, 0, "ada", "a"),
            Said("Lobby", 2, 0, "ada", "b"),
            Said("Attic", 1, 0, "ada", "c"),
        ]
        assert stage.rooms["attic"].live and stage.rooms["lobby"].live


async def test_whoever_is_behind_comes_into_further_rooms_behind() -> None:
    async with on_stage() as stage:
        reader = Reader(stage, room=0)
        reader.join("lobby")
        await stage.says("a")
        await stage.says("x", room="attic")
        reader.join("attic")
        assert not stage.rooms["attic"].live
        await stage.says("y", room="attic")
        reader.link.widen()
        await settled()
        assert (reader.texts("lobby"), reader.texts("attic")) == (["a"], ["y"])


async def test_a_room_left_is_owed_no_more() -> None:
    async with on_stage() as stage:
        reader = Reader(stage, room=0)
        reader.join("lobby")
        reader.join("attic")
        await stage.says("a")
        await stage.says("b")
        await stage.says("x", room="attic")
        reader.leave("lobby")
        await stage.tells()
        reader.link.widen()
        await settled()
        assert reader.texts("lobby") == ["a"], "its bytes were on their way"
        assert reader.texts("attic") == ["x"]
        assert len(reader.events) == 2, "nor is it told who is there"
        assert reader.owed.live and stage.rooms["lobby"].live == {}


async def test_a_room_left_while_its_page_is_read_is_owed_no_more() -> None:
    store = HeldStore()
    store.holds_commits, store.holds_reads = False, True
    async with on_stage(store) as stage:
        await stage.says("a")
        stage.rooms["lobby"].tail.clear()
        reader = Reader(stage)
        reader.join("lobby", recent=1)
        await settled()
        reader.leave("lobby")
        store.let_go()
        await settled()
        assert reader.events == [] and reader.owed.live


async def test_whether_something_of_a_room_is_still_owed() -> None:
    async with on_stage() as stage:
        lobby = stage.rooms["lobby"]
        live, slow, other = Reader(stage), Reader(stage, room=0), Reader(stage)
        live.join("lobby")
        slow.join("lobby")
        await stage.says("a")
        await stage.says("b")
        assert not live.owed.is_behind(lobby, 2)
        assert slow.owed.is_behind(lobby, 2) and not slow.owed.is_behind(lobby, 1)
        assert not other.owed.is_behind(lobby, 2), "it is not there"


# --- the end ----------------------------------------------------------------------------------------


def ends(reader: Reader, bye: bytes | None, *, drop: bool) -> None:
    streams = list(reader.owed.streams)
    reader.owed.close(bye, drop=drop)
    for stream in streams:
        reader.stage.feeds.release(stream)


@pytest.mark.parametrize("drop", [False, True])
async def test_who_keeps_up_is_sent_its_answers_and_the_bye(drop: bool) -> None:
    async with on_stage() as stage:
        reader = Reader(stage)
        reader.join("lobby")
        reader.owed.send(private(1))
        with assert_no_checkpoints():
            ends(reader, BYE, drop=drop)
        await stage.says("a")
        assert bytes(reader.link.taken) == pack([private(1), BYE])
        assert stage.rooms["lobby"].live == {} and reader.owed.streams == {}
        await reader.owed.wait_sent()


async def behind(stage: Stage) -> Reader:
    """A reader whose socket has taken half of an entry, with two answers behind it, and another entry."""
    reader = Reader(stage, room=20)
    reader.join("lobby")
    await stage.says("a", "b")
    await stage.says("c")
    reader.owed.send(private(1))
    reader.owed.send(private(2))
    return reader


async def test_in_good_order_the_remainder_and_the_answers_come_before_the_bye() -> None:
    async with on_stage() as stage:
        reader = await behind(stage)
        ends(reader, BYE, drop=False)
        reader.link.widen()
        await settled()
        assert reader.texts() == ["a", "b"], "what had begun; the rooms owe it nothing more"
        assert reader.answers() == [1, 2]
        assert isinstance(reader.events[-1], Bye)


async def test_otherwise_only_the_frame_half_out_is_finished() -> None:
    async with on_stage() as stage:
        reader = await behind(stage)
        ends(reader, BYE, drop=True)
        reader.link.widen()
        await settled()
        assert (reader.texts(), reader.answers()) == (["a"], [])
        assert isinstance(reader.events[-1], Bye)
        assert len(reader.events) == 2


async def test_what_stood_ready_behind_its_answers_has_not_begun() -> None:
    async with on_stage() as stage:
        reader = Reader(stage, room=5)
        reader.join("lobby")
        reader.owed.send(private(1))
        reader.owed.send(private(2))
        await stage.says("a")
        ends(reader, BYE, drop=True)
        reader.link.widen()
        await settled()
        assert bytes(reader.link.taken) == pack([private(1), BYE])


@pytest.mark.parametrize("drop", [False, True])
async def test_without_a_bye_it_just_ends(drop: bool) -> None:
    async with on_stage() as stage:
        reader = Reader(stage)
        reader.join("lobby")
        ends(reader, None, drop=drop)
        assert reader.link.sends == 0


async def test_it_is_finished_when_nothing_is_owed_or_nobody_is_there() -> None:
    async with on_stage() as stage:
        patient, lost = Reader(stage, room=0), Reader(stage, room=0)
        for reader in (patient, lost):
            reader.join("lobby")
        await stage.says("a")
        finished: list[Reader] = []

        async def waits(reader: Reader) -> None:
            ends(reader, BYE, drop=True)
            await reader.owed.wait_sent()
            finished.append(reader)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits, patient)
            nursery.start_soon(waits, lost)
            await settled()
            assert finished == []
            patient.link.widen()
            await settled()
            assert finished == [patient]
            lost.link.reset()
        assert finished == [patient, lost]
        assert bytes(patient.link.taken) == pack([BYE])


async def test_ending_wakes_whoever_waits_for_the_writer(autojump_clock: MockClock) -> None:
    async with on_stage() as stage:
        reader = await behind(stage)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.owed.wait_progress)
            nursery.start_soon(reader.owed.wait_progress)
            await settled()
            began = trio.current_time()
            ends(reader, BYE, drop=True)
        assert trio.current_time() == began, "at once, not when the socket is tried again"


async def test_there_is_nothing_to_wait_for_where_nobody_writes() -> None:
    async with on_stage() as stage:
        reader = Reader(stage)
        with trio.testing.assert_checkpoints():
            await reader.owed.wait_progress()


async def test_the_writer_says_each_time_that_it_got_on() -> None:
    async with on_stage() as stage:
        reader = await behind(stage)
        await settled()
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reader.owed.wait_progress)
                await settled()
                reader.link.widen(1)


async def test_an_interruption_is_a_reason_to_look_again() -> None:
    """Whoever ends a session does not know whether its writer waits."""
    async with on_stage() as stage:
        reader = await behind(stage)
        await settled()
        reader.link.interrupt()
        await settled()
        reader.link.widen()
        await settled()
        assert reader.texts() == ["a", "b", "c"]


def test_whole_frames_are_what_packing_says() -> None:
    """`close` relies on it: how much must go out so that nothing half is left."""
    one, two = pack([private(1)]), pack([private(2)])
    assert [FRAMES.whole(one + two, sent) for sent in (0, 1, len(one), len(one) + 1)] == [
        0,
        len(one),
        len(one),
        len(one + two),
    ]
