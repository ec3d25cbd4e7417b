"""An outage: what is typed meanwhile is said, and who will not wait goes."""

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
from tests.terminal.desk import Desk
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


class House(ScriptedRoom):
    """A room that one can come back to, with a door that may be shut.

    `breaks`: the next say or whisper is the last that it hears on its connection; it does it, and answers
    nothing. `is_deaf`: it hears no say at all. `refuses`: who comes back to the room is told so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch = "e"
        self.breaks = False
        self.is_deaf = False
        self.refuses = ""
        self.visits = 0
        self.peer: ScriptedConnection | None = None
        self.is_open = trio.Event()
        self.is_open.set()

    async def keep(self, desk: Desk) -> None:
        while True:
            self.peer = await desk.stage.accept()
            await self.is_open.wait()
            await self.peer.greet(features=["search"])
            self.visits += 1
            await self.serve(self.peer)

    def cut(self) -> None:
        assert self.peer is not None
        self.peer.reset()

    def shut(self) -> None:
        self.is_open = trio.Event()
        self.cut()

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
                self.cut()
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
async def at_house(
    nursery: trio.Nursery,
    house: House,
    *,
    interactive: bool = True,
    as_json: bool = False,
    has_input: bool = True,
) -> AsyncGenerator[Desk]:
    desk = Desk(interactive=interactive and has_input, as_json=as_json, has_input=has_input)
    nursery.start_soon(house.keep, desk)
    nursery.start_soon(desk.run, "lobby")
    await wait_all_tasks_blocked()
    yield desk
    await desk.leave()


# --- waiting it out ---------------------------------------------------------------------------------


@pytest.mark.parametrize("interactive", [True, False])
async def test_what_is_typed_in_an_outage_is_said_after_it_once_and_in_order(
    nursery: trio.Nursery, autojump_clock: MockClock, interactive: bool
) -> None:
    """Also what was said and not acked: it is asked for again with its ref."""
    house = House()
    async with at_house(nursery, house, interactive=interactive) as desk:
        house.breaks = True
        desk.type("one", "two")
        await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        desk.type("three")
    assert desk.failed is None
    assert house.visits == 2
    assert [entry.text for entry in house.entries] == ["one", "two", "three"]
    shown = [line.partition("ada: ")[2] for line in desk.screen.lines if "ada: " in line]
    assert shown == ["one", "two", "three"]


async def test_an_outage_and_its_end_are_told(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = House()
    async with at_house(nursery, house) as desk:
        house.shut()
        await trio.sleep(150)
        house.is_open.set()
        await trio.sleep(60)
        desk.type("well")
    lost, back = [line for line in desk.screen.lines if "back" in line]
    assert lost.startswith("-- connection lost")
    assert lost.endswith("; coming back by itself")
    assert re.fullmatch("-- back after [0-9]+ min", back)
    assert "-- here: ada, bob (2 here)" in desk.screen.lines


async def test_an_outage_in_json_is_two_events(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = House()
    async with at_house(nursery, house, as_json=True, interactive=False) as desk:
        house.cut()
        await trio.sleep(60)
        desk.type("well")
    lost, back = [
        event for line in desk.screen.lines if (event := json.loads(line))["type"] in ("outage", "back")
    ]
    assert (lost["type"], back["type"]) == ("outage", "back")
    assert lost["why"]
    assert back["after_s"] >= 0


async def test_a_room_with_another_history_is_told_and_its_past_is_asked_for_anew(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = House()
    async with at_house(nursery, house) as desk:
        desk.type("one", "two", "three")
        await trio.sleep(1)
        house.epoch = "another"
        house.entries.clear()
        for n in range(300):
            house.add("bob", f"again {n}")
        house.cut()
        await trio.sleep(60)
        desk.type("/history")
    assert "-- lobby: 2 here (what was said there before is gone)" in desk.screen.lines
    (asked,) = [each for each in house.asked if isinstance(each, History) and each.before is not UNSET]
    assert asked.before == 101, "before the newest two hundred, which are shown unasked"
    shown = [line.partition("bob: ")[2] for line in desk.screen.lines if "bob: " in line]
    assert shown == [f"again {n}" for n in (*range(100, 300), *range(100))]


async def test_a_whisper_that_was_under_way_is_shown_and_the_next_line_goes_on(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """It is nowhere to be looked up whether it arrived, so it is not said again."""
    house = House()
    async with at_house(nursery, house) as desk:
        house.breaks = True
        desk.type("/msg bob psst", "aloud")
        await trio.sleep(60)
    assert desk.failed is None
    assert desk.screen.talked.endswith("; perhaps not said: /msg bob psst\n")
    assert [command.text for command in house.asked if isinstance(command, Whisper)] == ["psst"]
    assert [entry.text for entry in house.entries] == ["aloud"]


async def test_a_room_one_is_not_let_back_into_can_be_joined_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = House()
    async with at_house(nursery, house) as desk:
        house.refuses = "forbidden"
        house.cut()
        await trio.sleep(60)
        desk.type("hello?")
        await trio.sleep(1)
        house.refuses = ""
        desk.type("well", "/join lobby", "hello")
    assert any("members only (forbidden)" in line for line in desk.screen.lines)
    assert "you are not in lobby; not done: hello?\n" in desk.screen.talked
    assert "you are in no room (/join ROOM); not done: well\n" in desk.screen.talked
    assert [entry.text for entry in house.entries] == ["hello"]


async def test_a_chat_that_has_ended_is_asked_nothing_more_however_slow_the_terminal(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Nobody has seen its end yet but the line in hand, which is no whisper to go on after."""
    house = House()
    scrolled = trio.Event()
    async with at_house(nursery, house) as desk:
        desk.screen.stopped = scrolled
        house.show(house.add("bob", "more"))
        await trio.sleep(1)
        house.is_deaf = True
        desk.type("one", "two")
        await trio.sleep(1)
        house.show(Bye("kicked", "enough", reconnect=False))
        await trio.sleep(1)
        assert desk.screen.talked.endswith("\n-- perhaps not said: one\n-- perhaps not said: two\n")
        scrolled.set()
        await desk.left.wait()
    assert isinstance(desk.failed, ConnectionLost)


# --- going ------------------------------------------------------------------------------------------


async def test_quit_waits_for_no_line_that_waits(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    """The clock stands still: nobody comes back, and nothing is waited for."""
    house = House()
    async with at_house(nursery, house) as desk:
        house.shut()
        await wait_all_tasks_blocked()
        desk.type("one", "two", "/quit")
        await wait_all_tasks_blocked()
        assert desk.left.is_set()
    assert desk.failed is None
    assert desk.screen.talked.endswith("-- perhaps not said: one\n-- perhaps not said: two\n")
    assert "/quit" not in desk.screen.talked


async def test_a_quit_that_was_typed_before_the_outage_does_not_wait_either(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    house = House()
    house.breaks = True
    async with at_house(nursery, house) as desk:
        desk.type("one", "/quit")
        await wait_all_tasks_blocked()
        assert desk.left.is_set()
    assert desk.failed is None
    assert desk.screen.talked.endswith("-- perhaps not said: one\n")


async def test_a_quit_where_there_is_no_outage_any_more_waits_its_turn(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = House()
    async with at_house(nursery, house) as desk:
        house.cut()
        await trio.sleep(60)
        desk.type("one", "two", "/quit")
        await desk.left.wait()
    assert [entry.text for entry in house.entries] == ["one", "two"]


async def test_in_a_pipe_all_is_said_before_a_quit(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = House()
    async with at_house(nursery, house, interactive=False) as desk:
        house.breaks = True
        desk.type("one", "two", "/quit")
        await desk.left.wait()
    assert desk.failed is None
    assert [entry.text for entry in house.entries] == ["one", "two"]


async def test_ctrl_c_in_an_outage_is_at_once(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    house = House()
    async with at_house(nursery, house) as desk:
        house.shut()
        await wait_all_tasks_blocked()
        desk.type("one")
        await wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)
        await wait_all_tasks_blocked()
        assert desk.left.is_set()
    assert desk.failed is None
    assert desk.screen.talked.endswith("-- perhaps not said: one\n")


async def test_a_pipe_gives_up_after_five_minutes_and_a_terminal_does_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    houses = House(), House()
    async with (
        at_house(nursery, houses[0], interactive=False) as pipe,
        at_house(nursery, houses[1], interactive=True) as terminal,
    ):
        for house in houses:
            house.shut()
        pipe.type("one", "two")
        terminal.type("one", "two")
        with trio.fail_after(1000):
            await pipe.left.wait()
        assert trio.current_time() == pytest.approx(300)
        await trio.sleep(80_000)
        assert not terminal.left.is_set()
        houses[1].is_open.set()
    assert isinstance(pipe.failed, ConnectionLost)
    assert pipe.failed.exit_status == 3
    assert pipe.screen.talked.endswith("-- perhaps not said: 2 lines, the first of them: one\n")
    assert terminal.failed is None
    assert [entry.text for entry in houses[1].entries] == ["one", "two"]
