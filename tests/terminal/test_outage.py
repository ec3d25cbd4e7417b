"""Outages: lines typed meanwhile are sent afterwards, and /quit does not wait."""

import json
import re
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom
from tests.terminal.client_fixture import ClientFixture
from trio_chat.errors import ConnectionLost
from trio_chat.wire.messages import (
    UNSET,
    Ack,
    Bye,
    Command,
    Error,
    History,
    HistoryPage,
    Join,
    Room,
    Say,
    Whisper,
)


class RestartableServer(ScriptedRoom):
    """A server with one room, which can break connections and stay unreachable for a while.

    `breaks`: executes the next say or whisper, then breaks the connection without a reply. `is_deaf`: replies
    to no say. `refuses`: the error code for a rejoin of the room.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch = "e"
        self.breaks = False
        self.is_deaf = False
        self.refuses = ""
        self.connections = 0
        self.peer: ScriptedConnection | None = None
        self.is_running = trio.Event()
        self.is_running.set()

    async def run(self, client: ClientFixture) -> None:
        while True:
            self.peer = await client.stage.accept()
            await self.is_running.wait()
            await self.peer.greet(features=["search"])
            self.connections += 1
            await self.serve(self.peer)

    def break_connection(self) -> None:
        assert self.peer is not None
        self.peer.reset()

    def stop(self) -> None:
        self.is_running = trio.Event()
        self.break_connection()

    def _answer(self, command: Command) -> None:
        match command:
            case Join(after=int()) if self.refuses:
                self.asked.append(command)
                self.show(Error(self.refuses, "members only", ref=command.ref))
            case Join(after=int(after)) if command.epoch == self.epoch:
                self.asked.append(command)
                self.show(self._room(command, resumed=True))
                for entry in self.entries[after:]:
                    self.show(entry)
            case Join():
                self.asked.append(command)
                self.show(self._room(command, resumed=False))
            case Say() | Whisper() if self.breaks:
                self.breaks = False
                self.asked.append(command)
                if isinstance(command, Say):
                    self._seqs[command.ref] = self.add("ada", command.text).seq
                self.break_connection()
            case Say() if self.is_deaf:
                self.asked.append(command)
            case Say() if self.refuses:
                self.show(Error("not_in_room", "you are not in lobby", ref=command.ref))
            case History(before=int(before)):
                self.asked.append(command)
                self.show(HistoryPage(self.room, [*self.entries[: before - 1]], more=False, ref=command.ref))
            case Whisper():
                self.show(Ack(command.ref))
            case _:
                super()._answer(command)

    def _room(self, join: Join, *, resumed: bool) -> Room:
        return Room(
            room=self.room,
            epoch=self.epoch,
            resumed=resumed,
            first=self.first,
            head=len(self.entries),
            members=2,
            topic="",
            ref=join.ref,
        )


@asynccontextmanager
async def running_with(
    nursery: trio.Nursery,
    server: RestartableServer,
    *,
    interactive: bool = True,
    as_json: bool = False,
    has_input: bool = True,
) -> AsyncGenerator[ClientFixture]:
    client = ClientFixture(interactive=interactive and has_input, as_json=as_json, has_input=has_input)
    nursery.start_soon(server.run, client)
    nursery.start_soon(client.run, "lobby")
    await wait_all_tasks_blocked()
    yield client
    await client.end_input()


# --- waiting for the server------------------------------------------------------------------------------


@pytest.mark.parametrize("interactive", [True, False])
async def test_lines_typed_in_an_outage_are_sent_once_and_in_order_after_it(
    nursery: trio.Nursery, autojump_clock: MockClock, interactive: bool
) -> None:
    """A message that was sent but not acked is sent again with the same ref."""
    server = RestartableServer()
    async with running_with(nursery, server, interactive=interactive) as client:
        server.breaks = True
        client.type("one", "two")
        await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        client.type("three")
    assert client.error is None
    assert server.connections == 2
    assert [entry.text for entry in server.entries] == ["one", "two", "three"]
    shown = [line.partition("ada: ")[2] for line in client.output.lines if "ada: " in line]
    assert shown == ["one", "two", "three"]


async def test_an_outage_and_its_end_are_shown(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server = RestartableServer()
    async with running_with(nursery, server) as client:
        server.stop()
        await trio.sleep(150)
        server.is_running.set()
        await trio.sleep(60)
        client.type("well")
    lost, back = [line for line in client.output.lines if "reconnect" in line]
    assert lost.startswith("-- connection lost")
    assert lost.endswith("; reconnecting")
    assert re.fullmatch("-- reconnected after [0-9]+ min", back)
    assert "-- here: ada, bob (2 here)" in client.output.lines


async def test_an_outage_in_json_is_two_events(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server = RestartableServer()
    async with running_with(nursery, server, as_json=True, interactive=False) as client:
        server.break_connection()
        await trio.sleep(60)
        client.type("well")
    lost, back = [
        event for line in client.output.lines if (event := json.loads(line))["type"] in ("outage", "back")
    ]
    assert (lost["type"], back["type"]) == ("outage", "back")
    assert lost["why"]
    assert back["after_s"] >= 0


async def test_a_room_with_a_new_history_is_shown_and_its_history_is_paged_anew(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = RestartableServer()
    async with running_with(nursery, server) as client:
        client.type("one", "two", "three")
        await trio.sleep(1)
        server.epoch = "another"
        server.entries.clear()
        for n in range(300):
            server.add("bob", f"again {n}")
        server.break_connection()
        await trio.sleep(60)
        client.type("/history")
    assert "-- lobby: 2 here (its earlier history is gone)" in client.output.lines
    (asked,) = [each for each in server.asked if isinstance(each, History) and each.before is not UNSET]
    assert asked.before == 101, "before the newest two hundred entries, which the server replays"
    shown = [line.partition("bob: ")[2] for line in client.output.lines if "bob: " in line]
    assert shown == [f"again {n}" for n in (*range(100, 300), *range(100))]


async def test_an_unacked_whisper_is_shown_and_the_next_line_is_sent(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The client cannot find out whether the whisper arrived, so it does not repeat it."""
    server = RestartableServer()
    async with running_with(nursery, server) as client:
        server.breaks = True
        client.type("/msg bob psst", "aloud")
        await trio.sleep(60)
    assert client.error is None
    assert client.output.messages.endswith("; may not have been sent: /msg bob psst\n")
    assert [command.text for command in server.asked if isinstance(command, Whisper)] == ["psst"]
    assert [entry.text for entry in server.entries] == ["aloud"]


async def test_a_room_whose_rejoin_was_refused_can_be_joined_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = RestartableServer()
    async with running_with(nursery, server) as client:
        server.refuses = "forbidden"
        server.break_connection()
        await trio.sleep(60)
        client.type("hello?")
        await trio.sleep(1)
        server.refuses = ""
        client.type("well", "/join lobby", "hello")
    assert any("members only (forbidden)" in line for line in client.output.lines)
    assert "you are not in lobby; not done: hello?\n" in client.output.messages
    assert "you are in no room (/join ROOM); not done: well\n" in client.output.messages
    assert [entry.text for entry in server.entries] == ["hello"]


async def test_no_command_is_sent_after_the_chat_has_ended(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The blocked output has not shown the end yet; only the current line has failed."""
    server = RestartableServer()
    scrolled = trio.Event()
    async with running_with(nursery, server) as client:
        client.output.blocked = scrolled
        server.show(server.add("bob", "more"))
        await trio.sleep(1)
        server.is_deaf = True
        client.type("one", "two")
        await trio.sleep(1)
        server.show(Bye("kicked", "enough", reconnect=False))
        await trio.sleep(1)
        unsent = "".join(f"-- may not have been sent: {line}\n" for line in ("one", "two"))
        assert client.output.messages.endswith(f"\n{unsent}")
        scrolled.set()
        await client.ended.wait()
    assert isinstance(client.error, ConnectionLost)


# --- quitting ---------------------------------------------------------------------------------------


async def test_quit_does_not_wait_for_lines_in_an_outage(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """The mock clock does not advance, so the client neither reconnects nor waits."""
    server = RestartableServer()
    async with running_with(nursery, server) as client:
        server.stop()
        await wait_all_tasks_blocked()
        client.type("one", "two", "/quit")
        await wait_all_tasks_blocked()
        assert client.ended.is_set()
    assert client.error is None
    assert client.output.messages.endswith("-- may not have been sent: one\n-- may not have been sent: two\n")
    assert "/quit" not in client.output.messages


async def test_quit_typed_before_the_outage_does_not_wait(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    server = RestartableServer()
    server.breaks = True
    async with running_with(nursery, server) as client:
        client.type("one", "/quit")
        await wait_all_tasks_blocked()
        assert client.ended.is_set()
    assert client.error is None
    assert client.output.messages.endswith("-- may not have been sent: one\n")


async def test_quit_after_an_outage_waits_for_earlier_lines(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = RestartableServer()
    async with running_with(nursery, server) as client:
        server.break_connection()
        await trio.sleep(60)
        client.type("one", "two", "/quit")
        await client.ended.wait()
    assert [entry.text for entry in server.entries] == ["one", "two"]


async def test_a_pipe_sends_all_lines_before_quit(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server = RestartableServer()
    async with running_with(nursery, server, interactive=False) as client:
        server.breaks = True
        client.type("one", "two", "/quit")
        await client.ended.wait()
    assert client.error is None
    assert [entry.text for entry in server.entries] == ["one", "two"]


async def test_ctrl_c_in_an_outage_ends_the_client_at_once(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    server = RestartableServer()
    async with running_with(nursery, server) as client:
        server.stop()
        await wait_all_tasks_blocked()
        client.type("one")
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)
        await wait_all_tasks_blocked()
        assert client.ended.is_set()
    assert client.error is None
    assert client.output.messages.endswith("-- may not have been sent: one\n")


async def test_a_pipe_gives_up_after_five_minutes_and_a_terminal_does_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    servers = RestartableServer(), RestartableServer()
    async with (
        running_with(nursery, servers[0], interactive=False) as pipe,
        running_with(nursery, servers[1], interactive=True) as terminal,
    ):
        for server in servers:
            server.stop()
        pipe.type("one", "two")
        terminal.type("one", "two")
        with trio.fail_after(1000):
            await pipe.ended.wait()
        assert trio.current_time() == pytest.approx(300)
        await trio.sleep(80_000)
        assert not terminal.ended.is_set()
        servers[1].is_running.set()
    assert isinstance(pipe.error, ConnectionLost)
    assert pipe.error.exit_status == 3
    assert pipe.output.messages.endswith("-- may not have been sent: 2 lines, the first of them: one\n")
    assert terminal.error is None
    assert [entry.text for entry in servers[1].entries] == ["one", "two"]
