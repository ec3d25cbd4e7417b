"""Commands from before and during an outage are sent once and in order, or not at all."""

from collections.abc import Callable
from contextlib import suppress

import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.outages import Calls, enter, next_commands, next_events, reset_and_accept, say_call
from tests.client.scripted import ScriptedServer, chatting
from trio_chat.client import Disconnected, Reconnected
from trio_chat.client.requests import OUTSTANDING
from trio_chat.errors import ConnectionLost, Refused
from trio_chat.wire.messages import (
    Ack,
    Bye,
    Error,
    Event,
    History,
    HistoryPage,
    Join,
    Leave,
    Members,
    Ping,
    Pong,
    Room,
    Rooms,
    RoomsPage,
    Say,
    Whisper,
    Who,
)


async def test_unanswered_commands_are_sent_again_in_order_after_the_rejoin(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby", "attic")
        calls = Calls(nursery)
        await calls.begin("one", say_call(chat, "lobby", "one"))
        await calls.begin("topic", lambda: chat.topic("lobby", "tea"))
        await calls.begin("above", say_call(chat, "attic", "above"))
        await calls.begin("rename", lambda: chat.rename("eva"))
        first = await next_commands(peer, 4)
        peer.reset()
        await wait_all_tasks_blocked()
        await calls.begin("two", say_call(chat, "lobby", "two"))
        peer = await scripted_server.accept()
        await peer.greet()
        joins = [await peer.expect(Join) for _ in range(2)]
        await calls.begin("three", say_call(chat, "lobby", "three"))
        assert await next_commands(peer, 1) == [first[3]], "a command about no room does not wait"
        peer.push_back(joins[1])
        await peer.admit(resumed=True)
        assert await next_commands(peer, 1) == [first[2]]
        peer.push_back(joins[0])
        await peer.admit(resumed=True)
        assert await next_commands(peer, 2) == first[:2]
        later = [await peer.expect(Say) for _ in range(2)]
        assert [say.text for say in later] == ["two", "three"]
        await peer.say(*(Ack(say.ref, "lobby", 10 + n) for n, say in enumerate(later)))
        await wait_all_tasks_blocked()
        assert calls.ended == {"two": 10, "three": 11}
        await calls.begin("four", say_call(chat, "lobby", "four"))
        assert (await peer.expect(Say)).text == "four"


async def test_a_rejoined_room_keeps_its_order_while_the_connection_is_full(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """Commands about another room wait until the connection takes more."""
    scripted_server = ScriptedServer(buffer_bytes=500)
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby", "attic")
        peer.reset()
        await wait_all_tasks_blocked()
        calls = Calls(nursery)
        await calls.begin("one", say_call(chat, "lobby", "one"))
        for n in range(40):
            await calls.begin(f"long {n}", say_call(chat, "attic", f"{n:4000}"))
        await calls.begin("two", say_call(chat, "lobby", "two"))
        peer = await scripted_server.accept()
        await peer.greet()
        lobby, attic = [await peer.expect(Join) for _ in range(2)]
        peer.push_back(attic)
        await peer.admit(resumed=True)
        await wait_all_tasks_blocked()
        peer.push_back(lobby)
        await peer.admit(resumed=True)
        await calls.begin("three", say_call(chat, "attic", "three"))
        says = [await peer.expect(Say) for _ in range(43)]
        assert says[-1].text in ("two", "three")
        assert [say.text for say in says if say.room == "lobby"] == ["one", "two"]


async def test_queries_are_sent_again(nursery: trio.Nursery, autojump_clock: trio.abc.Clock) -> None:
    scripted_server = ScriptedServer()
    answers: dict[type[object], Callable[[str], Event]] = {
        Who: lambda ref: Members("lobby", ["ada"], 1, more=False, ref=ref),
        Rooms: lambda ref: RoomsPage([], more=False, ref=ref),
        History: lambda ref: HistoryPage("lobby", [], more=False, ref=ref),
        Ping: lambda ref: Pong(ref=ref),
        Join: lambda ref: Room(
            room="attic", epoch="e", resumed=False, first=1, head=0, members=1, topic="", ref=ref
        ),
    }
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        for call in (lambda: chat.who("lobby"), chat.rooms, lambda: chat.history("lobby"), chat.ping):
            await calls.begin(str(call), call)
        await calls.begin("join", lambda: chat.join("attic", recent=5))
        first = await next_commands(peer, 5)
        peer = await reset_and_accept(peer, scripted_server)
        await peer.admit(resumed=True)
        again = await next_commands(peer, 5)
        assert sorted(map(repr, again)) == sorted(map(repr, first))
        for command in again:
            assert isinstance(command, Who | Rooms | History | Ping | Join)
            await peer.say(answers[type(command)](command.ref))
        await wait_all_tasks_blocked()
        assert len(calls.ended) == 5
        assert not [end for end in calls.ended.values() if isinstance(end, Exception)]


async def test_a_whisper_that_may_have_arrived_is_not_sent_again(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        calls = Calls(nursery)
        await calls.begin("sent", lambda: chat.whisper("bob", "psst"))
        await peer.expect(Whisper)
        peer.reset()
        await wait_all_tasks_blocked()
        assert isinstance(calls.ended["sent"], ConnectionLost)
        await calls.begin("waits", lambda: chat.whisper("bob", "pssst"))
        peer = await scripted_server.accept()
        await peer.greet()
        whisper = await peer.expect(Whisper)
        assert whisper.text == "pssst"
        await peer.say(Ack(whisper.ref))
        await wait_all_tasks_blocked()
        assert calls.ended["waits"] is None


async def test_leave_during_an_outage_takes_effect_at_once(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby", "attic", "cellar")
        calls = Calls(nursery)
        await calls.begin("sent", lambda: chat.leave("lobby"))
        peer.reset()
        await wait_all_tasks_blocked()
        assert calls.ended == {"sent": None}
        await chat.leave("attic")
        peer = await scripted_server.accept()
        await peer.greet()
        assert (await peer.admit(resumed=True)).room == "cellar"
        await calls.begin("say", say_call(chat, "cellar", "hello"))
        assert isinstance(await peer.command(), Say), "no other room is joined"


async def test_messages_before_a_leave_are_sent_before_it(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        await calls.begin("say", say_call(chat, "lobby", "farewell"))
        await calls.begin("leave", lambda: chat.leave("lobby"))
        first = [*await next_commands(peer, 2)]
        peer = await reset_and_accept(peer, scripted_server)
        await peer.admit(resumed=True)
        assert await next_commands(peer, 2) == first
        assert calls.ended == {}


async def test_leave_during_a_rejoin_is_sent_after_it(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        peer = await reset_and_accept(peer, scripted_server)
        join = await peer.expect(Join)
        await calls.begin("leave", lambda: chat.leave("lobby"))
        peer.push_back(join)
        await peer.admit(resumed=True)
        leave = await peer.expect(Leave)
        await peer.say(Ack(leave.ref, "lobby"))
        await wait_all_tasks_blocked()
        assert calls.ended == {"leave": None}
        peer = await reset_and_accept(peer, scripted_server)
        await calls.begin("ping", chat.ping)
        assert isinstance(await peer.command(), Ping)


async def test_leaving_the_last_room_to_rejoin_ends_the_outage(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        peer = await reset_and_accept(peer, scripted_server)
        join = await peer.expect(Join)
        await peer.say(Error("rate_limited", "slowly", retry_after_s=1_000, ref=join.ref))
        await wait_all_tasks_blocked()
        await chat.leave("lobby")
        assert [type(event) for event in await next_events(chat, 2)] == [Disconnected, Reconnected]
        assert trio.current_time() < 1


async def test_a_command_cancelled_during_an_outage_is_not_sent(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """Commands that were cancelled before the outage are not sent again either."""
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        with trio.move_on_after(0):
            await chat.say("lobby", "before")
        calls = Calls(nursery)
        async with trio.open_nursery() as cancelled:
            over_it = Calls(cancelled)
            await over_it.begin("before and in it", say_call(chat, "lobby", "before and in it"))
            peer.reset()
            await wait_all_tasks_blocked()
            await over_it.begin("in it", say_call(chat, "lobby", "in it"))
            await calls.begin("behind", say_call(chat, "lobby", "behind"))
            cancelled.cancel_scope.cancel()
        peer = await scripted_server.accept()
        await peer.greet()
        await peer.admit(resumed=True)
        assert (await peer.expect(Say)).text == "behind"


async def test_a_message_that_fails_the_server_twice_is_not_sent_again(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        calls = Calls(nursery)
        await enter(chat, peer, "lobby")
        await calls.begin("bad", say_call(chat, "lobby", "bad"))
        for _ in range(2):
            assert (await peer.expect(Say)).text == "bad"
            await peer.say(Bye("internal", "a bug", reconnect=True))
            peer.link.close()
            peer = await scripted_server.accept()
            await peer.greet()
            await peer.admit(resumed=True)
        bad = calls.ended["bad"]
        assert isinstance(bad, ConnectionLost)
        assert bad.code == "internal"
        await calls.begin("good", say_call(chat, "lobby", "good"))
        good = await peer.expect(Say)
        await peer.say(Ack(good.ref, "lobby", 1))
        await wait_all_tasks_blocked()
        assert calls.ended["good"] == 1


async def test_other_disconnects_do_not_count_against_a_message(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        calls = Calls(nursery)
        await enter(chat, peer, "lobby")
        await calls.begin("say", say_call(chat, "lobby", "hello"))
        for code in ("internal", "draining", "", "slow_reader"):
            await peer.expect(Say)
            if code:
                await peer.say(Bye(code, "come back", reconnect=True))
                peer.link.close()
            else:
                peer.reset()
            peer = await scripted_server.accept()
            await peer.greet()
            await peer.admit(resumed=True)
        await peer.say(Ack((await peer.expect(Say)).ref, "lobby", 7))
        await wait_all_tasks_blocked()
        assert calls.ended == {"say": 7}


async def test_a_thousand_requests_are_open_and_further_ones_wait(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        peer.reset()
        await wait_all_tasks_blocked()
        numbers: list[int] = []

        async def say(n: int) -> None:
            with suppress(trio.Cancelled):
                numbers.append(await chat.say("lobby", str(n)))

        async with trio.open_nursery() as asking:
            for n in range(OUTSTANDING + 5):
                asking.start_soon(say, n)
            peer = await scripted_server.accept()
            await peer.greet()
            await peer.admit(resumed=True)
            says = [await peer.expect(Say) for _ in range(OUTSTANDING)]
            with trio.move_on_after(1) as patience:
                await peer.command()
            assert patience.cancelled_caught, "no further request may be sent"
            await peer.say(*(Ack(say.ref, "lobby", n + 1) for n, say in enumerate(says[:10])))
            says = [await peer.expect(Say) for _ in range(5)]
            assert len({say.text for say in says}) == 5
            asking.cancel_scope.cancel()
        assert len(numbers) == 10


async def test_a_call_waiting_for_a_slot_gets_the_end_of_the_chat(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        calls = Calls(nursery)
        peer.reset()
        for n in range(OUTSTANDING):
            nursery.start_soon(calls.call, str(n), chat.ping)
        await wait_all_tasks_blocked()
        await calls.begin("one more", chat.ping)
        await chat.quit()
        await wait_all_tasks_blocked()
        assert len(calls.ended) == OUTSTANDING + 1
        assert all(isinstance(end, ConnectionLost) for end in calls.ended.values())


async def test_a_smaller_frame_limit_after_an_outage_refuses_larger_commands(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        calls = Calls(nursery)
        await calls.begin("long", say_call(chat, "lobby", "x" * 3000))
        peer.reset()
        peer = await scripted_server.accept()
        await peer.greet(frame_bytes=2000)
        await wait_all_tasks_blocked()
        refused = calls.ended["long"]
        assert isinstance(refused, Refused)
        assert refused.code == "too_long"
