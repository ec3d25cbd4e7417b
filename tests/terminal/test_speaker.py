"""What is typed is done: in order, insisted on, and shown where it could not be."""

from inspect import signature

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom, said
from tests.terminal.desk import at_desk
from trio_chat.terminal.lines import LineClient
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
async def test_what_will_not_be_taken_now_is_said_again_with_its_ref_and_in_order(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, code: str
) -> None:
    heard: list[Say] = []

    async def strict(peer: ScriptedConnection) -> None:
        await peer.admit()
        for n in range(1, 201):
            for _ in range(1 + n % 2):
                heard.append(await peer.expect(Say))
                await peer.say(Error(code, "slowly", retry_after_s=2, ref=heard[-1].ref))
            heard.append(await peer.expect(Say))
            await peer.say(Ack(heard[-1].ref, "lobby", n))
        await peer.part()

    async with at_desk(nursery, strict) as desk:
        desk.type(*(f"line {n}" for n in range(1, 201)))
    assert list(dict.fromkeys(say.text for say in heard)) == [f"line {n}" for n in range(1, 201)]
    assert len({(say.ref, say.text) for say in heard}) == len({say.ref for say in heard}) == 200
    assert trio.current_time() == pytest.approx(2 * 300)
    assert desk.screen.talked.count("slowly") == 1, "once is enough"


async def test_a_line_longer_than_a_text_may_be_is_several(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with at_desk(nursery, hall.serve) as desk:
        desk.type("€" * 3000)
    texts = [entry.text for entry in hall.entries]
    assert texts == ["€" * 1365, "€" * 1365, "€" * 270]


async def test_what_is_refused_is_shown_with_its_text_and_the_next_line_goes_on(
    nursery: trio.Nursery,
) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.say(Error("bad_message", "no\x1b[2J", ref=(await peer.expect(Say)).ref))
        await peer.say(Ack((await peer.expect(Say)).ref, "lobby", 1))
        await peer.part()

    async with at_desk(nursery, server) as desk:
        desk.type("with a bell \a", "without")
    assert desk.screen.talked == "-- no?[2J; not done: with a bell ^G\n"


async def test_the_room_joined_last_is_the_current_one_and_others_are_marked(
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

    async with at_desk(nursery, server, "lobby", "garden") as desk:
        await wait_all_tasks_blocked()
        desk.type("a", "/join lobby", "b", "/leave", "c", "/leave garden", "d", "/leave", "/who", "/topic x")
    assert [(say.room, say.text) for say in says] == [("garden", "a"), ("Lobby", "b"), ("garden", "c")]
    assert [line[-4:] for line in desk.screen.lines] == ["here", "here", "psst", ": hm"]
    assert desk.screen.lines[2].startswith("[Lobby] ")
    assert desk.screen.talked.count("you are in no room (/join ROOM); not done: ") == 4
    assert "not done: d\n" in desk.screen.talked


async def test_the_other_commands(nursery: trio.Nursery) -> None:
    heard: list[Command] = []

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
            heard.append(command)
            await peer.say(answer(command.ref))
        await peer.say(Whispered("ada", "bob", "are you there?", 0))
        quitting = await peer.expect(Quit)
        assert quitting.reason == "supper"
        await peer.say(Bye("quit", "goodbye", reconnect=False))

    async with at_desk(nursery, server) as desk:
        desk.type("/rooms", "/msg bob are you there?", "/nick eva", "/topic geese", "/quit supper", "unread")
        await desk.left.wait()
    match heard:
        case [Rooms(), Whisper("bob", "are you there?"), Rename("eva"), Topic("lobby", "geese")]:
            pass
        case _:
            pytest.fail(f"not what was typed: {heard}")
    assert "-- pond: 1 here, about: ducks" in desk.screen.lines
    assert "-- you are eva now" in desk.screen.talked
    assert desk.screen.talked.endswith("perhaps not said: 1 line: unread\n")


def test_the_terminal_has_refusals_given_back() -> None:
    """The speaker repeats what is refused, and tells people why a line waits."""
    connect = signature(LineClient).parameters["connect"].default
    assert connect.keywords == {"pace": False}
