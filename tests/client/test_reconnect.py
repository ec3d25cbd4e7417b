"""One connection after another: when the client reconnects, when it does not, and which events it emits."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.outages import next_events, outage_s, reset_and_accept
from tests.client.scripted import ScriptedConnection, ScriptedServer, chatting, said
from trio_chat.client import Disconnected, Reconnected, connect
from trio_chat.errors import ChatError, ClientError, ConnectionLost, ProtocolError
from trio_chat.wire.messages import Ack, Bye, Error, Hello, Named, Ping, Pong, Say, Typing

LOST = "connection lost: the server closed it without a word"


async def test_disconnected_and_reconnected_arrive_in_order_with_other_events(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await peer.say(said(1))
        peer.link.close()
        assert await next_events(chat, 2) == [said(1), Disconnected(LOST, 0.25)]
        peer = await scripted_server.accept()
        assert trio.current_time() == pytest.approx(0.25)
        hello = await peer.greet()
        assert (hello.name, hello.token) == ("ada", chat.token)
        assert outage_s(await anext(chat)) == pytest.approx(0.25)
        await peer.say(said(2))
        assert await next_events(chat, 1) == [said(2)]
        peer.link.close()


async def test_all_failed_tries_belong_to_one_outage(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """No server, no answer, too many connections, a bug: after each the client waits longer."""
    scripted_server = ScriptedServer()

    async def server() -> None:
        await (await scripted_server.accept()).expect(Hello)  # silent until the timeout of 10 s
        peer = await scripted_server.accept()
        await peer.expect(Hello)
        await peer.say(Bye("too_many_connections", "full", reconnect=True))
        peer = await scripted_server.accept()
        hello = await peer.expect(Hello)
        await peer.say(Error("unavailable", "not now", retry_after_s=5, ref=hello.ref))
        peer = await scripted_server.accept()
        await peer.expect(Hello)
        peer.reset()
        await (await scripted_server.accept()).greet()

    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        scripted_server.refuses = 2
        nursery.start_soon(server)
        await peer.say(Bye("draining", "back soon", reconnect=True, after_s=3))
        peer.link.close()
        outage, back = await next_events(chat, 2)
        waits = 3 + 0.25 + 0.5 + 1 + 10 + 2 + 4 + 5 + 8 + 15
        assert outage == Disconnected("the server ended the connection: back soon (draining)", 3.25)
        assert outage_s(back) == pytest.approx(waits)
        assert trio.current_time() == pytest.approx(waits)


async def test_a_connection_that_breaks_while_rejoining_belongs_to_the_same_outage(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        nursery.start_soon(peer.admit)
        await chat.join("lobby")
        peer = await reset_and_accept(peer, scripted_server)
        peer = await reset_and_accept(peer, scripted_server)
        await peer.admit(resumed=True)
        events = await next_events(chat, 2)
        assert [type(event) for event in events] == [Disconnected, Reconnected]
        assert outage_s(events[1]) == pytest.approx(0.75)


@pytest.mark.parametrize("code", ["replaced", "kicked", "banned", "quit"])
async def test_a_client_that_is_told_not_to_reconnect_does_not(nursery: trio.Nursery, code: str) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await peer.say(Bye(code, "away with you", reconnect=False))
        with pytest.raises(ConnectionLost, match="away with you") as caught:
            await anext(chat)
        assert (caught.value.code, len(scripted_server.dialled)) == (code, 1)


def _error(code: str) -> Callable[[Hello], Error]:
    return lambda hello: Error(code, "not you", ref=hello.ref)


def _bye(code: str) -> Callable[[Hello], Bye]:
    return lambda hello: Bye(code, "not you", reconnect=False)


@pytest.mark.parametrize(
    ("answer", "code", "kind"),
    [
        (_error("name_taken"), "name_taken", ConnectionLost),
        (_error("bad_name"), "bad_name", ConnectionLost),
        (_bye("banned"), "banned", ConnectionLost),
        (_bye("version"), "", ProtocolError),
        (lambda hello: Pong(ref=hello.ref), "", ProtocolError),
    ],
    ids=["taken", "bad", "banned", "version", "nonsense"],
)
async def test_a_permanent_refusal_ends_the_chat(
    nursery: trio.Nursery,
    autojump_clock: trio.abc.Clock,
    answer: Callable[[Hello], Error | Bye | Pong],
    code: str,
    kind: type[ClientError],
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        peer.reset()
        peer = await scripted_server.accept()
        await peer.say(answer(await peer.expect(Hello)))
        assert isinstance(await anext(chat), Disconnected)
        with pytest.raises(kind) as caught:
            await anext(chat)
        assert getattr(caught.value, "code", "") == code
        assert not getattr(caught.value, "reconnect", False)
        assert "\n" not in str(caught.value)
        with pytest.raises(kind):
            await chat.ping()


async def test_garbage_after_the_welcome_ends_the_chat(nursery: trio.Nursery) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await peer.send_bytes(b"HTTP/1.1 400\r\n\r\n")
        with pytest.raises(ProtocolError):
            await anext(chat)
        assert len(scripted_server.dialled) == 1


async def test_the_chat_ends_after_patience_s(nursery: trio.Nursery, autojump_clock: trio.abc.Clock) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, patience_s=60) as (chat, peer):
        scripted_server.refuses = 1_000
        peer.reset()
        assert isinstance(await anext(chat), Disconnected)
        with pytest.raises(ConnectionLost, match="no reconnect within 60 s: no server there"):
            await chat.say("lobby", "is anybody there?")
        assert trio.current_time() == pytest.approx(60)


async def test_patience_s_covers_rejoining_the_rooms(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()

    async def server() -> None:
        while True:
            peer = await scripted_server.accept()
            await peer.greet()
            nursery.start_soon(answer_pings, peer)

    async def answer_pings(peer: ScriptedConnection) -> None:
        while (command := await peer.command()) is not None:
            if isinstance(command, Ping):
                await peer.say(Pong(ref=command.ref))

    async with chatting(nursery, scripted_server=scripted_server, patience_s=100) as (chat, peer):
        nursery.start_soon(peer.admit)
        await chat.join("lobby")
        peer.reset()
        nursery.start_soon(server)
        assert isinstance(await anext(chat), Disconnected)
        with pytest.raises(ConnectionLost, match="no reconnect within 100 s"):
            await anext(chat)
        assert trio.current_time() == pytest.approx(100)


async def test_patience_s_does_not_cover_sending_the_backlog(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer(buffer_bytes=500)
    async with chatting(nursery, scripted_server=scripted_server, patience_s=10) as (chat, peer):
        peer.reset()
        for _ in range(40):
            nursery.start_soon(chat.say, "lobby", "x" * 4000)
        peer = await scripted_server.accept()
        await peer.greet()
        assert [type(event) for event in await next_events(chat, 2)] == [Disconnected, Reconnected]
        await trio.sleep(30)
        for _ in range(40):
            say = await peer.expect(Say)
            nursery.start_soon(peer.say, Ack(say.ref, "lobby", 1))
        await chat.typing("lobby")
        assert await peer.command() == Typing("lobby")
        assert len(scripted_server.dialled) == 2


async def test_the_client_reconnects_with_its_present_name(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """If the second welcome has another name, the Chat takes that name."""
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        await peer.say(Named("eva"))
        assert await next_events(chat, 1) == [Named("eva")]
        peer.reset()
        peer = await scripted_server.accept()
        hello = await peer.greet()
        assert hello.name == "eva"
        assert [type(event) for event in await next_events(chat, 2)] == [Disconnected, Reconnected]
        peer.reset()
        peer = await scripted_server.accept()
        hello = await peer.expect(Hello)
        peer.push_back(Hello(version=1, name="evelyn", token=hello.token, ref=hello.ref))
        await peer.greet()
        assert (await next_events(chat, 3))[1] == Named("evelyn")
        assert chat.name == chat.welcome.name == "evelyn"


async def test_quit_during_an_outage_ends_at_once(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        scripted_server.refuses = 1_000
        peer.reset()
        outage = await anext(chat)
        await wait_all_tasks_blocked()
        await chat.quit()
        assert [event async for event in chat] == []
        assert isinstance(outage, Disconnected)
        assert trio.current_time() == 0
        await trio.sleep(1_000)
        assert len(scripted_server.dialled) == 1, "the client must not try again"


async def test_leaving_the_block_during_an_outage_waits_for_nothing(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, hangs_up=False) as (_, peer):
        peer.reset()
        await wait_all_tasks_blocked()
    assert trio.current_time() == 0
    assert all(link.is_closed for link in scripted_server.client_links)


async def test_quit_during_the_handshake_leaves_nothing_open(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, hangs_up=False) as (chat, peer):
        peer.reset()
        peer = await scripted_server.accept()
        await peer.greet()  # the welcome has arrived, and is not read yet
        await chat.quit()
        await wait_all_tasks_blocked()
        assert all(link.is_closed for link in scripted_server.client_links)


async def test_a_connection_that_breaks_during_quit_is_not_replaced(nursery: trio.Nursery) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server, hangs_up=False) as (chat, peer):
        async with trio.open_nursery() as quitting:
            quitting.start_soon(chat.quit)
            await wait_all_tasks_blocked()
            peer.reset()
    assert len(scripted_server.dialled) == 1


async def test_with_come_back_false_there_is_only_one_connection(nursery: trio.Nursery) -> None:
    scripted_server = ScriptedServer()
    failed: list[ChatError] = []

    async def server() -> None:
        peer = await scripted_server.accept()
        await peer.greet()
        peer.link.close()

    nursery.start_soon(server)
    async with connect(name="ada", dial=scripted_server.dial, come_back=False) as chat:
        try:
            await anext(chat)
        except ConnectionLost as error:
            failed.append(error)
    assert failed and len(scripted_server.dialled) == 1


async def test_typing_during_an_outage_is_dropped(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    async with chatting(nursery, scripted_server=scripted_server) as (chat, peer):
        peer.reset()
        await anext(chat)
        await chat.typing("lobby")
        peer = await scripted_server.accept()
        await peer.greet()
        await anext(chat)
        with trio.move_on_after(0):
            await chat.say("lobby", "hello")
        assert isinstance(await peer.command(), Say)
        await chat.typing("lobby")
        assert await peer.command() == Typing("lobby")
