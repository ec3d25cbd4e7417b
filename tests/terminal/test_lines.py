"""The line client, between a person or a pipe and a server that the test plays."""

import signal

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom
from tests.terminal.desk import Desk, Door, at_desk
from trio_chat.errors import ConnectionLost, Refused
from trio_chat.wire.messages import (
    Ack,
    Bye,
    Command,
    Error,
    Join,
    Quit,
    Say,
)

KICKED = Bye("kicked", "enough", reconnect=False)

# --- chatting ---------------------------------------------------------------------------------------


async def test_what_is_typed_is_said_and_what_is_said_is_shown(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    hall.add("bob", "is anybody here?")
    async with at_desk(nursery, hall.serve) as desk:
        desk.type("I am", "", "/me waves", "//etc/hosts", "/dance", "/help")
    assert str(desk.failed) == "1 line was not said"
    assert desk.screen.lines[0] == "-- lobby: 2 here"
    assert [line[6:] for line in desk.screen.lines[1:]] == [
        "bob: is anybody here?",
        "ada: I am",
        "* ada waves",
        "ada: /etc/hosts",
    ]
    assert "-- no such command: /dance" in desk.screen.talked
    assert "/join ROOM" in desk.screen.talked
    assert isinstance(hall.asked[-1], Quit)


async def test_the_end_of_the_input_waits_for_every_ack(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    heard: list[Command] = []

    async def slow(peer: ScriptedConnection) -> None:
        await peer.admit()
        for seq in (1, 2, 3):
            say = await peer.expect(Say)
            await trio.sleep(10)
            heard.append(say)
            await peer.say(Ack(say.ref, "lobby", seq))
        await peer.part()

    async with at_desk(nursery, slow) as desk:
        desk.type("one", "two", "three")
    assert [say.text for say in heard if isinstance(say, Say)] == ["one", "two", "three"]
    assert desk.failed is None
    assert trio.current_time() >= 30


# --- names ------------------------------------------------------------------------------------------


async def test_at_a_terminal_another_name_is_asked_for(nursery: trio.Nursery) -> None:
    desk = Desk(interactive=True)
    door = Door(desk.stage, "ada", "eva")
    nursery.start_soon(door.keep)
    nursery.start_soon(desk.run)
    desk.type("eva", " ", "bea ")
    await desk.leave()
    assert desk.failed is None
    assert door.names == ["ada", "eva", "bea"]
    assert desk.screen.talked.startswith(
        "-- ada is taken\nanother name: -- eva is taken\nanother name: another name: -- connected"
    )


async def test_whoever_gives_no_other_name_is_told_why_the_first_would_not_do(
    nursery: trio.Nursery,
) -> None:
    desk = Desk(interactive=True)
    nursery.start_soon(Door(desk.stage, "ada").keep)
    nursery.start_soon(desk.run)
    await desk.leave()
    assert isinstance(desk.failed, Refused)
    assert str(desk.failed) == "ada is taken"


@pytest.mark.parametrize("has_input", [True, False])
@pytest.mark.parametrize(("refused", "why"), [("taken", "ada is taken"), ("bad", "a name has no spaces")])
async def test_a_name_that_is_refused_in_a_pipe_is_an_error(
    nursery: trio.Nursery, refused: str, why: str, has_input: bool
) -> None:
    desk = Desk(has_input=has_input)
    door = Door(desk.stage, *(["ada"] if refused == "taken" else []), bad="ada" if refused == "bad" else "")
    nursery.start_soon(door.keep)
    nursery.start_soon(desk.run, "lobby")
    desk.type("a line that must not be taken for a name")
    await desk.left.wait()
    assert isinstance(desk.failed, Refused)
    assert str(desk.failed) == f"{why}; choose another: trio-chat join NAME@127.0.0.1:5555"
    assert desk.failed.exit_status == 1
    assert door.names == ["ada"]


async def test_a_room_that_will_not_do_ends_it(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.say(Error("bad_room", "a room has no spaces", ref=(await peer.expect(Join)).ref))
        await peer.part()

    async with at_desk(nursery, server, "the lobby") as desk:
        await desk.left.wait()
    assert isinstance(desk.failed, Refused)


# --- the end ----------------------------------------------------------------------------------------


async def test_a_server_that_will_not_have_us_ends_it_and_what_was_typed_is_shown(
    nursery: trio.Nursery,
) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.expect(Say)
        await peer.say(KICKED)

    async with at_desk(nursery, server, interactive=True) as desk:
        desk.type("one", "two", "three")
        await desk.left.wait()
    assert isinstance(desk.failed, ConnectionLost)
    assert desk.screen.talked.partition("\n")[2].lstrip() == "".join(
        f"-- perhaps not said: {line}\n" for line in ("one", "two", "three")
    )


async def test_a_pipe_is_told_in_one_line_what_was_not_said(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.expect(Say)
        await peer.say(KICKED)

    async with at_desk(nursery, server) as desk:
        desk.type(*(f"line {n}" for n in range(100)))
        await desk.left.wait()
    assert isinstance(desk.failed, ConnectionLost)
    assert desk.screen.talked == "-- perhaps not said: 100 lines, the first of them: line 0\n"


async def test_a_server_that_ends_it_while_nothing_is_typed_is_left_without_a_word(
    nursery: trio.Nursery,
) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.say(KICKED)

    async with at_desk(nursery, server) as desk:
        await desk.left.wait()
    assert isinstance(desk.failed, ConnectionLost)
    assert desk.screen.talked == "", "the command says it"


async def test_a_server_that_does_not_say_goodbye_is_left_all_the_same(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await trio.sleep_forever()

    async with at_desk(nursery, server) as desk:
        await wait_all_tasks_blocked()
    assert desk.failed is None
    assert trio.current_time() == pytest.approx(5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_says_goodbye_and_shows_what_was_not_said(
    nursery: trio.Nursery, number: signal.Signals
) -> None:
    heard: list[Command | None] = []

    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        heard.append(await peer.expect(Say))
        heard.append(await peer.expect(Quit))
        await peer.say(Bye("quit", "goodbye", reconnect=False))

    async with at_desk(nursery, server, interactive=True) as desk:
        desk.type("one", "two")
        await wait_all_tasks_blocked()
        signal.raise_signal(number)
        await desk.left.wait()
    assert desk.failed is None
    assert len(heard) == 2
    assert desk.screen.talked.endswith("-- perhaps not said: one\n-- perhaps not said: two\n")


async def test_a_second_signal_waits_for_nothing(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.expect(Quit)
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    async with at_desk(nursery, server) as desk:
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)
        with trio.fail_after(4):
            await desk.left.wait()
    assert desk.failed is None
    (link,) = desk.stage.client_links
    assert link.is_closed


async def test_a_signal_before_there_is_a_chat_waits_for_nothing(nursery: trio.Nursery) -> None:
    desk = Desk(interactive=True)
    nursery.start_soon(desk.run)
    await desk.stage.accept()
    await wait_all_tasks_blocked()
    signal.raise_signal(signal.SIGINT)
    await desk.left.wait()
    assert desk.failed is None


async def test_a_signal_that_is_ignored_stays_ignored(
    nursery: trio.Nursery,
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with at_desk(nursery, ScriptedRoom().serve) as desk:
            await wait_all_tasks_blocked()
            signal.raise_signal(signal.SIGHUP)
            await wait_all_tasks_blocked()
            assert not desk.left.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_terminal_that_goes_away_and_says_so_is_one_interruption(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """The input ends and SIGHUP comes, in whatever order: there is still a goodbye."""
    goodbye: list[float] = []

    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.expect(Quit)
        signal.raise_signal(signal.SIGHUP)
        await trio.sleep(1)
        await peer.say(Bye("quit", "goodbye", reconnect=False))
        goodbye.append(trio.current_time())

    async with at_desk(nursery, server) as desk:
        await wait_all_tasks_blocked()
    assert goodbye == [pytest.approx(1)]
    assert desk.failed is None
