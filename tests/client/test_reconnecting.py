"""The client with the real server: restarts with and without a journal file, and cancelling."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.client.outages import outage_s
from tests.patience import PATIENCE_S
from tests.sim.house import SERVER, open_house
from trio_chat.client import Chat, ClientEvent, Disconnected, connect
from trio_chat.errors import ConnectionLost
from trio_chat.server.config import Config
from trio_chat.server.serve import Server, open_server
from trio_chat.testing import InjectedError, MemoryNetwork, Simulation, sweep
from trio_chat.testing.faults import Rst
from trio_chat.wire.messages import Members, Presence, Room, Said


@asynccontextmanager
async def serving(network: MemoryNetwork, journal: str) -> AsyncGenerator[Server]:
    config = Config(journal=journal, rate_limit=False)
    async with open_server(config, listeners=[network.listen(SERVER)]) as server:
        yield server


@asynccontextmanager
async def chatting(network: MemoryNetwork, name: str) -> AsyncGenerator[Chat]:
    async with connect(
        SERVER,
        name=name,
        token=f"{name}-and-a-token-of-its-own",
        dial=network.dialler(name),
        random=lambda: 0.01,
    ) as chat:
        yield chat


async def said_next(chat: Chat) -> tuple[int, str]:
    async for event in chat:
        if isinstance(event, Said):
            return event.seq, event.text
    raise AssertionError("the Chat has ended")


async def test_a_server_restart_with_a_journal_file_is_only_an_outage(
    tmp_path: Path,
) -> None:
    network, journal = MemoryNetwork(), str(tmp_path / "journal.db")
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            stop, ended = trio.Event(), trio.Event()

            async def _run_server(task_status: trio.TaskStatus[None]) -> None:
                async with serving(network, journal):
                    task_status.started()
                    await stop.wait()
                ended.set()

            await nursery.start(_run_server)
            async with chatting(network, "ada") as ada, chatting(network, "bob") as bob:
                for chat in (ada, bob):
                    await chat.join("lobby")
                assert await ada.say("lobby", "before", ref="b") == 1
                stop.set()
                await ended.wait()
                async with trio.open_nursery() as talking:
                    talking.start_soon(bob.say, "lobby", "within")
                    async with serving(network, journal):
                        assert await ada.say("lobby", "before", ref="b") == 1, (
                            "the message must be committed once"
                        )
                        while (heard := await said_next(ada))[1] != "within":
                            assert heard == (1, "before")
                        assert heard == (2, "within")
                        assert await bob.say("lobby", "after") == 3
                        assert [await said_next(bob) for _ in range(3)] == [
                            (1, "before"),
                            (2, "within"),
                            (3, "after"),
                        ]
                        await ada.quit()
                        await bob.quit()


async def test_a_server_restart_without_a_journal_file_begins_another_history(
    autojump_clock: trio.abc.Clock,
) -> None:
    network = MemoryNetwork()
    async with chatting_over_a_restart(network) as ada:
        heard: list[ClientEvent] = []
        async for event in ada:
            if not isinstance(event, Presence):
                heard.append(event)
            if isinstance(event, Members):
                break
        said, outage, room, back, members = heard
        assert isinstance(said, Said)
        assert isinstance(outage, Disconnected)
        assert isinstance(room, Room)
        assert (room.head, room.first, room.resumed) == (0, 1, False)
        assert outage_s(back) > 0
        assert members == Members("lobby", ["ada"], 1, more=False)
        assert await ada.say("lobby", "after") == 1


@asynccontextmanager
async def chatting_over_a_restart(network: MemoryNetwork) -> AsyncGenerator[Chat]:
    """Yield Ada's Chat after a restart; she had joined the lobby and said something there."""
    async with trio.open_nursery() as nursery:
        stop = trio.Event()

        async def _run_server(task_status: trio.TaskStatus[None]) -> None:
            async with serving(network, "memory"):
                task_status.started()
                await stop.wait()
            async with serving(network, "memory"):
                await trio.sleep_forever()

        await nursery.start(_run_server)
        async with chatting(network, "ada") as ada:
            await ada.join("lobby")
            assert await ada.say("lobby", "before") == 1
            stop.set()
            yield ada
        nursery.cancel_scope.cancel()


async def test_a_name_that_was_taken_meanwhile_stays_taken(autojump_clock: trio.abc.Clock) -> None:
    network = MemoryNetwork()
    async with trio.open_nursery() as nursery:
        stop, eve_is_in = trio.Event(), trio.Event()

        async def _run_server(task_status: trio.TaskStatus[None]) -> None:
            async with serving(network, "memory"):
                task_status.started()
                await stop.wait()
            async with serving(network, "memory"):
                async with connect(SERVER, name="ada", dial=network.dialler("eve")):
                    eve_is_in.set()
                    await trio.sleep_forever()

        await nursery.start(_run_server)
        async with connect(SERVER, name="ada", dial=network.dialler("ada"), random=lambda: 0.99) as ada:
            stop.set()
            with pytest.raises(ConnectionLost, match="cannot reconnect: the name ada is taken") as caught:
                async for event in ada:
                    assert isinstance(event, Disconnected)
            assert (caught.value.code, caught.value.reconnect) == ("name_taken", False)
            assert eve_is_in.is_set()
        nursery.cancel_scope.cancel()


# --- cancelled at each checkpoint ------------------------------------------------------------------------


async def an_outage(sim: Simulation) -> None:
    """Reset Ada's connection during her calls; the test cancels her at each checkpoint."""
    async with open_house(sim) as house:
        zoe = await house.observer()
        with sim.victim():
            try:
                async with connect(
                    SERVER,
                    name="ada",
                    token="ada-and-a-token-of-her-own",
                    dial=house.network.dialler("ada"),
                    ref_prefix="ada",
                    random=lambda: 0.5,
                    clock_s=trio.current_time,
                ) as chat:
                    await chat.join("lobby")
                    with house.network.fault(Rst(), "ada", SERVER):
                        pass
                    assert await chat.say("lobby", "hello", ref="once")
                    with house.network.fault(Rst(), "ada", SERVER):
                        await trio.sleep(0.1)
                    async for event in chat:
                        if isinstance(event, Members):
                            break
                    await chat.leave("lobby")
            except ExceptionGroup as group:
                raise AssertionError("the error must not be in a group") from group
        ends = [each.dialled for each in house.network.connections if each.from_host == "ada"]
        assert all(end.is_closed for end in ends), "the client left a link open"
        await trio.sleep(1)
        assert house.is_known("ada") == []
        assert await zoe.say("I am still here")


@pytest.mark.parametrize("children", [False, True], ids=["the program", "its tasks"])
@pytest.mark.parametrize("error", [None, InjectedError], ids=["cancelled", "failing"])
def test_an_outage_can_be_cancelled_at_each_checkpoint(
    error: type[InjectedError] | None, children: bool
) -> None:
    assert sweep(an_outage, error=error, children=children).checkpoints > 8
