"""The line client in a pipe: every line is sent literally, or the exit status says that a line was not."""

import signal

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom
from tests.terminal.client_fixture import ClientFixture, running_client
from tests.terminal.test_outage import RestartableServer, running_with
from trio_chat.errors import ChatError, ConnectionLost
from trio_chat.wire.messages import Ack, Bye, Error, Quit, Say

REFUSED = Error("bad_message", "no such text")


async def test_each_line_is_sent_literally(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    lines = ["/quit", "/nick eva", "//etc", "/", "/me waves", " indented ", "a\tb", "\u202eright to left"]
    async with running_client(nursery, hall.serve, has_commands=False) as client:
        client.type(*lines)
    assert client.error is None
    assert [(entry.text, entry.action) for entry in hall.entries] == [(line, False) for line in lines]


async def test_escape_sequences_are_removed_and_other_controls_shown(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with running_client(nursery, hall.serve, has_commands=False) as client:
        client.type("\x1b[31mred\x1b[0m", "50%\r100%", "nul \x00, bell \x07")
    assert client.error is None
    assert [entry.text for entry in hall.entries] == ["red", "50%100%", "nul \u2400, bell \u2407"]


async def test_blank_lines_are_left_out(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with running_client(nursery, hall.serve, has_commands=False) as client:
        client.type("", " \t", "\x1b[0m", "\r", "one")
    assert client.error is None
    assert [entry.text for entry in hall.entries] == ["one"]


async def test_a_long_line_is_sent_in_pieces(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with running_client(nursery, hall.serve, has_commands=False) as client:
        client.type("/" + "€" * 3000)
    assert client.error is None
    assert "".join(entry.text for entry in hall.entries) == "/" + "€" * 3000


async def test_thousands_of_lines_are_sent_in_order(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    lines = [f"line {n}" for n in range(10_000)]
    async with running_client(nursery, hall.serve, has_commands=False) as client:
        for line in lines:
            await client.input.typed.send(line)
    assert client.error is None
    assert [entry.text for entry in hall.entries] == lines


async def test_commands_need_an_option(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with running_client(nursery, hall.serve, has_commands=True) as client:
        client.type("\x1b[1m/me waves", "//etc", "/quit enough")
        await client.ended.wait()
    assert client.error is None
    assert [(entry.text, entry.action) for entry in hall.entries] == [("waves", True), ("/etc", False)]
    (quitting,) = [command for command in hall.asked if isinstance(command, Quit)]
    assert quitting.reason == "enough"


# --- lines that are not sent ------------------------------------------------------------------------


@pytest.mark.parametrize(("refusals", "says"), [(1, "1 line was not sent"), (2, "2 lines were not sent")])
async def test_a_refused_line_is_a_failure_and_later_lines_are_sent(
    nursery: trio.Nursery, refusals: int, says: str
) -> None:
    received: list[str] = []

    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        for number in range(3):
            say = await peer.expect(Say)
            received.append(say.text)
            if number < refusals:
                await peer.say(Error("bad_message", "no such text", ref=say.ref))
            else:
                await peer.say(Ack(say.ref, "lobby", number))
        await peer.part()

    async with running_client(nursery, server, has_commands=False) as client:
        client.type("one", "two", "three")
    assert received == ["one", "two", "three"]
    assert type(client.error) is ChatError
    assert (str(client.error), client.error.exit_status) == (says, 1)
    assert client.output.messages.startswith("-- no such text; not done: one\n")


@pytest.mark.parametrize("has_commands", [False, True])
async def test_lines_left_by_a_signal_are_a_failure(nursery: trio.Nursery, has_commands: bool) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.expect(Say)
        await peer.part()

    async with running_client(nursery, server, has_commands=has_commands) as client:
        client.type("one", "/quit", "")
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGTERM)
        await client.ended.wait()
    count = "1 line" if has_commands else "2 lines, the first of them"
    assert client.output.messages == f"-- may not have been sent: {count}: one\n"
    assert str(client.error) == ("1 line was not sent" if has_commands else "2 lines were not sent")


async def test_two_signals_at_once_do_not_hide_unsent_lines(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        while await peer.command() is not None:
            pass

    async with running_client(nursery, server, has_commands=False) as client:
        client.type("one")
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        await client.ended.wait()
    assert str(client.error) == "1 line was not sent"


async def test_a_signal_after_all_lines_were_sent_is_no_failure(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with running_client(nursery, hall.serve, has_commands=False) as client:
        client.type("one")
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)
        await client.ended.wait()
    assert client.error is None
    assert [entry.text for entry in hall.entries] == ["one"]


@pytest.mark.parametrize("is_welcome", [False, True])
async def test_a_signal_before_the_input_is_read_is_a_failure(
    nursery: trio.Nursery, is_welcome: bool
) -> None:
    client = ClientFixture(has_commands=False)
    client.type("one")
    nursery.start_soon(client.run, "lobby")
    peer = await client.stage.accept()
    if is_welcome:
        await peer.greet()
    await wait_all_tasks_blocked()
    signal.raise_signal(signal.SIGTERM)
    if is_welcome:
        await peer.command()
        await peer.part()
    await client.ended.wait()
    assert str(client.error) == "interrupted before any line was sent; standard input was not read"


# --- an outage --------------------------------------------------------------------------------------


async def test_a_pipe_reports_waiting_lines_once_per_outage(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = RestartableServer()
    async with running_with(nursery, server, interactive=False) as client:
        server.stop()
        await trio.sleep(1)
        assert client.output.messages == "", "no line is waiting yet"
        client.type("one", "two")
        client.input.typed.close()
        await trio.sleep(100)
        assert client.output.messages == "-- connection lost: 2 lines waiting for up to 300 s\n"
        server.is_running.set()
    assert client.error is None
    assert [entry.text for entry in server.entries] == ["one", "two"]


async def test_a_pipe_with_an_unacked_line_reports_it_in_each_outage(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = RestartableServer()
    async with running_with(nursery, server, interactive=False) as client:
        for line in ("one", "two"):
            server.breaks = True
            client.type(line)
            await trio.sleep(60)
    said = "-- connection lost: 1 line or more waiting for up to 300 s\n"
    assert client.output.messages == said * 2
    assert client.error is None


async def test_a_reconnect_not_shown_yet_is_no_second_outage(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = RestartableServer()
    async with running_with(nursery, server, interactive=False) as client:
        server.breaks = True
        client.type("one", "two")
        await wait_all_tasks_blocked()
        assert client.output.messages.count("connection lost") == 1
        client.output.blocked = trio.Event()
        await trio.sleep(60)
        assert [entry.text for entry in server.entries] == ["one", "two"]
        client.output.blocked.set()
    assert client.error is None
    assert client.output.messages.count("connection lost") == 1


async def test_a_terminal_does_not_report_waiting_lines(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = RestartableServer()
    async with running_with(nursery, server, interactive=True) as client:
        server.breaks = True
        client.type("one")
        await trio.sleep(60)
    assert "connection lost" not in client.output.messages


# --- without an input -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_without_input_the_room_is_shown_until_a_signal(
    nursery: trio.Nursery, autojump_clock: MockClock, number: signal.Signals
) -> None:
    hall = ScriptedRoom()
    async with running_client(nursery, hall.serve, has_input=False) as client:
        client.type("a line that nothing reads")
        client.input.typed.close()
        await trio.sleep(10_000)
        hall.show(hall.add("bob", "still here?"))
        await trio.sleep(1)
        assert not client.ended.is_set()
        signal.raise_signal(number)
        await client.ended.wait()
    assert client.error is None
    assert client.output.messages == "-- no input to read; showing the rooms until a signal\n"
    assert client.output.lines[-1].endswith("bob: still here?")
    assert [entry.by for entry in hall.entries] == ["bob"]
    assert isinstance(hall.asked[-1], Quit)


async def test_a_client_without_input_waits_for_the_server_without_limit(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = RestartableServer()
    async with running_with(nursery, server, has_input=False) as client:
        server.stop()
        await trio.sleep(80_000)
        assert not client.ended.is_set()
        server.is_running.set()
        await trio.sleep(100)
        server.show(server.add("bob", "back again"))
        await trio.sleep(1)
        signal.raise_signal(signal.SIGTERM)
        await client.ended.wait()
    assert client.error is None
    assert client.output.lines[-1].endswith("bob: back again")


async def test_a_kicked_client_without_input_ends_with_the_reason(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.say(Bye("kicked", "enough", reconnect=False))

    async with running_client(nursery, server, has_input=False) as client:
        await client.ended.wait()
    assert isinstance(client.error, ConnectionLost)
