"""Answers reach their requests, and a slow program misses nothing and blocks no other task.

The server is played by the test, or by a `ScriptedRoom`, which keeps a journal and answers by itself.
"""

from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom, chatting, said
from trio_chat.client import Chat
from trio_chat.client.events import ClientEvent
from trio_chat.errors import ConnectionLost, ProtocolError, Refused
from trio_chat.wire.messages import (
    Ack,
    Bye,
    Error,
    Gap,
    History,
    HistoryPage,
    Join,
    Members,
    Named,
    Ping,
    Pong,
    Presence,
    Quit,
    Room,
    Rooms,
    Said,
    Say,
)


async def say_to(chat: Chat, text: str, into: list[int]) -> None:
    into.append(await chat.say("lobby", text))


def seqs(events: list[ClientEvent]) -> list[int]:
    return [event.seq for event in events if isinstance(event, Said)]


# --- answers ----------------------------------------------------------------------------------------


async def test_answers_are_matched_by_ref_in_any_order(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        numbers: list[int] = []
        async with trio.open_nursery() as asking:
            for text in ("a", "b", "c"):
                asking.start_soon(say_to, chat, text, numbers)
                await wait_all_tasks_blocked()
            says = [await peer.expect(Say) for _ in range(3)]
            assert [say.text for say in says] == ["a", "b", "c"]
            for n in (2, 0, 1):
                await peer.say(Ack(says[n].ref, "lobby", 10 + n))
                await wait_all_tasks_blocked()
        assert numbers == [12, 10, 11]


async def test_a_thousand_tasks_can_say_at_once(nursery: trio.Nursery) -> None:
    async with chatting(nursery, buffer_bytes=4096) as (chat, peer):
        nursery.start_soon(ScriptedRoom().serve, peer)
        numbers: list[int] = []
        async with trio.open_nursery() as asking:
            for n in range(1000):
                asking.start_soon(say_to, chat, str(n), numbers)
        assert sorted(numbers) == list(range(1, 1001))


async def test_an_error_raises_refused_and_the_chat_continues(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        command = await peer.expect(Say)
        await peer.say(Error("rate_limited", "slowly", retry_after_s=2, ref=command.ref))
        await peer.say(Pong(ref=(await peer.expect(Ping)).ref))

    async with chatting(nursery, pace=False) as (chat, peer):
        nursery.start_soon(server, peer)
        with pytest.raises(Refused, match="slowly") as caught:
            await chat.say("lobby", "hello")
        assert (caught.value.code, caught.value.retry_after_s) == ("rate_limited", 2)
        await chat.ping()


async def test_an_answer_of_the_wrong_type_is_a_protocol_error(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.say(Ack((await peer.expect(Rooms)).ref))

    async with chatting(nursery) as (chat, peer):
        nursery.start_soon(server, peer)
        with pytest.raises(ProtocolError, match="unexpected answer: ack"):
            await chat.rooms()


async def test_the_late_answer_of_a_cancelled_request_is_dropped(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        with trio.move_on_after(0):
            await chat.say("lobby", "first")
        first = await peer.expect(Say)
        numbers: list[int] = []
        async with trio.open_nursery() as asking:
            asking.start_soon(say_to, chat, "second", numbers)
            second = await peer.expect(Say)
            await peer.say(Error("forbidden", "no", ref=first.ref), Ack(second.ref, "lobby", 2))
        assert numbers == [2]


async def test_a_ref_may_be_used_again_after_its_request_was_cancelled(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        nursery.start_soon(ScriptedRoom().serve, peer)
        with trio.move_on_after(0):
            await chat.say("lobby", "once", ref="mine")
        assert await chat.say("lobby", "once", ref="mine") == 1
        assert await chat.say("lobby", "twice") == 2


async def test_a_resumed_room_continues_after_its_cursor(nursery: trio.Nursery) -> None:
    """Entries of the replay at or below the cursor were received before and are dropped."""

    async def server(peer: ScriptedConnection) -> None:
        join = await peer.expect(Join)
        assert (join.after, join.epoch) == (5, "e")
        room = Room(room="lobby", epoch="e", resumed=True, first=1, head=9, members=1, topic="", ref=join.ref)
        await peer.say(room, said(5), Gap("lobby", 5, 8, kept=True), said(8), said(9))

    async with chatting(nursery) as (chat, peer):
        nursery.start_soon(server, peer)
        assert (await chat.join("lobby", recent=2, after=5, epoch="e")).resumed
        assert await next_events(chat, 3) == [Gap("lobby", 5, 8, kept=True), said(8), said(9)]


async def test_a_cancelled_join_still_takes_effect(nursery: trio.Nursery) -> None:
    async with chatting(nursery, inbox_events=1) as (chat, peer):
        scripted_room = ScriptedRoom()
        for n in range(30):
            scripted_room.add("bob", str(n))
        with trio.move_on_after(0):
            await chat.join("lobby", recent=10)
        nursery.start_soon(scripted_room.serve, peer)
        await chat.ping()
        await chat.ping()
        events = [await anext(aiter(chat)) for _ in range(10)]
        assert seqs(events) == list(range(21, 31))


async def test_a_command_cancelled_halfway_is_sent_completely(nursery: trio.Nursery) -> None:
    async with chatting(nursery, buffer_bytes=64) as (chat, peer):
        for _ in range(3):
            with trio.move_on_after(0):
                await chat.say("lobby", "x" * 1000)
        async with trio.open_nursery() as asking:
            asking.start_soon(chat.ping)
            assert [await peer.command() for _ in range(3)] == [
                Say("lobby", "x" * 1000, ref=f"r.{n}") for n in (2, 3, 4)
            ]
            await peer.say(Pong(ref=(await peer.expect(Ping)).ref))


async def test_a_named_event_without_a_request_changes_the_name(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        await peer.say(Named("eva"))
        assert await anext(aiter(chat)) == Named("eva")
        assert chat.name == "eva"


# --- catching up ------------------------------------------------------------------------------------


@pytest.mark.parametrize("inbox_events", [16, 1024])
@pytest.mark.parametrize("buffer_bytes", [4096, 262_144])
async def test_a_program_that_answers_every_message_receives_each_once_in_order(
    nursery: trio.Nursery, inbox_events: int, buffer_bytes: int
) -> None:
    scripted_room = ScriptedRoom()
    async with chatting(nursery, inbox_events=inbox_events, buffer_bytes=buffer_bytes) as (chat, peer):
        nursery.start_soon(scripted_room.serve, peer)
        await chat.join("lobby")
        for n in range(10_000):
            scripted_room.show(scripted_room.add("bob", str(n)))
        heard: list[Said] = []
        async for event in chat:
            assert isinstance(event, Said), event
            heard.append(event)
            if event.by == "bob":
                await chat.say("lobby", f"re: {event.text}")
            if len(heard) == 20_000:
                break
    assert [event.seq for event in heard] == list(range(1, 20_001))
    assert [event.text for event in heard if event.by == "bob"] == [str(n) for n in range(10_000)]
    assert any(isinstance(command, History) for command in scripted_room.asked)


async def flood(scripted_room: ScriptedRoom, chat: Chat, count: int) -> None:
    """Send `count` entries while the program requests and does not iterate: most exceed the bound."""
    for n in range(count):
        scripted_room.show(scripted_room.add("bob", str(n)))
    while not any(isinstance(command, Ping) for command in scripted_room.asked):
        await chat.ping()


async def next_events(chat: Chat, count: int) -> list[ClientEvent]:
    return [await anext(aiter(chat)) for _ in range(count)]


async def test_pages_and_the_live_stream_join_without_duplicates(nursery: trio.Nursery) -> None:
    """Entries committed during a page request may arrive in the page, behind it, or both."""
    scripted_room = ScriptedRoom()
    async with chatting(nursery, inbox_events=4, buffer_bytes=500) as (chat, peer):
        nursery.start_soon(scripted_room.serve, peer)
        await chat.join("lobby")
        await flood(scripted_room, chat, 100)
        late: list[Callable[[], None]] = [
            lambda: scripted_room.show(scripted_room.add("bob", "shown before the page")),
            lambda: crossing.append(scripted_room.add("bob", "in the page, shown after it")),
            lambda: None,
        ]
        crossing: list[Said] = []
        scripted_room.page_of = 60
        scripted_room.before_page = lambda: late.pop(0)() if late else None
        heard = await next_events(chat, 102)
        for entry in crossing:
            scripted_room.show(entry)
        scripted_room.show(scripted_room.add("bob", "live"))
        heard += await next_events(chat, 1)
        assert seqs(heard) == list(range(1, 104))


async def test_a_rate_limited_history_request_is_repeated_and_other_rooms_continue(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery, inbox_events=1, buffer_bytes=500) as (chat, peer):

        async def server() -> None:
            await peer.say(said(1))
            await peer.say(Pong(ref=(await peer.expect(Ping)).ref))
            await peer.say(said(2), Pong(ref=(await peer.expect(Ping)).ref))
            asked = await peer.expect(History)
            await peer.say(Error("rate_limited", "slowly", retry_after_s=3, ref=asked.ref))
            await peer.say(said(70, "attic"))
            asked = await peer.expect(History)
            await peer.say(Error("unavailable", "the disk is full", ref=asked.ref))
            asked = await peer.expect(History)
            await peer.say(HistoryPage("lobby", [said(2)], more=False, ref=asked.ref))

        nursery.start_soon(server)
        await chat.ping()
        await chat.ping()
        assert await next_events(chat, 2) == [said(1), said(70, "attic")]
        assert trio.current_time() == 0
        assert await next_events(chat, 1) == [said(2)]
        assert trio.current_time() == pytest.approx(4)


async def test_a_permanently_refused_history_request_is_a_gap(nursery: trio.Nursery) -> None:
    async with chatting(nursery, inbox_events=1, buffer_bytes=500) as (chat, peer):

        async def server() -> None:
            await peer.say(said(1))
            await peer.say(Pong(ref=(await peer.expect(Ping)).ref))
            await peer.say(said(2), Pong(ref=(await peer.expect(Ping)).ref))
            await peer.say(Error("not_in_room", "you are not there", ref=(await peer.expect(History)).ref))

        nursery.start_soon(server)
        await chat.ping()
        await chat.ping()
        assert await next_events(chat, 2) == [said(1), Gap("lobby", 1, 3, kept=True)]


async def test_missed_presence_is_fetched_after_the_entries(nursery: trio.Nursery) -> None:
    scripted_room = ScriptedRoom()
    async with chatting(nursery, inbox_events=4, buffer_bytes=500) as (chat, peer):
        nursery.start_soon(scripted_room.serve, peer)
        await chat.join("lobby")
        for n in range(50):
            scripted_room.show(scripted_room.add("bob", str(n)))
            scripted_room.show(Presence("lobby", n))
        await chat.ping()
        heard: list[ClientEvent] = []
        while not any(isinstance(event, Members) for event in heard):
            heard += await next_events(chat, 1)
        assert seqs(heard) == list(range(1, 51))
        assert heard[-1] == Members("lobby", ["ada", "bob"], 2, more=False)


@pytest.mark.parametrize("named", [True, False], ids=["named in the ack", "not named"])
async def test_leaving_a_lagging_room_emits_a_gap(nursery: trio.Nursery, named: bool) -> None:
    scripted_room = ScriptedRoom("Lobby")  # the spelling of its first member
    scripted_room.names_room_left = named
    async with chatting(nursery, inbox_events=4, buffer_bytes=500) as (chat, peer):
        nursery.start_soon(scripted_room.serve, peer)
        await chat.join("lobby")
        await flood(scripted_room, chat, 50)
        await chat.leave("lobby")
        heard = list(await anext(chat.batches()))
        gap = heard.pop()
        assert seqs(heard) == list(range(1, len(heard) + 1))
        assert gap == Gap("Lobby", len(heard), 51, kept=True)


async def test_the_next_iteration_continues_a_cancelled_catching_up(
    nursery: trio.Nursery,
) -> None:
    scripted_room = ScriptedRoom()
    async with chatting(nursery, inbox_events=4, buffer_bytes=500) as (chat, peer):
        nursery.start_soon(scripted_room.serve, peer)
        await chat.join("lobby")
        await flood(scripted_room, chat, 1000)
        heard: list[ClientEvent] = []
        while len(heard) < 1000:
            with trio.CancelScope() as scope:
                scripted_room.before_page = scope.cancel
                async for event in chat:
                    heard.append(event)
                    if len(heard) == 1000:
                        break
        assert seqs(heard) == list(range(1, 1001))


async def test_two_tasks_share_the_events_between_them(nursery: trio.Nursery) -> None:
    scripted_room = ScriptedRoom()
    heard: list[ClientEvent] = []
    async with chatting(nursery, inbox_events=4, buffer_bytes=500) as (chat, peer):
        nursery.start_soon(scripted_room.serve, peer)
        await chat.join("lobby")

        async def listen() -> None:
            async for events in chat.batches():
                heard.extend(events)
                if len(heard) == 1000:
                    both.cancel_scope.cancel()

        await flood(scripted_room, chat, 1000)
        async with trio.open_nursery() as both:
            both.start_soon(listen)
            both.start_soon(listen)
    assert seqs(heard) == list(range(1, 1001))


async def test_an_invalid_page_ends_the_chat(nursery: trio.Nursery) -> None:
    async with chatting(nursery, inbox_events=1) as (chat, peer):

        async def server() -> None:
            await peer.say(said(1))
            await peer.say(said(2), Pong(ref=(await peer.expect(Ping)).ref))
            await peer.say(Pong(ref=(await peer.expect(History)).ref))

        nursery.start_soon(server)
        await chat.ping()
        if len(await anext(chat.batches())) == 1:
            with pytest.raises(ProtocolError, match="unexpected answer: pong"):
                await anext(chat.batches())


# --- silence ----------------------------------------------------------------------------------------


async def test_an_idle_client_pings(nursery: trio.Nursery, autojump_clock: trio.abc.Clock) -> None:
    async with chatting(nursery, ping_s=25) as (chat, peer):
        for n in (1, 2, 3):
            assert await peer.expect(Ping) == Ping()
            assert trio.current_time() == pytest.approx(25 * n)
            await peer.say(Pong())
        await trio.sleep(20)
        await chat.typing("lobby")
        assert await peer.command() is not None
        await peer.expect(Ping)
        assert trio.current_time() == pytest.approx(95 + 5), "the client pings after 25 s without data"


async def test_a_silent_server_is_disconnected_after_a_minute(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery, ping_s=25) as (chat, _):
        with pytest.raises(ConnectionLost, match="no data from the server for 60 s"):
            await anext(aiter(chat))
    assert trio.current_time() == pytest.approx(60)


async def test_a_paused_reader_does_not_count_as_silence(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery, inbox_events=1, buffer_bytes=500, ping_s=1) as (chat, peer):

        async def server() -> None:
            for seq in range(1, 200):
                await peer.say(said(seq))
                await trio.sleep(1)

        nursery.start_soon(server)
        await trio.sleep(180)
        await chat.typing("lobby")
        assert await anext(aiter(chat)) == said(1)


async def test_a_ping_interval_of_zero_is_replaced(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery, ping_s=0) as (_, peer):
        for _ in range(3):
            await peer.expect(Ping)
            await peer.say(Pong())
        assert trio.current_time() == pytest.approx(3)


# --- the end ----------------------------------------------------------------------------------------


async def test_events_before_the_end_are_delivered_before_it(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        await peer.say(said(1), said(2), Bye("kicked", "out", reconnect=False), said(3))
        heard: list[ClientEvent] = []
        with pytest.raises(ConnectionLost, match=r"the server ended the connection: out \(kicked\)"):
            async for events in chat.batches():
                heard += events
        assert seqs(heard) == [1, 2]


async def test_a_call_waiting_for_space_gets_the_end_of_the_chat(nursery: trio.Nursery) -> None:
    async with chatting(nursery, buffer_bytes=64) as (chat, peer):
        for _ in range(3):
            with trio.move_on_after(0):
                await chat.say("lobby", "x" * 30_000)
        nursery.start_soon(peer.say, Bye("kicked", "out", reconnect=False))
        with trio.fail_after(5), pytest.raises(ConnectionLost, match="kicked"):
            await chat.typing("lobby")


async def test_iterating_ends_when_the_chat_has_quit(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        nursery.start_soon(ScriptedRoom().serve, peer)
        await chat.join("lobby")
        await chat.say("lobby", "that was all")
        await chat.quit("done")
        assert [event async for event in chat] == [said(1, by="ada", text="that was all")]
        assert [events async for events in chat.batches()] == []
        with pytest.raises(ConnectionLost) as caught:
            await chat.say("lobby", "one more thing")
        assert caught.value.code == "quit"
        await chat.quit()


async def test_quit_while_lagging_emits_a_gap(nursery: trio.Nursery) -> None:
    scripted_room = ScriptedRoom()
    async with chatting(nursery, inbox_events=4, buffer_bytes=500) as (chat, peer):
        nursery.start_soon(scripted_room.serve, peer)
        await chat.join("lobby")
        await flood(scripted_room, chat, 50)
        await chat.quit()
        heard = [event async for event in chat]
        assert heard[-1] == Gap("lobby", len(heard) - 1, 51, kept=True)
        assert seqs(heard) == list(range(1, len(heard)))


async def test_requests_before_quit_are_answered_before_the_end(nursery: trio.Nursery) -> None:
    async with chatting(nursery, hangs_up=False) as (chat, peer):
        numbers: list[int] = []

        async def server() -> None:
            say, quitting = await peer.expect(Say), await peer.expect(Quit)
            await peer.say(Ack(say.ref, "lobby", 1), Bye("quit", "bye", reconnect=False, ref=quitting.ref))
            peer.link.close()

        nursery.start_soon(server)
        async with trio.open_nursery() as asking:
            asking.start_soon(say_to, chat, "hello", numbers)
            await wait_all_tasks_blocked()
            await chat.quit()
        assert numbers == [1]
