"""Calls that begin on one connection and end on the next."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.outages import Calls, enter, next_events, reset_and_accept, say_call
from tests.client.scripted import ScriptedServer, chatting, said
from trio_chat.client import Disconnected, Reconnected
from trio_chat.client.backoff import HELD_S
from trio_chat.errors import ConnectionLost
from trio_chat.wire.messages import Error, Gap, Join, Room, Whisper, Whispered

LONG = f"{'psst':4000}"


async def test_a_sender_waiting_on_a_lost_connection_does_not_undo_what_the_next_one_sent(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """Waiting senders continue one by one; the last of them continue after the client has reconnected."""
    crowd = 200
    scripted_server = ScriptedServer(buffer_bytes=500)
    async with chatting(nursery, scripted_server=scripted_server, random=lambda: 0) as (chat, peer):
        calls = Calls(nursery)
        for n in range(crowd):
            nursery.start_soon(calls.call, str(n), lambda: chat.whisper("bob", LONG))
        await wait_all_tasks_blocked()
        scripted_server.buffer_bytes = 4_000_000
        peer = await reset_and_accept(peer, scripted_server)
        sent = crowd - len(calls.ended)
        assert sent > 100, "most senders must have waited"
        for _ in range(sent):
            await peer.expect(Whisper)
        peer = await reset_and_accept(peer, scripted_server)
        await wait_all_tasks_blocked()
        assert len(calls.ended) == crowd, "a whisper that may have arrived is not sent again"
        assert {type(end) for end in calls.ended.values()} == {ConnectionLost}


async def test_leaving_a_room_that_is_being_rejoined_waits_for_the_answer_only(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        peer = await reset_and_accept(peer, scripted_server)
        join = await peer.expect(Join)
        await calls.begin("leave", lambda: chat.leave("lobby"))
        assert calls.ended == {}
        await peer.say(Error("rate_limited", "slowly", retry_after_s=1_000, ref=join.ref))
        await wait_all_tasks_blocked()
        assert calls.ended == {"leave": None}
        assert [type(event) for event in await next_events(chat, 2)] == [Disconnected, Reconnected]


async def test_cancelling_the_call_that_a_leave_waits_for_completes_the_leave(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        peer.reset()
        await wait_all_tasks_blocked()
        with trio.CancelScope() as patience:
            async with trio.open_nursery() as saying:
                await Calls(saying).begin("say", say_call(chat, "lobby", "hello"))
                await calls.begin("leave", lambda: chat.leave("lobby"))
                assert calls.ended == {}
                patience.cancel()
        peer = await scripted_server.accept()
        await peer.greet()
        await wait_all_tasks_blocked()
        assert calls.ended == {"leave": None}


async def test_reconnected_reaches_a_program_that_emptied_a_full_inbox_meanwhile(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """`Reconnected` belongs to no read, and the last read found a full inbox."""
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
        await peer.say(Error("rate_limited", "slowly", retry_after_s=1_000, ref=join.ref))
        await trio.sleep(1)
        assert [type(event) for event in await next_events(chat, 2)] == [type(said(1)), Disconnected]
        await chat.leave("lobby")
        with trio.fail_after(10):
            assert isinstance(await anext(chat), Reconnected)


async def test_the_gap_of_a_left_room_follows_the_room_event_of_its_new_history(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, inbox_events=1) as (chat, peer):
        await enter(chat, peer, "lobby")
        await peer.say(said(1))
        await wait_all_tasks_blocked()
        peer.reset()
        await trio.sleep(25)
        peer = await scripted_server.accept()
        await peer.greet()
        await peer.admit(epoch="another", head=7)
        await wait_all_tasks_blocked()
        peer.reset()
        await wait_all_tasks_blocked()
        await chat.leave("lobby")
        events = await anext(chat.batches())
        news = [event for event in events if isinstance(event, Room | Gap)]
        assert [type(event) for event in news] == [Room, Gap]
        assert news[1] == Gap("lobby", 0, 8, kept=True)


@pytest.mark.parametrize(("lasts_s", "bound_s"), [(HELD_S - 5, 1.0), (HELD_S + 5, 0.5)])
async def test_the_backoff_is_short_again_after_a_connection_that_lasted(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, lasts_s: float, bound_s: float
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        peer = await reset_and_accept(peer, scripted_server)
        await trio.sleep(lasts_s / 2)
        await peer.say(Whispered("bob", "ada", "still here?", 1_790_000_000_000))
        await trio.sleep(lasts_s / 2)
        peer.reset()
        again = [event for event in await next_events(chat, 4) if isinstance(event, Disconnected)]
        assert [outage.again_s for outage in again] == [0.25, bound_s / 2]
