"""Each method sends one command and returns its answer, or reads all pages of a list."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.client.scripted import ScriptedConnection, chatting, said
from trio_chat.client import Chat
from trio_chat.errors import ProtocolError
from trio_chat.wire.messages import (
    UNSET,
    Ack,
    Command,
    Event,
    Found,
    History,
    HistoryPage,
    Join,
    Leave,
    Members,
    Named,
    Pong,
    Quit,
    Rename,
    Room,
    RoomListing,
    Rooms,
    RoomsPage,
    Say,
    Search,
    Topic,
    Typing,
    Whisper,
    Who,
)

ROOM = Room(room="lobby", epoch="e", resumed=False, first=1, head=7, members=2, topic="", ref="r.2")
GARDEN = RoomListing("garden", 2, "")
POND = RoomListing("pond", 1, "ducks")

Call = Callable[[Chat], Awaitable[object]]


async def asked(nursery: trio.Nursery, call: Call, *answers: Event) -> tuple[object, list[Command | None]]:
    """Return the result of a call, and the commands that a server with these answers receives."""
    commands: list[Command | None] = []

    async def server(peer: ScriptedConnection) -> None:
        for answer in answers:
            commands.append(await peer.command())
            await peer.say(answer)

    async with chatting(nursery) as (chat, peer):
        nursery.start_soon(server, peer)
        result = await call(chat)
    return result, commands


@pytest.mark.parametrize(
    ("call", "command", "answer", "result"),
    [
        (lambda chat: chat.join("lobby"), Join("lobby", ref="r.2"), ROOM, ROOM),
        (lambda chat: chat.join("lobby", recent=0), Join("lobby", 0, UNSET, "", "r.2"), ROOM, ROOM),
        (
            lambda chat: chat.join("lobby", after=0, epoch="e"),
            Join("lobby", UNSET, 0, "e", "r.2"),
            ROOM,
            ROOM,
        ),
        (lambda chat: chat.leave("lobby"), Leave("lobby", "r.2"), Ack("r.2"), None),
        (lambda chat: chat.say("lobby", "hi"), Say("lobby", "hi", ref="r.2"), Ack("r.2", "lobby", 8), 8),
        (
            lambda chat: chat.say("lobby", "waves", action=True, ref="mine"),
            Say("lobby", "waves", True, "mine"),
            Ack("mine", "lobby", 0),
            0,
        ),
        (lambda chat: chat.topic("lobby", "ducks"), Topic("lobby", "ducks", "r.2"), Ack("r.2", "", 9), 9),
        (lambda chat: chat.whisper("bob", "hi"), Whisper("bob", "hi", "r.2"), Ack("r.2"), None),
        (lambda chat: chat.rename("Eva"), Rename("Eva", "r.2"), Named("Eva", "r.2"), "Eva"),
        (
            lambda chat: chat.history("lobby", before=0, limit=3),
            History("lobby", 0, UNSET, 3, "r.2"),
            HistoryPage("lobby", [said(1)], more=False, ref="r.2"),
            HistoryPage("lobby", [said(1)], more=False, ref="r.2"),
        ),
        (
            lambda chat: chat.history("lobby", after=0),
            History("lobby", UNSET, 0, 200, "r.2"),
            HistoryPage("lobby", [], more=False, ref="r.2"),
            HistoryPage("lobby", [], more=False, ref="r.2"),
        ),
        (
            lambda chat: chat.search("ducks", room="pond", before=8, limit=5),
            Search("ducks", "pond", 8, 5, "r.2"),
            Found([said(3)], more=False, ref="r.2"),
            Found([said(3)], more=False, ref="r.2"),
        ),
    ],
)
async def test_a_method_is_a_command_and_its_answer(
    nursery: trio.Nursery, call: Call, command: Command, answer: Event, result: object
) -> None:
    assert await asked(nursery, call, answer) == (result, [command])


async def test_who_requests_all_pages(nursery: trio.Nursery) -> None:
    result, commands = await asked(
        nursery,
        lambda chat: chat.who("lobby"),
        Members("lobby", ["ada", "bob"], 3, more=True, ref="r.2"),
        Members("lobby", ["eve"], 3, more=False, ref="r.3"),
    )
    assert result == ["ada", "bob", "eve"]
    assert commands == [Who("lobby", ref="r.2"), Who("lobby", "bob", "r.3")]


async def test_rooms_requests_all_pages(nursery: trio.Nursery) -> None:
    result, commands = await asked(
        nursery,
        lambda chat: chat.rooms(),
        RoomsPage([GARDEN], more=True, ref="r.2"),
        RoomsPage([POND], more=False, ref="r.3"),
    )
    assert result == [GARDEN, POND]
    assert commands == [Rooms(ref="r.2"), Rooms("garden", "r.3")]


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda chat: chat.who("lobby"), Members("lobby", [], 9, more=True, ref="r.2")),
        (lambda chat: chat.rooms(), RoomsPage([], more=True, ref="r.2")),
    ],
    ids=["who", "rooms"],
)
async def test_an_empty_page_is_the_last_even_with_more_set(
    nursery: trio.Nursery, call: Call, answer: Event
) -> None:
    assert (await asked(nursery, call, answer))[0] == []


async def test_ping_returns_the_round_trip_time(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async def server(peer: ScriptedConnection) -> None:
        command = await peer.command()
        assert command is not None
        await trio.sleep(0.25)
        await peer.say(Pong(ref=command.ref))

    async with chatting(nursery) as (chat, peer):
        nursery.start_soon(server, peer)
        assert await chat.ping() == pytest.approx(0.25)


async def test_typing_is_sent_and_not_answered(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        await chat.typing("lobby")
        assert await peer.command() == Typing("lobby")


async def test_a_quit_sends_its_reason(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        with trio.move_on_after(0):
            await chat.quit("supper")
        assert await peer.command() == Quit("supper", "r.2")


async def test_an_ack_without_a_number_is_a_protocol_error(nursery: trio.Nursery) -> None:
    with pytest.raises(ProtocolError, match="an ack without a number"):
        await asked(nursery, lambda chat: chat.say("lobby", "hi"), Ack("r.2"))


async def test_leaving_a_loop_loses_no_event(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        await peer.say(*(said(seq) for seq in range(1, 6)))
        async for event in chat:
            assert event == said(1)
            break
        assert await anext(aiter(chat)) == said(2)
        async for events in chat.batches():
            assert events == [said(3), said(4), said(5)]
            break
