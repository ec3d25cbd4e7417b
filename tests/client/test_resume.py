"""Rejoining the rooms: which resume, which begin a new history, and which are left."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.outages import (
    Calls,
    enter,
    next_commands,
    next_events,
    outage_s,
    reset_and_accept,
    say_call,
)
from tests.client.scripted import ScriptedServer, chatting, said, welcome
from trio_chat.client import Disconnected, Reconnected
from trio_chat.wire.messages import (
    Bye,
    Error,
    Gap,
    Hello,
    History,
    HistoryPage,
    Join,
    Leave,
    Members,
    Presence,
    Room,
    Said,
    Say,
    Who,
)


async def test_a_room_resumes_after_the_newest_seen_entry(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby", head=3)
        await peer.say(said(4), said(5))
        await wait_all_tasks_blocked()
        peer = await reset_and_accept(peer, scripted_server)
        join = await peer.admit(head=8, resumed=True)
        assert (join.room, join.after, join.epoch) == ("lobby", 5, "e")
        await peer.say(Gap("lobby", 5, 7, kept=False), said(7), said(8))
        heard = await next_events(chat, 7)
        assert heard[:2] == [said(4), said(5)]
        assert isinstance(heard[2], Disconnected)
        assert isinstance(heard[3], Reconnected)
        assert heard[4:] == [Gap("lobby", 5, 7, kept=False), said(7), said(8)]


async def test_members_are_reported_after_an_outage(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """Presence before that may be about unknown members."""
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        peer = await reset_and_accept(peer, scripted_server)
        await peer.admit(resumed=True)
        await peer.say(Presence("lobby", 3, joined=["bob"]))
        await next_events(chat, 2)

        async def answer() -> None:
            who = await peer.expect(Who)
            await peer.say(Members("lobby", ["ada", "bob", "eve"], 3, more=False, ref=who.ref))

        nursery.start_soon(answer)
        assert await next_events(chat, 1) == [Members("lobby", ["ada", "bob", "eve"], 3, more=False)]


async def test_another_history_begins_with_its_newest_page(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby", head=900)
        peer = await reset_and_accept(peer, scripted_server)
        await peer.admit(head=300, epoch="another")
        await peer.say(said(301))

        async def answer() -> None:
            asked = await peer.expect(History)
            assert asked == History("lobby", after=100, limit=200, ref=asked.ref)
            page = [said(seq) for seq in range(101, 301)]
            await peer.say(HistoryPage("lobby", list(page), more=True, ref=asked.ref))
            asked = await peer.expect(History)
            await peer.say(HistoryPage("lobby", [said(301)], more=False, ref=asked.ref))
            who = await peer.expect(Who)
            await peer.say(Members("lobby", ["ada"], 1, more=False, ref=who.ref), said(302))

        nursery.start_soon(answer)
        heard = await next_events(chat, 206)
        room = heard[1]
        assert isinstance(room, Room)
        assert (room.epoch, room.resumed, room.head, room.ref) == ("another", False, 300, "")
        assert isinstance(heard[2], Reconnected)
        assert [event.seq for event in heard if isinstance(event, Said)] == list(range(101, 303))
        peer = await reset_and_accept(peer, scripted_server)
        join = await peer.admit(resumed=True)
        assert (join.after, join.epoch) == (302, "another")


async def test_reconnected_follows_the_rejoin_of_a_hundred_rooms(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer(buffer_bytes=500)
    rooms = [f"room{n}" for n in range(100)]
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, *rooms)
        peer = await reset_and_accept(peer, scripted_server)
        asked = [(await peer.admit(resumed=True)).room for _ in rooms]
        assert asked == rooms
        assert [type(event) for event in await next_events(chat, 2)] == [Disconnected, Reconnected]


async def test_a_temporarily_refused_rejoin_is_repeated(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby", "attic")
        calls = Calls(nursery)
        peer.reset()
        await wait_all_tasks_blocked()
        await calls.begin("say", say_call(chat, "lobby", "hello"))
        peer = await scripted_server.accept()
        await peer.greet()
        join = await peer.expect(Join)
        await peer.say(Error("rate_limited", "slowly", retry_after_s=3, ref=join.ref))
        await peer.admit(resumed=True)
        join = await peer.expect(Join)
        assert trio.current_time() == pytest.approx(3.25)
        await peer.say(Error("unavailable", "the disk is full", ref=join.ref))
        await peer.admit(resumed=True)
        assert trio.current_time() == pytest.approx(4.25)
        assert (await peer.expect(Say)).text == "hello"
        assert outage_s((await next_events(chat, 2))[1]) == pytest.approx(4.25)


async def test_a_full_inbox_does_not_prevent_reconnecting(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """The program takes no event and waits for none."""
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, inbox_events=1) as (chat, peer):
        await enter(chat, peer, "lobby")
        await peer.say(said(1))
        await wait_all_tasks_blocked()
        peer.reset()
        await trio.sleep(25)  # the reader pauses for 20 s at most
        peer = await scripted_server.accept()
        await peer.greet()
        join = await peer.expect(Join)
        began = trio.current_time()
        await peer.say(Error("rate_limited", "slowly", retry_after_s=1, ref=join.ref))
        await peer.expect(Join)
        assert trio.current_time() - began == pytest.approx(1)


async def test_events_of_unread_outages_do_not_pile_up(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, inbox_events=1) as (chat, peer):
        await enter(chat, peer, "lobby")
        await peer.say(said(1))
        await wait_all_tasks_blocked()
        for n in range(4):
            peer = await reset_and_accept(peer, scripted_server)
            await peer.admit(epoch=f"history {n}")
            await wait_all_tasks_blocked()
        one, room, back = await anext(chat.batches())
        assert one == said(1)
        assert isinstance(room, Room) and room.epoch == "history 3"
        assert isinstance(back, Reconnected)


async def test_a_permanently_refused_rejoin_leaves_the_room_with_an_error(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby", "attic")
        peer.reset()
        for _ in range(2):
            peer = await scripted_server.accept()
            await peer.greet()
            join = await peer.expect(Join)
            if join.room == "lobby":
                await peer.say(Error("too_many_rooms", "no more than one", ref=join.ref))
                await peer.admit(resumed=True)
                _, error, back = await next_events(chat, 3)
                assert error == Error("too_many_rooms", "cannot rejoin lobby: no more than one")
                assert isinstance(back, Reconnected)
                peer.reset()
            else:
                assert join.room == "attic", "the refused room is not joined again"


async def test_a_room_with_another_spelling_is_the_same_room(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby", head=1)
        peer = await reset_and_accept(peer, scripted_server)
        await peer.admit(room="Lobby", head=1, resumed=True)
        await peer.say(said(1, "Lobby"), said(2, "Lobby"))
        assert (await next_events(chat, 3))[2] == said(2, "Lobby")
        assert chat.unexpected_entries() == [said(1, "Lobby")]
        calls = Calls(nursery)
        await calls.begin("leave", lambda: chat.leave("lobby"))
        assert await next_commands(peer, 1) == [Leave("lobby", ref="r.5")]


async def test_a_bye_right_behind_the_welcome_leaves_no_join_open(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """The end of the connection is read before the rooms are joined; the next connection joins them."""
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        peer.reset()
        peer = await scripted_server.accept()
        hello = await peer.expect(Hello)
        await peer.say(welcome(hello), Bye("draining", "", reconnect=True))
        peer = await scripted_server.accept()
        await peer.greet()
        assert (await peer.admit(resumed=True)).room == "lobby"
        assert isinstance((await next_events(chat, 2))[1], Reconnected)
