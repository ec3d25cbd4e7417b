"""The line client, between a person or a pipe and a server that the test plays."""

import signal

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom
from tests.terminal.client_fixture import ClientFixture, NameCheckingServer, running_client
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


async def test_typed_lines_are_sent_and_events_are_shown(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    hall.add("bob", "is anybody here?")
    async with running_client(nursery, hall.serve) as client:
        client.type("I am", "", "/me waves", "//etc/hosts", "/dance", "/help")
    assert str(client.error) == "1 line was not sent"
    assert client.output.lines[0] == "-- lobby: 2 here"
    assert [line[6:] for line in client.output.lines[1:]] == [
        "bob: is anybody here?",
        "ada: I am",
        "* ada waves",
        "ada: /etc/hosts",
    ]
    assert "-- unknown command: /dance" in client.output.messages
    assert "/join ROOM" in client.output.messages
    assert isinstance(hall.asked[-1], Quit)


async def test_the_end_of_the_input_waits_for_every_ack(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    received: list[Command] = []

    async def slow(peer: ScriptedConnection) -> None:
        await peer.admit()
        for seq in (1, 2, 3):
            say = await peer.expect(Say)
            await trio.sleep(10)
            received.append(say)
            await peer.say(Ack(say.ref, "lobby", seq))
        await peer.part()

    async with running_client(nursery, slow) as client:
        client.type("one", "two", "three")
    assert [say.text for say in received if isinstance(say, Say)] == ["one", "two", "three"]
    assert client.error is None
    assert trio.current_time() >= 30


# --- names ------------------------------------------------------------------------------------------


async def test_at_a_terminal_another_name_is_asked_for(nursery: trio.Nursery) -> None:
    client = ClientFixture(interactive=True)
    server = NameCheckingServer(client.stage, "ada", "eva")
    nursery.start_soon(server.run)
    nursery.start_soon(client.run)
    client.type("eva", " ", "bea ")
    await client.end_input()
    assert client.error is None
    assert server.names == ["ada", "eva", "bea"]
    assert client.output.messages.startswith(
        "-- ada is taken\nanother name: -- eva is taken\nanother name: another name: -- connected"
    )


async def test_end_of_input_at_the_name_prompt_shows_the_refusal(
    nursery: trio.Nursery,
) -> None:
    client = ClientFixture(interactive=True)
    nursery.start_soon(NameCheckingServer(client.stage, "ada").run)
    nursery.start_soon(client.run)
    await client.end_input()
    assert isinstance(client.error, Refused)
    assert str(client.error) == "ada is taken"


@pytest.mark.parametrize("has_input", [True, False])
@pytest.mark.parametrize(("refused", "why"), [("taken", "ada is taken"), ("bad", "a name has no spaces")])
async def test_a_name_that_is_refused_in_a_pipe_is_an_error(
    nursery: trio.Nursery, refused: str, why: str, has_input: bool
) -> None:
    client = ClientFixture(has_input=has_input)
    server = NameCheckingServer(
        client.stage, *(["ada"] if refused == "taken" else []), bad="ada" if refused == "bad" else ""
    )
    nursery.start_soon(server.run)
    nursery.start_soon(client.run, "lobby")
    client.type("a line that must not be taken for a name")
    await client.ended.wait()
    assert isinstance(client.error, Refused)
    assert str(client.error) == f"{why}; choose another: trio-chat join NAME@127.0.0.1:5555"
    assert client.error.exit_status == 1
    assert server.names == ["ada"]


async def test_a_refused_room_ends_the_client(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.say(Error("bad_room", "a room has no spaces", ref=(await peer.expect(Join)).ref))
        await peer.part()

    async with running_client(nursery, server, "the lobby") as client:
        await client.ended.wait()
    assert isinstance(client.error, Refused)


# --- the end ----------------------------------------------------------------------------------------


async def test_a_kicked_client_ends_and_shows_unsent_lines(
    nursery: trio.Nursery,
) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.expect(Say)
        await peer.say(KICKED)

    async with running_client(nursery, server, interactive=True) as client:
        client.type("one", "two", "three")
        await client.ended.wait()
    assert isinstance(client.error, ConnectionLost)
    assert client.output.messages.partition("\n")[2].lstrip() == "".join(
        f"-- may not have been sent: {line}\n" for line in ("one", "two", "three")
    )


async def test_a_pipe_shows_unsent_lines_in_one_line(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.expect(Say)
        await peer.say(KICKED)

    async with running_client(nursery, server) as client:
        client.type(*(f"line {n}" for n in range(100)))
        await client.ended.wait()
    assert isinstance(client.error, ConnectionLost)
    assert client.output.messages == "-- may not have been sent: 100 lines, the first of them: line 0\n"


async def test_a_client_kicked_without_unsent_lines_shows_nothing(
    nursery: trio.Nursery,
) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.say(KICKED)

    async with running_client(nursery, server) as client:
        await client.ended.wait()
    assert isinstance(client.error, ConnectionLost)
    assert client.output.messages == "", "the command says it"


async def test_a_missing_bye_does_not_delay_the_end(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await trio.sleep_forever()

    async with running_client(nursery, server) as client:
        await wait_all_tasks_blocked()
    assert client.error is None
    assert trio.current_time() == pytest.approx(5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_quits_and_shows_unsent_lines(nursery: trio.Nursery, number: signal.Signals) -> None:
    received: list[Command | None] = []

    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        received.append(await peer.expect(Say))
        received.append(await peer.expect(Quit))
        await peer.say(Bye("quit", "goodbye", reconnect=False))

    async with running_client(nursery, server, interactive=True) as client:
        client.type("one", "two")
        await wait_all_tasks_blocked()
        signal.raise_signal(number)
        await client.ended.wait()
    assert client.error is None
    assert len(received) == 2
    assert client.output.messages.endswith("-- may not have been sent: one\n-- may not have been sent: two\n")


async def test_a_second_signal_ends_the_client_at_once(nursery: trio.Nursery) -> None:
    async def server(peer: ScriptedConnection) -> None:
        await peer.admit()
        await peer.expect(Quit)
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    async with running_client(nursery, server) as client:
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)
        with trio.fail_after(4):
            await client.ended.wait()
    assert client.error is None
    (link,) = client.stage.client_links
    assert link.is_closed


async def test_a_signal_while_connecting_ends_the_client_at_once(nursery: trio.Nursery) -> None:
    client = ClientFixture(interactive=True)
    nursery.start_soon(client.run)
    await client.stage.accept()
    await wait_all_tasks_blocked()
    signal.raise_signal(signal.SIGINT)
    await client.ended.wait()
    assert client.error is None


async def test_a_signal_that_is_ignored_stays_ignored(
    nursery: trio.Nursery,
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with running_client(nursery, ScriptedRoom().serve) as client:
            await wait_all_tasks_blocked()
            signal.raise_signal(signal.SIGHUP)
            await wait_all_tasks_blocked()
            assert not client.ended.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_closed_terminal_counts_as_one_interrupt(
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

    async with running_client(nursery, server) as client:
        await wait_all_tasks_blocked()
    assert goodbye == [pytest.approx(1)]
    assert client.error is None
