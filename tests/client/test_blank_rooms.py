"""A room that was empty when it was joined: entries that are said during an outage arrive."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.outages import enter, next_events, reset_and_accept
from tests.client.scripted import ScriptedServer, chatting, said
from tests.client.test_rates_with_server import TestServer, serve_chat, shown
from trio_chat.client import Disconnected, Reconnected
from trio_chat.wire.messages import Gap, Room, Said


async def test_an_empty_room_is_resumed_in_its_new_epoch_and_a_room_event_says_so(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        peer = await reset_and_accept(peer, scripted_server)
        join = await peer.admit(head=2, epoch="f", resumed=True)
        assert (join.after, join.epoch) == (0, "e")
        await peer.say(said(1), said(2))
        outage, room, back, *entries = await next_events(chat, 5)
        assert isinstance(outage, Disconnected) and isinstance(back, Reconnected)
        assert isinstance(room, Room)
        assert (room.epoch, room.resumed, room.ref) == ("f", True, "")
        assert entries == [said(1), said(2)]
        peer = await reset_and_accept(peer, scripted_server)
        join = await peer.admit(head=2, epoch="f", resumed=True)
        assert (join.after, join.epoch) == (2, "f"), "the new epoch is resumed from now on"


async def test_only_the_last_epoch_is_reported_and_the_end_of_an_older_history(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """The program takes no event and waits for none."""
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, inbox_events=1) as (chat, peer):
        await enter(chat, peer, "lobby")
        await peer.say(said(1))
        await wait_all_tasks_blocked()
        for n, resumed in enumerate((False, True, True)):
            peer = await reset_and_accept(peer, scripted_server)
            await peer.admit(epoch=f"history {n}", resumed=resumed)
            await wait_all_tasks_blocked()
        batch = await anext(chat.batches())
        rooms = [event for event in batch if isinstance(event, Room)]
        assert [(room.epoch, room.resumed) for room in rooms] == [("history 2", False)]


async def test_a_gap_covers_the_missing_entries_of_another_history(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """The program itself joined with an old cursor."""
    async with chatting(nursery) as (chat, peer):
        rooms = []

        async def join() -> None:
            rooms.append(await chat.join("lobby", recent=1, after=7, epoch="old"))

        nursery.start_soon(join)
        await peer.admit(head=3, epoch="f")
        await peer.say(Gap("lobby", 0, 3, kept=True), said(3))
        assert await next_events(chat, 2) == [Gap("lobby", 0, 3, kept=True), said(3)]
        assert [room.resumed for room in rooms] == [False]


@pytest.mark.parametrize("count", [3, 300])
async def test_a_chat_that_reconnects_to_an_empty_room_misses_nothing(
    count: int, autojump_clock: trio.abc.Clock
) -> None:
    """More entries were said during the outage than one page holds."""
    server = TestServer(talk_burst=1_000)
    async with trio.open_nursery() as nursery:
        async with server.running():
            ada = await nursery.start(serve_chat, server.connect("ada"))
            epoch = (await ada.join("lobby")).epoch
        await trio.sleep(0.1)
        async with server.running():
            async with server.connect("bob") as bob:
                assert (await bob.join("lobby")).epoch != epoch
                for n in range(count):
                    await bob.say("lobby", f"number {n}")
                heard: list[Said] = []
                while len(heard) < count:
                    event = await anext(ada)
                    assert not isinstance(event, Gap)
                    if isinstance(event, Said):
                        heard.append(event)
                assert [entry.seq for entry in heard] == list(range(1, count + 1))
            assert len(await shown(server, count)) == count
            nursery.cancel_scope.cancel()
