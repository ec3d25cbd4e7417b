"""Commands refused as `rate_limited` are sent again in order, and commands over the rate wait."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.outages import Calls, enter, reset_and_accept, say_call
from tests.client.scripted import ScriptedConnection, ScriptedServer, chatting
from trio_chat.errors import ConnectionLost, Refused
from trio_chat.wire.messages import (
    UNSET,
    Ack,
    Bye,
    Error,
    Join,
    Leave,
    Members,
    Named,
    Ping,
    Pong,
    Quit,
    Rename,
    Room,
    Say,
    Topic,
    Whisper,
    Who,
)

SLOW = (4, 1)  # a burst of four, of which two may be unanswered, and one a second


async def refuse(
    peer: ScriptedConnection, command: Say | Topic | Join | Leave | Whisper | Who, retry_s: int = 3
) -> None:
    await peer.say(Error("rate_limited", "too fast", retry_after_s=retry_s, ref=command.ref))


async def texts(peer: ScriptedConnection, count: int) -> list[str]:
    """Acknowledge `count` says and return their texts."""
    found = []
    for _ in range(count):
        say = await peer.expect(Say)
        found.append(say.text)
        await peer.say(Ack(say.ref, "lobby", len(found)))
    return found


async def test_a_refused_message_and_the_following_ones_are_sent_again_in_order(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery) as (chat, peer):
        await enter(chat, peer, "lobby", "attic")
        calls = Calls(nursery)
        for n, room in enumerate(("lobby", "attic", "lobby")):
            await calls.begin(str(n), say_call(chat, room, str(n)))
        refused = [await peer.expect(Say) for _ in range(3)]
        for say in refused:
            await refuse(peer, say)
        await wait_all_tasks_blocked()
        await calls.begin("3", say_call(chat, "lobby", "3"))
        again = await peer.expect(Say)
        assert trio.current_time() == pytest.approx(3)
        peer.push_back(again)
        later = [await peer.expect(Say) for _ in range(4)]
        assert later[:3] == refused, "the refs must be the same"
        assert [say.text for say in later] == ["0", "1", "2", "3"]
        await peer.say(*(Ack(say.ref, say.room, 7) for say in later))
        await wait_all_tasks_blocked()
        assert calls.ended == dict.fromkeys("0123", 7)


async def test_only_queries_overtake_delayed_commands(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery, talk=SLOW) as (chat, peer):
        await enter(chat, peer, "lobby", "attic")
        calls = Calls(nursery)
        for text in ("one", "two", "three"):
            await calls.begin(text, say_call(chat, "lobby", text))
        await calls.begin("topic", lambda: chat.topic("attic", "tea"))
        await calls.begin("whisper", lambda: chat.whisper("bob", "psst"))
        await calls.begin("rename", lambda: chat.rename("eva"))
        await calls.begin("leave", lambda: chat.leave("lobby"))
        await calls.begin("leave attic", lambda: chat.leave("attic"))
        await calls.begin("join", lambda: chat.join("cellar"))
        await calls.begin("who", lambda: chat.who("lobby"))
        await calls.begin("ping", chat.ping)
        sent = [await peer.command() for _ in range(5)]
        assert [type(command) for command in sent] == [Say, Say, Join, Who, Ping]
        with trio.move_on_after(10) as silence:
            await peer.command()
        assert silence.cancelled_caught, "two are unanswered"
        for say in sent[:2]:
            assert isinstance(say, Say)
            await peer.say(Ack(say.ref, "lobby", 1))
        kinds = []
        for _ in range(6):
            command = await peer.expect_any()
            kinds.append(type(command))
            if isinstance(command, Rename):
                await peer.say(Named("eva", ref=command.ref))
            elif isinstance(command, Say | Topic | Whisper):
                await peer.say(Ack(command.ref, "lobby", 2))
        assert kinds == [Say, Leave, Topic, Leave, Whisper, Rename]


async def test_a_command_cancelled_while_delayed_is_not_sent(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery) as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        async with trio.open_nursery() as cancelled:
            cancelled.start_soon(chat.say, "lobby", "refused")
            say = await peer.expect(Say)
            await refuse(peer, say)
            await wait_all_tasks_blocked()
            cancelled.start_soon(chat.say, "lobby", "held back")
            await wait_all_tasks_blocked()
            await calls.begin("behind", say_call(chat, "lobby", "behind"))
            cancelled.cancel_scope.cancel()
        assert await texts(peer, 1) == ["behind"]
        await wait_all_tasks_blocked()
        assert calls.ended == {"behind": 1}


async def test_a_cancelled_command_that_is_refused_is_not_sent_again(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery) as (chat, peer):
        await enter(chat, peer, "lobby")
        with trio.move_on_after(0.1):
            await chat.say("lobby", "cancelled", ref="same")
        calls = Calls(nursery)
        await calls.begin("again", lambda: chat.say("lobby", "cancelled", ref="same"))
        first, second = [await peer.expect(Say) for _ in range(2)]
        await refuse(peer, first)
        await refuse(peer, second)
        assert await texts(peer, 1) == ["cancelled"]
        await wait_all_tasks_blocked()
        assert calls.ended == {"again": 1}


async def test_every_command_with_a_rate_is_sent_again(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery) as (chat, peer):
        calls = Calls(nursery)
        await calls.begin("join", lambda: chat.join("lobby"))
        await refuse(peer, await peer.expect(Join))
        await peer.admit()
        await calls.begin("who", lambda: chat.who("lobby"))
        await refuse(peer, await peer.expect(Who))
        who = await peer.expect(Who)
        await peer.say(Members("lobby", ["ada"], 1, more=False, ref=who.ref))
        await calls.begin("whisper", lambda: chat.whisper("bob", "psst"))
        await refuse(peer, await peer.expect(Whisper))
        await peer.say(Ack((await peer.expect(Whisper)).ref))
        await calls.begin("leave", lambda: chat.leave("lobby"))
        await refuse(peer, await peer.expect(Leave))
        await peer.say(Ack((await peer.expect(Leave)).ref, "lobby"))
        await wait_all_tasks_blocked()
        assert trio.current_time() == pytest.approx(12)
        room = calls.ended.pop("join")
        assert isinstance(room, Room)
        assert calls.ended == {"who": ["ada"], "whisper": None, "leave": None}


async def test_a_refused_whisper_is_sent_again_on_the_next_connection(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        calls = Calls(nursery)
        await calls.begin("refused", lambda: chat.whisper("bob", "psst"))
        await calls.begin("under way", lambda: chat.whisper("bob", "under way"))
        await refuse(peer, await peer.expect(Whisper))
        await wait_all_tasks_blocked()
        peer = await reset_and_accept(peer, scripted_server)
        whisper = await peer.expect(Whisper)
        assert whisper.text == "psst"
        await peer.say(Ack(whisper.ref))
        await wait_all_tasks_blocked()
        assert calls.ended.pop("refused") is None
        assert isinstance(calls.ended["under way"], ConnectionLost)


async def test_commands_queued_during_an_outage_are_sent_at_the_rate(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """Meanwhile the program receives entries and sends queries; new messages join the end of the backlog."""
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, talk=SLOW) as (chat, peer):
        await enter(chat, peer, "lobby")
        peer.reset()
        await wait_all_tasks_blocked()
        calls = Calls(nursery)
        for n in range(6):
            await calls.begin(str(n), say_call(chat, "lobby", str(n)))
        peer = await scripted_server.accept()
        await peer.greet(talk=SLOW)
        await peer.admit(resumed=True)
        assert await texts(peer, 4) == ["0", "1", "2", "3"]
        began = trio.current_time()
        await calls.begin("6", say_call(chat, "lobby", "6"))
        await calls.begin("ping", chat.ping)
        await peer.say(Pong(ref=(await peer.expect(Ping)).ref))
        assert trio.current_time() == began
        assert await texts(peer, 3) == ["4", "5", "6"]
        assert trio.current_time() - began == pytest.approx(3, abs=0.1)


async def test_a_refusal_before_an_outage_delays_the_next_connection_too(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        for n in range(3):
            await calls.begin(str(n), say_call(chat, "lobby", str(n)))
        says = [await peer.expect(Say) for _ in range(3)]
        await refuse(peer, says[0], 1)
        await wait_all_tasks_blocked()
        peer = await reset_and_accept(peer, scripted_server)
        await peer.admit(resumed=True)
        assert await texts(peer, 3) == ["0", "1", "2"]
        await wait_all_tasks_blocked()
        assert len(calls.ended) == 3


async def test_quit_waits_for_delayed_commands(nursery: trio.Nursery, autojump_clock: trio.abc.Clock) -> None:
    async with chatting(nursery, talk=SLOW, hangs_up=False) as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        for n in range(5):
            await calls.begin(str(n), say_call(chat, "lobby", str(n)))
        await calls.begin("quit", chat.quit)
        assert await texts(peer, 5) == ["0", "1", "2", "3", "4"]
        quitting = await peer.expect(Quit)
        await peer.say(Bye("quit", "goodbye", reconnect=False, ref=quitting.ref))
        peer.link.close()
        await wait_all_tasks_blocked()
        assert calls.ended == {**{str(n): n + 1 for n in range(5)}, "quit": None}


async def test_a_refusal_of_a_command_without_a_rate_is_raised(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """No server has a reason for it, and the client does not know when to try again."""
    async with chatting(nursery) as (chat, peer):
        calls = Calls(nursery)
        await calls.begin("ping", chat.ping)
        ping = await peer.expect(Ping)
        await peer.say(Error("rate_limited", "too fast", retry_after_s=UNSET, ref=ping.ref))
        await wait_all_tasks_blocked()
        assert isinstance(calls.ended["ping"], Refused)


async def test_a_server_that_always_refuses_is_asked_at_its_own_interval(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """A waiting call can be cancelled."""
    async with chatting(nursery) as (chat, peer):
        await enter(chat, peer, "lobby")
        asked = []
        with trio.move_on_after(10) as patience:
            nursery.start_soon(chat.ping)
            async with trio.open_nursery() as refusing:
                refusing.start_soon(chat.say, "lobby", "hello")
                while True:
                    command = await peer.expect_any()
                    if isinstance(command, Say):
                        asked.append(trio.current_time())
                        await refuse(peer, command, 0)
                    elif isinstance(command, Ping):
                        await peer.say(Pong(ref=command.ref))
        assert patience.cancelled_caught
        assert asked == pytest.approx(list(range(10)), abs=0.1)


async def test_the_refused_one_of_two_commands_with_the_same_ref_is_sent_again(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery) as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        await calls.begin("first", lambda: chat.say("lobby", "hello", ref="same"))
        await calls.begin("second", lambda: chat.say("lobby", "hello", ref="same"))
        first, second = [await peer.expect(Say) for _ in range(2)]
        await refuse(peer, first)
        await peer.say(Ack(second.ref, "lobby", 1))
        await wait_all_tasks_blocked()
        assert calls.ended == {"second": 1}
        await peer.say(Ack((await peer.expect(Say)).ref, "lobby", 1))
        await wait_all_tasks_blocked()
        assert calls.ended == {"second": 1, "first": 1}


async def test_messages_said_while_the_connection_is_full_stay_behind_waiting_ones(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer(buffer_bytes=500)
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        for n in range(50):
            nursery.start_soon(chat.say, "lobby", f"{n:4000}")
            await wait_all_tasks_blocked()
        peer.reset()
        await wait_all_tasks_blocked()
        peer = await scripted_server.accept()
        await peer.greet()
        await peer.admit(resumed=True)
        await wait_all_tasks_blocked()
        await calls.begin("last", say_call(chat, "lobby", "50"))
        assert [int(text) for text in await texts(peer, 51)] == list(range(51))


async def test_the_rates_are_those_of_the_latest_welcome(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await enter(chat, peer, "lobby")
        peer.reset()
        await wait_all_tasks_blocked()
        peer = await scripted_server.accept()
        await peer.greet(talk=SLOW)
        await peer.admit(resumed=True)
        calls = Calls(nursery)
        for n in range(3):
            await calls.begin(str(n), say_call(chat, "lobby", str(n)))
        says = [await peer.expect(Say) for _ in range(2)]
        with trio.move_on_after(10) as silence:
            await peer.command()
        assert silence.cancelled_caught, "two of four may be unanswered"
        await peer.say(*(Ack(say.ref, "lobby", 1) for say in says))
        assert (await peer.expect(Say)).text == "2"
