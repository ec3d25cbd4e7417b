"""Another server answers after an outage: lines typed for the first server are not sent to it."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.terminal.client_fixture import ClientFixture
from tests.terminal.test_outage import RestartableServer, running_with
from trio_chat.client.delays import retry_s
from trio_chat.errors import ServerChanged
from trio_chat.wire.messages import Command, Error, Say

PATIENCE_S = 60  # on the mock clock


class ReplacedServer(RestartableServer):
    """Servers that replace each other at one address: each connection reaches the next `server_id`."""

    def __init__(self, *server_ids: str) -> None:
        super().__init__()
        self._server_ids = server_ids
        self.received: list[tuple[str, str]] = []
        self.too_fast = False
        self.server_id = ""

    async def run(self, client: ClientFixture) -> None:
        for server_id in self._server_ids:
            self.server_id = server_id
            self.peer = await client.stage.accept()
            await self.peer.greet(server_id=server_id, kept="forever")
            self.epoch = f"of {self.server_id}"
            await self.serve(self.peer)

    def _answer(self, command: Command) -> None:
        if isinstance(command, Say):
            self.received.append((self.server_id, command.text))
            if self.too_fast:
                self.show(Error("rate_limited", "too fast", retry_after_s=5, ref=command.ref))
                return
        super()._answer(command)


async def wait_all_blocked() -> None:
    await trio.lowlevel.checkpoint()
    await wait_all_tasks_blocked()


async def test_a_pipe_ends_and_sends_nothing_to_another_server(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = ReplacedServer("S", "T")
    async with running_with(nursery, server, interactive=False) as client:
        server.breaks = True
        client.type("one", "two", "three")
        with trio.fail_after(PATIENCE_S):
            await client.ended.wait()
    assert server.received == [("S", "one")]
    assert isinstance(client.error, ServerChanged)
    assert "another server answers at this address now" in str(client.error)
    assert "may not have been sent: 3 lines, the first of them: one" in client.output.messages


async def test_a_rate_limited_line_is_not_sent_to_another_server(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = ReplacedServer("S", "T")
    server.too_fast = True
    async with running_with(nursery, server, interactive=False) as client:
        client.type("one", "two")
        await wait_all_blocked()
        server.too_fast = False
        server.break_connection()
        await trio.sleep(2 * retry_s(5))
        with trio.fail_after(PATIENCE_S):
            await client.ended.wait()
    assert server.received == [("S", "one")]
    assert isinstance(client.error, ServerChanged)


async def test_the_rest_of_a_long_line_is_not_sent_to_another_server(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = ReplacedServer("S", "T")
    async with running_with(nursery, server, interactive=False) as client:
        server.breaks = True
        client.type("x" * 10_000)
        with trio.fail_after(PATIENCE_S):
            await client.ended.wait()
    assert [server_id for server_id, _ in server.received] == ["S"]
    assert isinstance(client.error, ServerChanged)


async def test_a_terminal_shows_unsent_lines_and_continues(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = ReplacedServer("S", "T")
    async with running_with(nursery, server) as client:
        server.breaks = True
        client.type("one", "two")
        await wait_all_blocked()
        client.type("three")
        await trio.sleep(30)
        client.type("for the new one")
        await wait_all_blocked()
    assert client.error is None
    assert server.received == [("S", "one"), ("T", "for the new one")]
    assert "another server answers at this address now" in client.output.messages
    for line in ("one", "two", "three"):
        assert f"may not have been sent: {line}\n" in client.output.messages


async def test_an_idle_terminal_shows_that_the_server_changed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = ReplacedServer("S", "T")
    async with running_with(nursery, server) as client:
        client.type("one")
        await wait_all_blocked()
        server.break_connection()
        await trio.sleep(30)
        assert "another server answers at this address now" in client.output.messages
        client.type("two")
        await wait_all_blocked()
    assert server.received == [("S", "one"), ("T", "two")]
    assert "not said" not in client.output.messages


@pytest.mark.parametrize("interactive", [True, False])
async def test_lines_wait_for_the_same_server(
    nursery: trio.Nursery, autojump_clock: MockClock, interactive: bool
) -> None:
    server = ReplacedServer("S", "S")
    async with running_with(nursery, server, interactive=interactive) as client:
        server.breaks = True
        client.type("one", "two")
        await wait_all_blocked()
    assert client.error is None
    assert [text for _, text in server.received] == ["one", "one", "two"]
