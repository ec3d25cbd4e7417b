"""Joining and leaving rooms: the first and the last entry that a session gets."""

from collections.abc import Sequence
from random import Random

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import RawClient, ServerHarness, serving
from tests.server.stores import FailingStore, SlowStore
from trio_chat.wire.messages import (
    UNSET,
    Ack,
    Departure,
    Error,
    Gap,
    Join,
    Leave,
    Presence,
    Room,
    Said,
    Say,
    UnsetType,
)

TOKEN = "a-token-of-her-own-0001"


async def _talk(harness: ServerHarness, count: int, room: str = "lobby") -> Room:
    """Let a member send `count` texts to a room and stay there; return its reply to join."""
    teller = await harness.enter("teller")
    answer = await teller.join(room)
    for n in range(1, count + 1):
        assert await teller.say(f"number {n}", room) == n
    return answer


async def _replay(peer: RawClient) -> tuple[list[Gap], list[int]]:
    """Return the gaps and the numbers of the replay."""
    heard = await peer.receive_for()
    gaps = [event for event in heard if isinstance(event, Gap)]
    return gaps, [event.seq for event in heard if isinstance(event, Said)]


async def test_the_first_in_a_room_names_it(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada")
        room = await ada.join("Lobby")
        assert (room.room, room.resumed, room.first, room.head, room.members) == ("Lobby", False, 1, 0, 1)
        bob = await harness.enter("bob")
        assert (await bob.join("ｌｏｂｂｙ")).room == "Lobby"
        bob.send(Say("LOBBY", "hi", ref="s"))
        await bob.answer(Ack, ref="s", room="Lobby")
        await ada.expect(Said, room="Lobby")


async def test_a_join_is_sent_to_all_members_and_the_new_one(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        await ada.expect(Presence, joined=["ada"], members=1)
        bob = await harness.enter("bob", "lobby")
        for peer in (ada, bob):
            await peer.expect(Presence, joined=["bob"], members=2, left=[], more=False)
        bob.send(Leave("lobby", ref="l"))
        await bob.expect(Ack, ref="l", room="lobby")
        await ada.expect(Presence, left=[Departure("bob", "left")], members=1)


async def test_a_join_starts_at_the_head(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        await _talk(harness, 5)
        ada = await harness.enter("ada")
        assert (await ada.join("lobby")).head == 5
        assert await _replay(ada) == ([], [])
        assert await ada.say("hi") == 6
        await ada.expect(Said, seq=6)


@pytest.mark.parametrize(("recent", "seqs"), [(0, []), (1, [5]), (3, [3, 4, 5]), (200, [1, 2, 3, 4, 5])])
async def test_recent_starts_that_many_entries_before_the_head(
    recent: int, seqs: Sequence[int], autojump_clock: MockClock
) -> None:
    async with serving() as harness:
        await _talk(harness, 5)
        ada = await harness.enter("ada")
        await ada.join("lobby", recent=recent)
        assert await _replay(ada) == ([], list(seqs))
        await ada.say("hi")
        await ada.expect(Said, seq=6)


@pytest.mark.parametrize("after", range(6))
async def test_resuming_sends_exactly_the_missed_entries(after: int, autojump_clock: MockClock) -> None:
    async with serving() as harness:
        epoch = (await _talk(harness, 5)).epoch
        ada = await harness.enter("ada")
        assert (await ada.join("lobby", after=after, epoch=epoch)).resumed
        assert await _replay(ada) == ([], list(range(after + 1, 6)))


@pytest.mark.parametrize("recent", [UNSET, 1, 200])
async def test_limit_leaves_a_gap_that_history_fills(
    recent: int | UnsetType, autojump_clock: MockClock
) -> None:
    async with serving() as harness:
        epoch = (await _talk(harness, 9)).epoch
        ada = await harness.enter("ada")
        assert (await ada.join("lobby", after=2, epoch=epoch, recent=recent, limit=3)).resumed
        assert await _replay(ada) == ([Gap("lobby", 2, 7, kept=True)], [7, 8, 9])
        bob = await harness.enter("bob")
        await bob.join("lobby", after=7, epoch=epoch, recent=recent, limit=3)
        assert await _replay(bob) == ([], [8, 9])


async def test_limit_bounds_recent(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        await _talk(harness, 9)
        ada = await harness.enter("ada")
        await ada.join("lobby", recent=5, limit=3)
        assert await _replay(ada) == ([], [7, 8, 9])
        bob = await harness.enter("bob")
        await bob.join("lobby", after=5, epoch="another", recent=5, limit=3)
        assert await _replay(bob) == ([Gap("lobby", 0, 7, kept=True)], [7, 8, 9])


@pytest.mark.parametrize("recent", [0, 3])
async def test_all_entries_after_a_valid_cursor_are_sent_whatever_recent_is(
    recent: int, autojump_clock: MockClock
) -> None:
    async with serving() as harness:
        epoch = (await _talk(harness, 9)).epoch
        ada = await harness.enter("ada")
        assert (await ada.join("lobby", after=2, epoch=epoch, recent=recent)).resumed
        assert await _replay(ada) == ([], [3, 4, 5, 6, 7, 8, 9])


async def test_resuming_before_the_oldest_kept_entry_sends_a_gap(autojump_clock: MockClock) -> None:
    async with serving(journal_room_entries=4) as harness:
        epoch = (await _talk(harness, 9)).epoch
        ada = await harness.enter("ada")
        room = await ada.join("lobby", after=2, epoch=epoch)
        assert (room.resumed, room.first, room.head) == (True, 6, 9)
        assert await _replay(ada) == ([Gap("lobby", 2, 6, kept=False)], [6, 7, 8, 9])
        bob = await harness.enter("bob")
        await bob.join("lobby", after=2, epoch=epoch, recent=2)
        gaps = [Gap("lobby", 2, 6, kept=False), Gap("lobby", 5, 8, kept=True)]
        assert await _replay(bob) == (gaps, [8, 9])
        eve = await harness.enter("eve")
        await eve.join("lobby", recent=200)
        assert await _replay(eve) == ([], [6, 7, 8, 9])


@pytest.mark.parametrize("recent", [UNSET, 2])
async def test_an_invalid_cursor_is_served_like_recent_alone(
    recent: int | UnsetType, autojump_clock: MockClock
) -> None:
    """A gap from 0 on covers the entries of the room's present history that are not sent."""
    newest = 0 if recent is UNSET else recent
    async with serving() as harness:
        epoch = (await _talk(harness, 5)).epoch
        for name, after, of in (("ada", 3, "another"), ("bob", 6, epoch), ("eve", 2**53 - 1, epoch)):
            peer = await harness.enter(name)
            assert not (await peer.join("lobby", after=after, epoch=of, recent=recent)).resumed
            gaps = [Gap("lobby", 0, 6 - newest, kept=True)]
            assert await _replay(peer) == (gaps, list(range(6 - newest, 6)))


async def test_an_invalid_cursor_with_all_entries_in_recent_gets_no_gap(
    autojump_clock: MockClock,
) -> None:
    async with serving() as harness:
        await _talk(harness, 5)
        ada = await harness.enter("ada")
        assert not (await ada.join("lobby", after=3, epoch="another", recent=50)).resumed
        assert await _replay(ada) == ([], [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("join", "field"), [(Join("lobby", after=3), "epoch"), (Join("lobby", epoch="x"), "after")]
)
async def test_after_and_epoch_go_together(join: Join, field: str, autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada")
        ada.send(join)
        await ada.expect(Error, code="bad_message", field=field)
        await ada.join("lobby")


async def test_a_room_made_again_has_another_epoch(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada")
        first = await ada.join("lobby")
        ada.send(Leave("lobby", ref="l"))
        await ada.answer(Ack, ref="l")
        again = await ada.join("LOBBY", after=0, epoch=first.epoch)
        assert (again.room, again.resumed) == ("LOBBY", True), "0 is valid in every history"
        assert again.epoch != first.epoch


@pytest.mark.parametrize("recent", [UNSET, 0, 2])
@pytest.mark.parametrize("restarts", [False, True])
async def test_entries_of_a_recreated_room_follow_0(
    restarts: bool, recent: int | UnsetType, autojump_clock: MockClock
) -> None:
    """The room had no entry when it was first joined. All members leave it, or the server restarts."""
    async with serving() as harness:
        ada = await harness.enter("ada")
        epoch = (await ada.join("lobby")).epoch
        if not restarts:
            ada.send(Leave("lobby", ref="l"))
            await ada.answer(Ack, ref="l")
            await _come_back_after_0(harness, epoch, recent)
    if restarts:
        async with serving(random_bytes=Random(1).randbytes) as harness:
            await _come_back_after_0(harness, epoch, recent)


async def _come_back_after_0(harness: ServerHarness, epoch: str, recent: int | UnsetType) -> None:
    assert (await _talk(harness, 4)).epoch != epoch
    back = await harness.enter("back")
    room = await back.join("lobby", after=0, epoch=epoch, recent=recent)
    assert (room.resumed, room.epoch != epoch, room.head) == (True, True, 4)
    assert await _replay(back) == ([], [1, 2, 3, 4])


async def test_after_0_in_a_room_without_its_first_entries_sends_a_gap(
    autojump_clock: MockClock,
) -> None:
    async with serving(journal_room_entries=4) as harness:
        await _talk(harness, 9)
        ada = await harness.enter("ada")
        assert (await ada.join("lobby", after=0, epoch="another")).resumed
        assert await _replay(ada) == ([Gap("lobby", 0, 6, kept=False)], [6, 7, 8, 9])


async def test_a_room_with_entries_keeps_its_epoch_while_empty(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada")
        first = await ada.join("lobby")
        await ada.say("hi")
        ada.send(Leave("lobby", ref="l"))
        await ada.answer(Ack, ref="l")
        await trio.sleep(30)
        again = await ada.join("LOBBY", after=0, epoch=first.epoch)
        assert (again.room, again.resumed, again.members) == ("lobby", True, 1)
        await ada.answer(Said, seq=1)


@pytest.mark.parametrize(("name", "code"), [("", "bad_room"), ("a b", "bad_room"), ("#x", "bad_room")])
async def test_invalid_room_names_are_refused(name: str, code: str, autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada")
        ada.send(Join(name, ref="j"))
        await ada.expect(Error, code=code, field="room", ref="j")


async def test_a_second_join_of_a_room_is_refused(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        await ada.receive_for()
        ada.send(Join("Lobby", ref="j"))
        await ada.expect(Error, code="already_in_room", field="room", ref="j")


async def test_a_second_session_changes_no_presence(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        zoe = await harness.observer()
        one = await harness.enter("ada", "lobby", token=TOKEN)
        assert await zoe.presence_changes() == ["+ada"]
        two = await harness.enter("ada", token=TOKEN)
        assert (await two.join("lobby")).members == 2
        one.send(Leave("lobby"))
        assert await zoe.presence_changes() == []
        two.send(Leave("lobby"))
        assert await zoe.presence_changes() == ["-ada left"]


async def test_a_join_and_leave_in_one_pass_sends_no_presence(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        zoe = await harness.observer()
        ada = await harness.enter("ada")
        ada.send(Join("lobby"), Leave("lobby"), Join("lobby"), Leave("lobby"))
        assert await zoe.presence_changes() == []


async def test_joining_again_after_leaving(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        zoe = await harness.observer()
        ada = await harness.enter("ada")
        for n in range(3):
            await ada.join("lobby")
            assert await zoe.presence_changes() == ["+ada"]
            await ada.answer(Said, seq=2 * n + 1)
            ada.send(Leave("lobby", ref=f"l{n}"))
            await ada.answer(Ack, ref=f"l{n}")
            assert await zoe.presence_changes() == ["-ada left"]


async def test_a_session_that_ends_while_a_room_is_opened_is_not_in_it(autojump_clock: MockClock) -> None:
    async with serving(store=SlowStore(open_s=5), sessions=1) as harness:
        ada = await harness.enter("ada", token=TOKEN)
        ada.send(Join("lobby"))
        await trio.sleep(1)
        again = await harness.enter("ada", token=TOKEN)
        await ada.ended_with("replaced")
        await trio.sleep(10)
        assert not harness.server.hub.rooms
        assert (await again.join("lobby")).members == 1


async def test_entries_committed_while_a_room_is_opened_are_not_missed(autojump_clock: MockClock) -> None:
    """There is no hole between the head in `room` and the first entry after it, for any timing."""
    store = SlowStore(open_s=0.5, commit_s=0.3)
    async with serving(store=store, rate_limit=False) as harness:
        teller = await harness.enter("teller", "lobby")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_say_numbers, teller, 40)
            for n in range(8):
                peer = await harness.enter(f"peer{n}")
                nursery.start_soon(_join_and_receive, peer)
                await trio.sleep(0.37)


async def _say_numbers(teller: RawClient, count: int) -> None:
    for n in range(count):
        teller.send(Say("lobby", f"number {n}"))
        await trio.sleep(0.1)


async def _join_and_receive(peer: RawClient) -> None:
    head = (await peer.join("lobby")).head
    await peer.receive_for(20)
    assert peer.seqs() == list(range(head + 1, 41))


async def test_a_replay_from_a_failing_journal_continues_when_it_works_again(
    autojump_clock: MockClock,
) -> None:
    store = FailingStore(failing=False)
    async with serving(store=store, tail_bytes=1, tails_bytes=1) as harness:
        await _talk(harness, 5)
        store.reading_fails = True
        ada = await harness.enter("ada")
        await ada.join("lobby", recent=5)
        assert await _replay(ada) == ([], [])
        store.reading_fails = False
        assert await _replay(ada) == ([], [1, 2, 3, 4, 5])


async def test_leaving_a_room_before_catching_up(autojump_clock: MockClock) -> None:
    """All earlier entries are sent before the reply, and the reply is sent."""
    async with serving(rate_limit=False) as harness:
        ada = await harness.enter("ada", "lobby", buffer_bytes=500)
        teller = await harness.enter("teller", "lobby")
        for n in range(1, 51):
            await teller.say(f"number {n}")
        ada.send(Leave("lobby", ref="l"))
        await trio.sleep(1)
        await ada.answer(Ack, ref="l")
        assert ada.seqs() == list(range(1, 51))
        await teller.say("after the leave")
        assert await _replay(ada) == ([], list(range(1, 51))), "exactly the entries before the reply"
