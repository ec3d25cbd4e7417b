"""Rows 7, 16, 22, 25 and 27–31 of the table of faults: connections that break, come back, or are too many.

In every row there is a bystander in the room, who notices at most an arrival or a departure. All are told
in both dialects but the ten thousand rooms, which take long and know nothing of dialects.
"""

import gc
import sys
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import RawClient, ServerHarness, serving, serving_observed
from tests.server.stores import HeldStore
from tests.server.web import CHROME, Browser
from trio_chat.errors import LinkBroken
from trio_chat.hub import names
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire.messages import Ack, Gap, Join, Leave, Ping, Said, Say

BROKEN = bytes(4)
"""A frame of length zero; to WebSocket, one that is not masked."""


def reset(peer: RawClient) -> None:
    assert isinstance(peer.link, PipeLink)
    peer.link.reset()


async def test_a_reset_while_the_server_reads(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed("-eve lost", websocket=websocket) as (_, _, eve):
        eve.send_bytes(eve.packed(Ping())[:2])
        reset(eve)


async def test_a_reset_while_the_server_writes(websocket: bool, autojump_clock: MockClock) -> None:
    """Under the fan-out's own send, and under that of a writer."""
    async with serving_observed("-eve lost", rate_limit=False, websocket=websocket) as (house, zoe, eve):
        bob = await house.enter("bob", "lobby", buffer_bytes=500)
        assert await zoe.presence_changes() == ["+bob"]
        for n in range(20):
            await zoe.say(f"number {n}")
        reset(bob)
        assert await zoe.presence_changes() == ["-bob lost"]
        seq = await zoe.say("eve is to get this")
        reset(eve)
        assert await zoe.say("and not this") == seq + 1


@pytest.mark.parametrize("how", ["silent", "reset", "closed"])
async def test_one_s_own_dead_connection_is_still_there(
    how: str, websocket: bool, autojump_clock: MockClock
) -> None:
    async with serving_observed(websocket=websocket) as (house, zoe, eve):
        again = await house.enter("eve", "lobby", token=eve.token)
        assert await zoe.presence_changes() == [], "she was there all the time"
        if how == "reset":
            reset(eve)
        elif how == "closed":
            eve.link.close()
        for _ in range(6):
            again.send(Ping())
            assert await zoe.presence_changes(15) == []
        await again.say("here I am")
        assert house.server.sessions == 2, "the dead session is gone"


async def turned_away(house: ServerHarness, *, websocket: bool, address: str = "") -> None:
    """There is no place: a browser is told so by HTTP, and its WebSocket never begins."""
    if websocket:
        browser = Browser(house, address=address)
        status, headers, _ = await browser.ask(CHROME)
        assert (status, headers["retry-after"]) == (503, "5")
        assert await browser.closed()
    else:
        bye = await house.dial(address=address).ended_with("too_many_connections")
        assert bye.after_s == 5


async def test_full_by_address(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (house, _, _eve):
        for n in range(64):
            await house.enter(f"peer{n}", address="192.0.2.1")
        await turned_away(house, websocket=websocket, address="192.0.2.1")
        await house.enter("elsewhere", address="192.0.2.2")


async def test_full_in_all(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(connections=66, websocket=websocket) as (house, _, eve):
        for n in range(64):
            await house.enter(f"peer{n}")
        for _ in range(3):
            await turned_away(house, websocket=websocket)
        await eve.say("still served")


async def test_a_peer_that_vanishes_without_a_word(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, zoe, _eve):
        assert await zoe.presence_changes(69) == ["-eve timeout"]


async def test_a_peer_that_ignores_the_goodbye(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed("-eve lost", websocket=websocket) as (_, _, eve):
        eve.send_bytes(BROKEN)
        await eve.ended_with("bad_frame")
        await trio.sleep(4)
        eve.send(Ping())
        await trio.sleep(2)
        with pytest.raises(LinkBroken):  # forced shut: a send to it is lost, and the next one fails
            for _ in range(2):
                eve.send(Ping())


async def test_a_peer_that_does_not_even_take_it(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (house, zoe, _eve):
        bob = await house.enter("bob", "lobby", buffer_bytes=300)
        assert await zoe.presence_changes() == ["+bob"]
        for n in range(5):
            await zoe.say(f"number {n}")
        bob.send_bytes(BROKEN)
        assert await zoe.presence_changes() == ["-bob lost"], "at once, without waiting for the goodbye"
        await trio.sleep(6)
        assert await bob.receive_for() != []
        with pytest.raises(LinkBroken):
            for _ in range(2):
                bob.send(Ping())


async def test_asleep_for_ten_minutes(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (house, zoe, eve):
        epoch = (await eve.join("attic")).epoch
        ada = await house.enter("ada", "attic")
        for n in range(5):
            await ada.say(f"number {n}", "attic")
        await eve.receive_for()
        assert eve.seqs("attic") == [1, 2, 3, 4, 5]
        changes: list[str] = []
        for n in range(60):
            await ada.say(f"meanwhile {n}", "attic")
            changes += await zoe.presence_changes(10)
        assert changes == ["-eve timeout"]
        again = await house.enter("eve", token=eve.token)
        assert (await again.join("attic", after=5, epoch=epoch)).resumed
        await again.receive_for()
        assert again.seqs("attic") == list(range(6, 66)), "exactly the missing ones"
        brief = await house.enter("eve", token=eve.token)
        await brief.join("attic", after=5, epoch=epoch, limit=10)
        await brief.expect(Gap, room="attic", after=5, next=56, kept=True)
        await brief.receive_for()
        assert brief.seqs("attic") == list(range(56, 66))


async def test_the_ack_is_lost_and_the_client_sends_again(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed("-eve lost", "+eve", websocket=websocket) as (house, zoe, eve):
        eve.send(Say("lobby", "once", ref="s"))
        await zoe.answer(Said, text="once", seq=2)
        reset(eve)
        await trio.sleep(1)
        again = await house.enter("eve", "lobby", token=eve.token)
        again.send(Say("lobby", "once", ref="s"))
        await again.answer(Ack, ref="s", seq=2)


async def test_lost_before_it_was_committed(websocket: bool, autojump_clock: MockClock) -> None:
    store = HeldStore()
    async with serving(store=store, websocket=websocket) as house:
        eve = await house.enter("eve", "lobby")
        eve.send(Say("lobby", "once", ref="s"))
        await trio.sleep(1)
        reset(eve)
        again = await house.enter("eve", "lobby", token=eve.token)
        again.send(Say("lobby", "once", ref="s"))
        await trio.sleep(1)
        store.holds_commits = False
        store.release()
        await again.answer(Ack, ref="s", seq=1)
        assert await again.say("twice") == 2


async def test_one_ref_in_flight_on_two_sessions(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (house, zoe, eve):
        again = await house.enter("eve", "lobby", token=eve.token)
        for peer in (eve, again):
            peer.send(Say("lobby", "once", ref="s"))
        for peer in (eve, again):
            await peer.answer(Ack, ref="s", seq=2)
        assert await zoe.presence_changes() == []
        assert [entry.text for entry in zoe.entries() if entry.by == "eve"] == ["once"]


async def test_cursors_that_lead_nowhere(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(journal_room_entries=5, websocket=websocket) as (house, zoe, eve):
        for n in range(8):
            await zoe.say(f"number {n}")  # 2 … 9; kept are 5 … 9
        epoch = (await (await house.enter("eve", token=eve.token)).join("lobby")).epoch
        for after, of, resumed, gaps in (
            (5, "another", False, [Gap("lobby", 0, 5, kept=False), Gap("lobby", 4, 10, kept=True)]),
            (10, epoch, False, [Gap("lobby", 0, 5, kept=False), Gap("lobby", 4, 10, kept=True)]),
            (9, epoch, True, []),
            (4, epoch, True, []),
            (3, epoch, True, [Gap("lobby", 3, 5, kept=False)]),
            (0, epoch, True, [Gap("lobby", 0, 5, kept=False)]),
            (0, "another", True, [Gap("lobby", 0, 5, kept=False)]),
        ):
            peer = await house.enter("eve", token=eve.token)
            assert (await peer.join("lobby", after=after, epoch=of)).resumed == resumed
            heard = await peer.receive_for()
            assert [event for event in heard if isinstance(event, Gap)] == gaps
            assert peer.seqs() == (list(range(max(after, 4) + 1, 10)) if resumed else [])
            peer.link.close()


async def test_a_thousand_comings_and_goings_leave_nothing_behind(
    websocket: bool, autojump_clock: MockClock
) -> None:
    async with serving(rate_limit=False, websocket=websocket) as house:

        async def come_and_go(count: int) -> None:
            for n in range(count):
                peer = await house.enter(f"peer{n % 50}", "lobby", f"room{n % 50}")
                peer.link.close()
                await trio.sleep(0.01)

        before = await _blocks_after(come_and_go, 100)
        after = await _blocks_after(come_and_go, 500)  # each of them in two rooms
        assert after - before < 500, "less than a block for each"
        assert not house.server.sessions


async def test_ten_thousand_rooms_made_and_left(autojump_clock: MockClock) -> None:
    async with serving(rate_limit=False) as house:
        eve = await house.enter("eve")

        async def make_and_leave(count: int) -> None:
            for n in range(0, count, 50):
                rooms = [f"room{n + k}" for k in range(50)]
                eve.send(*map(Join, rooms), *map(Leave, rooms))
                await eve.receive_for(0.001)
                eve.seen.clear()

        before = await _blocks_after(make_and_leave, 500)
        after = await _blocks_after(make_and_leave, 10_000)
        assert after - before < 1_000, "less than a block for each ten"
        assert not house.server.hub.rooms
        assert len(house.server.streams) == 0


async def _blocks_after(act: Callable[[int], Awaitable[None]], count: int) -> int:
    """How many blocks of memory Python has in use after that; the caches of names are bounded, and not it."""
    await act(count)
    await trio.sleep(10)
    names._cached.cache_clear()
    gc.collect()
    return sys.getallocatedblocks()
