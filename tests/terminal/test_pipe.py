"""The line client in a pipe: every line is said literally, or the exit status says that one was not."""

import signal

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom
from tests.terminal.desk import Desk, at_desk
from tests.terminal.test_outage import House, at_house
from trio_chat.errors import ChatError, ConnectionLost
from trio_chat.wire.messages import Ack, Bye, Error, Quit, Say

REFUSED = Error("bad_message", "no such text")


async def test_each_line_is_said_literally(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    lines = ["/quit", "/nick eva", "//etc", "/", "/me waves", " indented ", "a\tb", "\u202eright to left"]
    async with at_desk(nursery, hall.serve, has_commands=False) as desk:
        desk.type(*lines)
    assert desk.failed is None
    assert [(entry.text, entry.action) for entry in hall.entries] == [(line, False) for line in lines]


async def test_escape_sequences_are_removed_and_other_controls_shown(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with at_desk(nursery, hall.serve, has_commands=False) as desk:
        desk.type("\x1b[31mred\x1b[0m", "50%\r100%", "nul \x00, bell \x07")
    assert desk.failed is None
    assert [entry.text for entry in hall.entries] == ["red", "50%100%", "nul \u2400, bell \u2407"]


async def test_blank_lines_are_left_out(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with at_desk(nursery, hall.serve, has_commands=False) as desk:
        desk.type("", " \t", "\x1b[0m", "\r", "one")
    assert desk.failed is None
    assert [entry.text for entry in hall.entries] == ["one"]


async def test_a_long_line_is_said_in_pieces(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with at_desk(nursery, hall.serve, has_commands=False) as desk:
        desk.type("/" + "€" * 3000)
    assert desk.failed is None
    assert "".join(entry.text for entry in hall.entries) == "/" + "€" * 3000


async def test_thousands_of_lines_are_said_in_order(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    lines = [f"line {n}" for n in range(10_000)]
    async with at_desk(nursery, hall.serve, has_commands=False) as desk:
        for line in lines:
            await desk.keys.type.send(line)
    assert desk.failed is None
    assert [entry.text for entry in hall.entries] == lines


async def test_commands_are_opted_in_to(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with at_desk(nursery, hall.serve, has_commands=True) as desk:
        desk.type("\x1b[1m/me waves", "//etc", "/quit enough")
        await desk.left.wait()
    assert desk.failed is None
    assert [(entry.text, entry.action) for entry in hall.entries] == [("waves", True), ("/etc", False)]
    (quitting,) = [command for command in hall.asked if isinstance(command, Quit)]
    assert quitting.reason == "enough"


# --- lines that are not said ------------------------------------------------------------------------


@pytest.mark.parametrize(("refusals", "says"), [(1, "1 line was not said"), (2, "2 lines were not said")])
async def test_a_refused_line_is_a_failure_and_the_next_are_said(
    nursery: trio.Nursery, refusals: int, says: str
) -> None:
    heard: list[str] = []

    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        for number in range(3):
            say = await peer.expect(Say)
            heard.append(say.text)
            if number < refusals:
                await peer.say(Error("bad_message", "no such text", ref=say.ref))
            else:
                await peer.say(Ack(say.ref, "lobby", number))
        await peer.part()

    async with at_desk(nursery, server, has_commands=False) as desk:
        desk.type("one", "two", "three")
    assert heard == ["one", "two", "three"]
    assert type(desk.failed) is ChatError
    assert (str(desk.failed), desk.failed.exit_status) == (says, 1)
    assert desk.screen.talked.startswith("-- no such text; not done: one\n")


@pytest.mark.parametrize("has_commands", [False, True])
async def test_lines_that_a_signal_leaves_are_a_failure(nursery: trio.Nursery, has_commands: bool) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.expect(Say)
        await peer.part()

    async with at_desk(nursery, server, has_commands=has_commands) as desk:
        desk.type("one", "/quit", "")
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGTERM)
        await desk.left.wait()
    count = "1 line" if has_commands else "2 lines, the first of them"
    assert desk.screen.talked == f"-- perhaps not said: {count}: one\n"
    assert str(desk.failed) == ("1 line was not said" if has_commands else "2 lines were not said")


async def test_two_signals_at_once_do_not_hide_lines_that_were_not_said(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        while await peer.command() is not None:
            pass

    async with at_desk(nursery, server, has_commands=False) as desk:
        desk.type("one")
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        await desk.left.wait()
    assert str(desk.failed) == "1 line was not said"


async def test_a_signal_while_all_is_said_is_no_failure(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with at_desk(nursery, hall.serve, has_commands=False) as desk:
        desk.type("one")
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)
        await desk.left.wait()
    assert desk.failed is None
    assert [entry.text for entry in hall.entries] == ["one"]


@pytest.mark.parametrize("is_welcome", [False, True])
async def test_a_signal_before_the_input_is_read_is_a_failure(
    nursery: trio.Nursery, is_welcome: bool
) -> None:
    desk = Desk(has_commands=False)
    desk.type("one")
    nursery.start_soon(desk.run, "lobby")
    peer = await desk.stage.accept()
    if is_welcome:
        await peer.greet()
    await wait_all_tasks_blocked()
    signal.raise_signal(signal.SIGTERM)
    if is_welcome:
        await peer.command()
        await peer.part()
    await desk.left.wait()
    assert str(desk.failed) == "interrupted before any line was said: standard input was not read"


# --- an outage --------------------------------------------------------------------------------------


async def test_a_pipe_says_once_in_an_outage_what_it_waits_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = House()
    async with at_house(nursery, house, interactive=False) as desk:
        house.shut()
        await trio.sleep(1)
        assert desk.screen.talked == "", "there is nothing to be said yet"
        desk.type("one", "two")
        desk.keys.type.close()
        await trio.sleep(100)
        assert desk.screen.talked == "-- the server is away: 2 lines to be said waiting for up to 300 s\n"
        house.is_open.set()
    assert desk.failed is None
    assert [entry.text for entry in house.entries] == ["one", "two"]


async def test_a_pipe_with_a_line_under_way_says_so_in_each_outage(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = House()
    async with at_house(nursery, house, interactive=False) as desk:
        for line in ("one", "two"):
            house.breaks = True
            desk.type(line)
            await trio.sleep(60)
    said = "-- the server is away: 1 line or more to be said waiting for up to 300 s\n"
    assert desk.screen.talked == said * 2
    assert desk.failed is None


async def test_a_return_that_is_not_shown_yet_is_no_second_outage(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = House()
    async with at_house(nursery, house, interactive=False) as desk:
        house.breaks = True
        desk.type("one", "two")
        await wait_all_tasks_blocked()
        assert desk.screen.talked.count("the server is away") == 1
        desk.screen.stopped = trio.Event()
        await trio.sleep(60)
        assert [entry.text for entry in house.entries] == ["one", "two"]
        desk.screen.stopped.set()
    assert desk.failed is None
    assert desk.screen.talked.count("the server is away") == 1


async def test_a_terminal_is_not_told_what_it_waits_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = House()
    async with at_house(nursery, house, interactive=True) as desk:
        house.breaks = True
        desk.type("one")
        await trio.sleep(60)
    assert "the server is away" not in desk.screen.talked


# --- without an input -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_without_an_input_the_room_is_followed_until_a_signal(
    nursery: trio.Nursery, autojump_clock: MockClock, number: signal.Signals
) -> None:
    hall = ScriptedRoom()
    async with at_desk(nursery, hall.serve, has_input=False) as desk:
        desk.type("a line that nothing reads")
        desk.keys.type.close()
        await trio.sleep(10_000)
        hall.show(hall.add("bob", "still here?"))
        await trio.sleep(1)
        assert not desk.left.is_set()
        signal.raise_signal(number)
        await desk.left.wait()
    assert desk.failed is None
    assert desk.screen.talked == "-- no input to read; following until a signal\n"
    assert desk.screen.lines[-1].endswith("bob: still here?")
    assert [entry.by for entry in hall.entries] == ["bob"]
    assert isinstance(hall.asked[-1], Quit)


async def test_a_follower_waits_for_a_server_however_long(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = House()
    async with at_house(nursery, house, has_input=False) as desk:
        house.shut()
        await trio.sleep(80_000)
        assert not desk.left.is_set()
        house.is_open.set()
        await trio.sleep(100)
        house.show(house.add("bob", "back again"))
        await trio.sleep(1)
        signal.raise_signal(signal.SIGTERM)
        await desk.left.wait()
    assert desk.failed is None
    assert desk.screen.lines[-1].endswith("bob: back again")


async def test_a_follower_that_is_not_wanted_ends_with_the_reason(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.say(Bye("kicked", "enough", reconnect=False))

    async with at_desk(nursery, server, has_input=False) as desk:
        await desk.left.wait()
    assert isinstance(desk.failed, ConnectionLost)
