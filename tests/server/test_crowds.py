"""Rooms of more than a thousand members: batches are sent in chunks, presence is collected and shortened."""

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import RawClient, ServerHarness, serving
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire.messages import Ack, Join, Leave, Members, Ping, Presence, Said, Say, Who

CROWD = 1_100  # a hundred more than one chunk of the fan-out


async def _crowd(harness: ServerHarness, count: int = CROWD) -> list[RawClient]:
    """Return `count` members of the lobby, in the order in which the fan-out reaches them."""
    peers = [await harness.enter(f"peer{n:04}", "lobby", buffer_bytes=50_000) for n in range(count)]
    await trio.sleep(5)
    for peer in peers:
        await peer.receive_for(0.0001)
    return peers


async def test_each_member_gets_every_entry_once_and_in_order(autojump_clock: MockClock) -> None:
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


async def test_other_members_are_served_between_the_chunks_of_a_batch(autojump_clock: MockClock) -> None:
    """Between the first and the last send of a batch, the server serves all other members more than once."""
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
async def test_leaving_during_a_fan_out(again: bool, autojump_clock: MockClock) -> None:
    """A member that leaves has all earlier entries, and a member that joins again gets none twice."""
    async with serving(connections=2_000, rate_limit=False) as harness:
        peers = await _crowd(harness)
        restless = peers[-20:]
        for n in range(10):
            peers[0].send(*[Say("lobby", f"number {n}") for _ in range(3)])
            for _ in range(n):  # n passes of the server later
                await trio.lowlevel.checkpoint()
            for peer in restless if again else restless[2 * n : 2 * n + 2]:
                peer.send(*[Leave("lobby"), Join("lobby")] if again else [Leave("lobby", ref="l")])
            await trio.sleep(0.1)
        await trio.sleep(5)
        for peer in restless:
            heard = await peer.receive_for(0.0001)
            seqs = peer.seqs()
            if again:
                assert seqs == sorted(set(seqs)), "no entry twice"
            else:
                assert seqs == list(range(1, len(seqs) + 1))
                left = heard.index(Ack("l", "lobby"))
                assert len(heard) == left + 1, "no entry after the reply"
        await peers[1].receive_for(0.0001)
        assert peers[1].seqs() == list(range(1, 31)), "the other members are not affected"


async def test_entries_that_others_have_precede_the_reply_to_leave(autojump_clock: MockClock) -> None:
    """Even when the batch, which is sent in three chunks, has not reached this member yet."""
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


async def test_falling_behind_before_the_own_chunk_misses_nothing(autojump_clock: MockClock) -> None:
    """Its socket is full when the batch was sent to the first chunk, but not yet to this member."""
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


async def test_falling_behind_or_breaking_during_a_fan_out(autojump_clock: MockClock) -> None:
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


async def test_many_joins_cause_few_notices(autojump_clock: MockClock) -> None:
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


async def test_a_join_in_a_large_room_is_sent_soon(autojump_clock: MockClock) -> None:
    async with serving(connections=2_000) as harness:
        peers = await _crowd(harness, 300)
        zoe = peers[0]
        for n in range(3):
            bob = await harness.enter(f"bob{n}", "lobby")
            (notice,) = await zoe.receive_for(0.3)
            assert isinstance(notice, Presence)
            assert (notice.joined, notice.members, notice.more) == ([f"bob{n}"], 301 + n, False)
            assert isinstance(await bob.next(), Presence)


async def test_a_stalled_crowd_gets_the_member_list_afterwards(autojump_clock: MockClock) -> None:
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
