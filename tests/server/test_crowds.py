"""Rooms of more than a thousand: batches handed out in several steps, presence gathered and cut."""

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import RawClient, ServerHarness, serving
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire.messages import Ack, Join, Leave, Members, Ping, Presence, Said, Say, Who

CROWD = 1_100  # a hundred more than one step of the fan-out serves


async def _crowd(harness: ServerHarness, count: int = CROWD) -> list[RawClient]:
    """So many in the lobby, the first sent to being the first in the list."""
    peers = [await harness.enter(f"peer{n:04}", "lobby", buffer_bytes=50_000) for n in range(count)]
    await trio.sleep(5)
    for peer in peers:
        await peer.receive_for(0.0001)
    return peers


async def test_everybody_is_reached_once_and_in_order(autojump_clock: MockClock) -> None:
    async with serving(connections=2_000, rate_limit=False) as harness:
        peers = await _crowd(harness)
        talkers = peers[::100]
        for n in range(10):
            for talker in talkers:
                talker.send(Say("lobby", f"number {n}"))
            await trio.lowlevel.checkpoint()
        await trio.sleep(1)
        for peer in peers:
            await peer.receive_for(0.0001)
            assert peer.seqs() == list(range(1, 111))


async def test_others_are_served_between_the_steps_of_one_batch(autojump_clock: MockClock) -> None:
    """From the first who has it to the last the server passes by everybody else more than once."""
    async with serving(connections=3_000, rate_limit=False) as harness:
        peers = await _crowd(harness, 2_200)
        passes: list[int] = []
        for _ in range(10):
            peers[1].send(Say("lobby", "hi"))
            async with trio.open_nursery() as nursery:
                reached = trio.Event()
                nursery.start_soon(_reached, peers[-1], reached)
                await peers[0].expect(Said)
                passes.append(0)
                while not reached.is_set():
                    await trio.lowlevel.checkpoint()
                    passes[-1] += 1
            await trio.sleep(0.1)
        assert max(passes) > 1


async def _reached(peer: RawClient, reached: trio.Event) -> None:
    await peer.expect(Said)
    reached.set()


@pytest.mark.parametrize("again", [False, True])
async def test_leaving_while_a_batch_is_handed_out(again: bool, autojump_clock: MockClock) -> None:
    """Who leaves has what was shown before, and who comes has it not twice."""
    async with serving(connections=2_000, rate_limit=False) as harness:
        peers = await _crowd(harness)
        restless = peers[-20:]
        for n in range(10):
            peers[0].send(*[Say("lobby", f"number {n}") for _ in range(3)])
            for _ in range(n):  # so many passes of the server later
                await trio.lowlevel.checkpoint()
            for peer in restless if again else restless[2 * n : 2 * n + 2]:
                peer.send(*[Leave("lobby"), Join("lobby")] if again else [Leave("lobby", ref="l")])
            await trio.sleep(0.1)
        await trio.sleep(5)
        for peer in restless:
            heard = await peer.receive_for(0.0001)
            seqs = peer.seqs()
            if again:
                assert seqs == sorted(set(seqs)), "nothing twice"
            else:
                assert seqs == list(range(1, len(seqs) + 1))
                left = heard.index(Ack("l", "lobby"))
                assert len(heard) == left + 1, "nothing after the answer"
        await peers[1].receive_for(0.0001)
        assert peers[1].seqs() == list(range(1, 31)), "those who stay notice nothing"


async def test_what_others_have_seen_comes_before_the_answer_to_a_leave(autojump_clock: MockClock) -> None:
    """Also when one's own turn has not come yet: the batch goes out in three steps."""
    async with serving(connections=3_000, rate_limit=False) as harness:
        peers = await _crowd(harness, 2_200)
        first = peers[0]
        for _ in range(20):
            peers[1].send(Say("lobby", "hi"))
            seen = await first.expect(Said)
            leaver = peers.pop()
            leaver.send(Leave("lobby", ref="l"))
            await leaver.answer(Ack, ref="l")
            assert leaver.seqs()[-1] >= seen.seq
            await trio.sleep(0.01)


async def test_falling_behind_before_one_s_turn_misses_nothing(autojump_clock: MockClock) -> None:
    """Its socket is full of something else when the batch has been handed to the first, and not to it."""
    async with serving(connections=3_000, rate_limit=False) as harness:
        peers = await _crowd(harness, 2_200)
        first = peers[0]
        slow = [await harness.enter(f"slow{n}", "lobby", buffer_bytes=5_000) for n in range(20)]
        for peer in slow:
            await peer.receive_for(0.5)
        while slow:
            peers[1].send(Say("lobby", "hi"))
            seen = await first.expect(Said)
            peer = slow.pop()
            peer.send(Who("lobby", ref="w"))
            await peer.answer(Members, ref="w")
            await peer.receive_for(0.1)
            assert peer.seqs() == list(range(peer.seqs()[0], seen.seq + 1))
            peer.link.close()
            await trio.sleep(0.1)


async def test_falling_behind_or_breaking_while_a_batch_is_handed_out(autojump_clock: MockClock) -> None:
    async with serving(connections=2_000, rate_limit=False) as harness:
        peers = await _crowd(harness)
        slow = [await harness.enter(f"slow{n}", "lobby", buffer_bytes=300) for n in range(10)]
        for n in range(10):
            peers[0].send(Say("lobby", f"number {n}"))
            doomed = peers.pop()
            assert isinstance(doomed.link, PipeLink)
            for _ in range(n % 5):
                await trio.lowlevel.checkpoint()
            doomed.link.reset()
            slow[n].send(Ping())
        await trio.sleep(5)
        for peer in (*slow, *peers[::100]):
            await peer.receive_for(0.1)
            assert peer.seqs() == list(range(1, 11))
        assert harness.server.sessions == CROWD


async def test_a_storm_of_joins_is_told_in_few_words(autojump_clock: MockClock) -> None:
    async with serving(connections=2_000) as harness:
        zoe = await harness.enter("zoe", "lobby", buffer_bytes=1_000_000)
        peers = [harness.dial(buffer_bytes=200_000) for _ in range(600)]
        for n, peer in enumerate(peers):
            await peer.hello(f"peer{n:03}")
        for peer in peers:
            peer.send(Join("lobby"))
        heard = await zoe.receive_for(5)
        notices = [event for event in heard if isinstance(event, Presence)]
        assert len(notices) < 20
        assert notices[-1].members == 601
        assert all(len(notice.joined) <= 100 for notice in notices if notice.more)
        for peer in peers:
            peer.send(Leave("lobby"))
        heard = await zoe.receive_for(5)
        notices = [event for event in heard if isinstance(event, Presence)]
        assert len(notices) < 20
        assert notices[-1].members == 1
        assert any(notice.more for notice in notices)


async def test_in_a_large_room_a_coming_is_told_within_moments(autojump_clock: MockClock) -> None:
    async with serving(connections=2_000) as harness:
        peers = await _crowd(harness, 300)
        zoe = peers[0]
        for n in range(3):
            bob = await harness.enter(f"bob{n}", "lobby")
            (notice,) = await zoe.receive_for(0.3)
            assert isinstance(notice, Presence)
            assert (notice.joined, notice.members, notice.more) == ([f"bob{n}"], 301 + n, False)
            assert isinstance(await bob.next(), Presence)


async def test_a_crowd_asleep_is_told_who_is_here_when_it_wakes(autojump_clock: MockClock) -> None:
    async with serving(connections=2_000, rate_limit=False) as harness:
        peers = await _crowd(harness, 250)
        sleepy = await harness.enter("sleepy", "lobby", buffer_bytes=400)
        for n in range(20):
            peers[0].send(Say("lobby", f"number {n}"))
        await trio.sleep(1)
        peers.pop().link.close()
        await trio.sleep(1)
        await sleepy.receive_for()
        members = [event for event in sleepy.seen if isinstance(event, Members)]
        assert [page.count for page in members] == [250]
        assert sleepy.seqs() == list(range(1, 21))
