"""Another server answers after an outage: nothing that was typed for the one before is said to it."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.terminal.desk import Desk
from tests.terminal.test_outage import House, at_house
from trio_chat.client.delays import retry_s
from trio_chat.errors import ServerChanged
from trio_chat.wire.messages import Command, Error, Say

PATIENCE_S = 60  # of the clock that jumps


class Street(House):
    """Houses one after another at one address: each connection ends at the next `server_id`."""

    def __init__(self, *server_ids: str) -> None:
        super().__init__()
        self._server_ids = server_ids
        self.heard: list[tuple[str, str]] = []
        self.too_fast = False
        self.server_id = ""

    async def keep(self, desk: Desk) -> None:
        for server_id in self._server_ids:
            self.server_id = server_id
            self.peer = await desk.stage.accept()
            await self.peer.greet(server_id=server_id, kept="forever")
            self.epoch = f"of {self.server_id}"
            await self.serve(self.peer)

    def _answer(self, command: Command) -> None:
        if isinstance(command, Say):
            self.heard.append((self.server_id, command.text))
            if self.too_fast:
                self.show(Error("rate_limited", "too fast", retry_after_s=5, ref=command.ref))
                return
        super()._answer(command)


async def settle() -> None:
    await trio.lowlevel.checkpoint()
    await wait_all_tasks_blocked()


async def test_a_pipe_ends_and_says_nothing_to_another_server(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    street = Street("S", "T")
    async with at_house(nursery, street, interactive=False) as desk:
        street.breaks = True
        desk.type("one", "two", "three")
        with trio.fail_after(PATIENCE_S):
            await desk.left.wait()
    assert street.heard == [("S", "one")]
    assert isinstance(desk.failed, ServerChanged)
    assert "another server answers at this address now" in str(desk.failed)
    assert "perhaps not said: 3 lines, the first of them: one" in desk.screen.talked


async def test_a_line_that_waits_for_a_rate_is_not_said_to_another_server(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    street = Street("S", "T")
    street.too_fast = True
    async with at_house(nursery, street, interactive=False) as desk:
        desk.type("one", "two")
        await settle()
        street.too_fast = False
        street.cut()
        await trio.sleep(2 * retry_s(5))
        with trio.fail_after(PATIENCE_S):
            await desk.left.wait()
    assert street.heard == [("S", "one")]
    assert isinstance(desk.failed, ServerChanged)


async def test_the_rest_of_a_long_line_is_not_said_to_another_server(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    street = Street("S", "T")
    async with at_house(nursery, street, interactive=False) as desk:
        street.breaks = True
        desk.type("x" * 10_000)
        with trio.fail_after(PATIENCE_S):
            await desk.left.wait()
    assert [server_id for server_id, _ in street.heard] == ["S"]
    assert isinstance(desk.failed, ServerChanged)


async def test_a_terminal_shows_what_it_did_not_say_and_goes_on(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    street = Street("S", "T")
    async with at_house(nursery, street) as desk:
        street.breaks = True
        desk.type("one", "two")
        await settle()
        desk.type("three")
        await trio.sleep(30)
        desk.type("for the new one")
        await settle()
    assert desk.failed is None
    assert street.heard == [("S", "one"), ("T", "for the new one")]
    assert "another server answers at this address now" in desk.screen.talked
    for line in ("one", "two", "three"):
        assert f"perhaps not said: {line}\n" in desk.screen.talked


async def test_a_terminal_that_waits_for_a_line_is_told_of_another_server(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    street = Street("S", "T")
    async with at_house(nursery, street) as desk:
        desk.type("one")
        await settle()
        street.cut()
        await trio.sleep(30)
        assert "another server answers at this address now" in desk.screen.talked
        desk.type("two")
        await settle()
    assert street.heard == [("S", "one"), ("T", "two")]
    assert "not said" not in desk.screen.talked


@pytest.mark.parametrize("interactive", [True, False])
async def test_lines_wait_for_the_same_server(
    nursery: trio.Nursery, autojump_clock: MockClock, interactive: bool
) -> None:
    street = Street("S", "S")
    async with at_house(nursery, street, interactive=interactive) as desk:
        street.breaks = True
        desk.type("one", "two")
        await settle()
    assert desk.failed is None
    assert [text for _, text in street.heard] == ["one", "one", "two"]
