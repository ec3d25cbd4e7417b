"""The command runner executes lines in order, retries them, and shows those that failed."""

from inspect import signature

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom, said
from tests.terminal.client_fixture import running_client
from trio_chat.terminal.line_client import LineClient
from trio_chat.wire.messages import (
    Ack,
    Bye,
    Command,
    Error,
    Leave,
    Named,
    Quit,
    Rename,
    RoomListing,
    Rooms,
    RoomsPage,
    Say,
    Topic,
    Whisper,
    Whispered,
)


@pytest.mark.parametrize("code", ["rate_limited", "unavailable"])
async def test_temporary_refusals_are_retried_with_the_same_ref_and_in_order(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, code: str
) -> None:
    received: list[Say] = []

    async def strict(peer: ScriptedConnection) -> None:
        await peer.admit()
        for n in range(1, 201):
            for _ in range(1 + n % 2):
                received.append(await peer.expect(Say))
                await peer.say(Error(code, "slowly", retry_after_s=2, ref=received[-1].ref))
            received.append(await peer.expect(Say))
            await peer.say(Ack(received[-1].ref, "lobby", n))
        await peer.part()

    async with running_client(nursery, strict) as client:
        client.type(*(f"line {n}" for n in range(1, 201)))
    assert list(dict.fromkeys(say.text for say in received)) == [f"line {n}" for n in range(1, 201)]
    assert len({(say.ref, say.text) for say in received}) == len({say.ref for say in received}) == 200
    assert trio.current_time() == pytest.approx(2 * 300)
    assert client.output.messages.count("slowly") == 1, "it is announced once"


async def test_a_line_longer_than_a_text_is_split(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with running_client(nursery, hall.serve) as client:
        client.type("€" * 3000)
    texts = [entry.text for entry in hall.entries]
    assert texts == ["€" * 1365, "€" * 1365, "€" * 270]


async def test_a_refused_line_is_shown_and_the_next_is_sent(
    nursery: trio.Nursery,
) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.say(Error("bad_message", "no\x1b[2J", ref=(await peer.expect(Say)).ref))
        await peer.say(Ack((await peer.expect(Say)).ref, "lobby", 1))
        await peer.part()

    async with running_client(nursery, server) as client:
        client.type("with a bell \a", "without")
    assert client.output.messages == "-- no?[2J; not done: with a bell ^G\n"


async def test_the_last_joined_room_is_current_and_others_are_marked(
    nursery: trio.Nursery,
) -> None:
    says: list[Say] = []

    async def server(peer: ScriptedConnection) -> None:
        await peer.admit(room="Lobby")
        await peer.admit()
        await peer.say(said(1, "Lobby", text="psst"), said(1, "garden", text="hm"))
        while not isinstance(command := await peer.command(), Quit):
            match command:
                case Say():
                    says.append(command)
                    await peer.say(Ack(command.ref, command.room, len(says)))
                case Leave():
                    await peer.say(Ack(command.ref, command.room))
                case _:
                    pytest.fail(f"not asked for: {command}")
        await peer.say(Bye("quit", "goodbye", reconnect=False))

    async with running_client(nursery, server, "lobby", "garden") as client:
        await wait_all_tasks_blocked()
        client.type(
            "a", "/join lobby", "b", "/leave", "c", "/leave garden", "d", "/leave", "/who", "/topic x"
        )
    assert [(say.room, say.text) for say in says] == [("garden", "a"), ("Lobby", "b"), ("garden", "c")]
    assert [line[-4:] for line in client.output.lines] == ["here", "here", "psst", ": hm"]
    assert client.output.lines[2].startswith("[Lobby] ")
    assert client.output.messages.count("you are in no room (/join ROOM); not done: ") == 4
    assert "not done: d\n" in client.output.messages


async def test_the_other_commands(nursery: trio.Nursery) -> None:
    received: list[Command] = []

    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        for answer in (
            lambda ref: RoomsPage([RoomListing("pond", 1, "ducks")], more=False, ref=ref),
            lambda ref: Ack(ref),
            lambda ref: Named("eva", ref),
            lambda ref: Ack(ref, "lobby", 1),
        ):
            command = await peer.command()
            assert command is not None
            received.append(command)
            await peer.say(answer(command.ref))
        await peer.say(Whispered("ada", "bob", "are you there?", 0))
        quitting = await peer.expect(Quit)
        assert quitting.reason == "supper"
        await peer.say(Bye("quit", "goodbye", reconnect=False))

    async with running_client(nursery, server) as client:
        client.type(
            "/rooms", "/msg bob are you there?", "/nick eva", "/topic geese", "/quit supper", "unread"
        )
        await client.ended.wait()
    match received:
        case [Rooms(), Whisper("bob", "are you there?"), Rename("eva"), Topic("lobby", "geese")]:
            pass
        case _:
            pytest.fail(f"not what was typed: {received}")
    assert "-- pond: 1 here, about: ducks" in client.output.lines
    assert "-- you are eva now" in client.output.messages
    assert client.output.messages.endswith("may not have been sent: 1 line: unread\n")


def test_the_client_does_not_pace() -> None:
    """The command runner retries refused commands itself, and shows why a line waits."""
    connect = signature(LineClient).parameters["connect"].default
    assert connect.keywords == {"pace": False}
