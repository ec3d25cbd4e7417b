"""Another server at the same address: messages for the previous server are not sent to it."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.outages import Calls, enter, next_commands, next_events, say_call
from tests.client.scripted import ScriptedConnection, ScriptedServer, chatting, said, welcome
from trio_chat.client import Disconnected, Reconnected
from trio_chat.client.checks import check_welcome
from trio_chat.client.requests import OUTSTANDING
from trio_chat.client.server_change import is_other_server
from trio_chat.errors import ConnectionLost, ProtocolError, ServerChanged
from trio_chat.wire.messages import UNSET, Ack, Gap, Hello, Join, Ping, Pong, Room, Say, Welcome

HELLO = Hello(version=1, name="ada")


def of(server_id: str = "", kept: str = "forever") -> Welcome:
    """Return the welcome of a server with this id."""
    return welcome(HELLO, server_id=server_id, kept=kept)


async def next_server(
    peer: ScriptedConnection, scripted_server: ScriptedServer, server_id: str
) -> ScriptedConnection:
    """Break the connection, and let a server with this id answer the next one."""
    peer.reset()
    peer = await scripted_server.accept()
    await peer.greet(server_id=server_id, kept="forever")
    return peer


async def test_queued_messages_are_not_sent_to_another_server(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, server_id="S") as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        await calls.begin("sent", say_call(chat, "lobby", "sent, and not acknowledged"))
        await calls.begin("topic", lambda: chat.topic("lobby", "tea"))
        await next_commands(peer, 2)
        peer.reset()
        await wait_all_tasks_blocked()
        await calls.begin("waits", say_call(chat, "lobby", "said in the outage"))
        await calls.begin("whisper", lambda: chat.whisper("bob", "psst"))
        await calls.begin("question", lambda: chat.ping())
        peer = await scripted_server.accept()
        await peer.greet(server_id="T", kept="forever")
        assert isinstance(await peer.expect(Join), Join)
        ping = await peer.expect(Ping)
        await peer.say(Pong(ref=ping.ref))
        await wait_all_tasks_blocked()
        for what in ("sent", "topic", "waits", "whisper"):
            error = calls.ended[what]
            assert isinstance(error, ServerChanged)
            assert str(error).startswith("another server answers at this address now")
        assert isinstance(calls.ended["question"], float)
        assert chat.welcome.server_id == "T"


async def test_the_chat_continues_in_its_rooms_with_new_histories(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, server_id="S") as (chat, peer):
        await enter(chat, peer, "lobby")
        await peer.say(said(1), said(2))
        assert await next_events(chat, 2) == [said(1), said(2)]
        peer = await next_server(peer, scripted_server, "T")
        join = await peer.expect(Join)
        assert (join.room, join.after, join.epoch) == ("lobby", UNSET, "")
        peer.push_back(join)
        await peer.admit(head=0, epoch="of T")
        events = await next_events(chat, 3)
        assert [type(event) for event in events] == [Disconnected, Room, Reconnected]
        room = events[1]
        assert isinstance(room, Room) and (room.epoch, room.resumed) == ("of T", False)
        calls = Calls(nursery)
        await calls.begin("after", say_call(chat, "lobby", "for T"))
        say = await peer.expect(Say)
        await peer.say(Ack(say.ref, "lobby", 1))
        await wait_all_tasks_blocked()
        assert calls.ended == {"after": 1}


async def test_missed_entries_of_the_other_server_are_a_gap(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, server_id="S", inbox_events=2) as (
        chat,
        peer,
    ):
        await enter(chat, peer, "lobby")
        await peer.say(*(said(n) for n in range(1, 6)))
        await wait_all_tasks_blocked()
        await peer.say(*(said(n) for n in range(6, 9)))
        await wait_all_tasks_blocked()
        peer = await next_server(peer, scripted_server, "T")
        await peer.admit(head=0, epoch="of T")
        heard = [event for event in await next_events(chat, 8) if not isinstance(event, Disconnected)]
        gaps = [event for event in heard if isinstance(event, Gap)]
        assert [gap.kept for gap in gaps] == [False] * len(gaps)
        assert any(isinstance(event, Room) and event.epoch == "of T" for event in heard)


async def test_queued_messages_are_sent_to_a_server_with_the_same_id(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, server_id="S") as (chat, peer):
        await enter(chat, peer, "lobby")
        calls = Calls(nursery)
        await calls.begin("one", say_call(chat, "lobby", "one"))
        first = await peer.expect(Say)
        peer = await next_server(peer, scripted_server, "S")
        join = await peer.expect(Join)
        assert (join.after, join.epoch) == (0, "e")
        peer.push_back(join)
        await peer.admit(resumed=True)
        assert await peer.expect(Say) == first


async def test_calls_waiting_for_a_slot_are_not_sent_to_another_server(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, server_id="S") as (chat, peer):
        await enter(chat, peer, "lobby")
        peer.reset()
        await wait_all_tasks_blocked()
        calls = Calls(nursery)
        for n in range(OUTSTANDING):
            nursery.start_soon(calls.call, str(n), say_call(chat, "lobby", str(n)))
        await wait_all_tasks_blocked()
        await calls.begin("behind", say_call(chat, "lobby", "behind"))
        peer = await scripted_server.accept()
        await peer.greet(server_id="T", kept="forever")
        await wait_all_tasks_blocked()
        failed = [error for error in calls.ended.values() if isinstance(error, ServerChanged)]
        assert len(failed) == OUTSTANDING + 1
        await peer.admit(epoch="of T")
        nursery.start_soon(calls.call, "after", say_call(chat, "lobby", "for T"))
        assert (await peer.expect(Say)).text == "for T", "the failed calls must free their slots"


@pytest.mark.parametrize(
    ("before", "now", "other"),
    [
        (of("S"), of("S"), False),
        (of("S"), of("T"), True),
        (of("S"), of(), True),
        (of("S"), of(kept="memory"), True),
        (of(kept="memory"), of("T"), True),
        (of(kept="memory"), of(kept="memory"), False),
        (of(kept="90 days"), of("T"), False),  # an upgraded older server
        (of(kept="forever"), of(), False),
    ],
)
def test_another_server_is_recognized_by_its_id(before: Welcome, now: Welcome, other: bool) -> None:
    assert is_other_server(before, now) is other


def test_an_id_is_bounded() -> None:
    check_welcome(of("x" * 64))
    with pytest.raises(ProtocolError, match="a welcome with a server_id of 65 characters, not 1 to 64"):
        check_welcome(of("x" * 65))


def test_a_changed_server_is_a_lost_connection_to_programs_that_do_not_ask() -> None:
    assert issubclass(ServerChanged, ConnectionLost)
