"""Cancel the server and the client, or make them fail, at each of their checkpoints (row 34 of the faults).

Each scenario sweeps one part of the program with its own promise, beside members that must not be affected.
There are two modes: the part is cancelled, or its awaited call raises an unexpected error.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from tests.server.harness import RawClient, packed
from tests.server.stores import SlowStore
from tests.sim.house import SERVER, open_house
from trio_chat.client import Chat, connect
from trio_chat.errors import CannotConnect, ChatError, LinkBroken, Refused
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import Server, open_server
from trio_chat.testing import InjectedError, MemoryNetwork, Simulation, link_pair, sweep
from trio_chat.testing.chat.bugs import logged_bugs
from trio_chat.wire.messages import (
    Command,
    Hello,
    History,
    Join,
    Leave,
    Ping,
    Quit,
    Said,
    Say,
    Topic,
    Whisper,
)

MODES = pytest.mark.parametrize("error", [None, InjectedError], ids=["cancelled", "failing"])
Error = Callable[[], Exception] | None


def slow() -> SlowStore:
    return SlowStore(open_s=0.2, commit_s=0.2, read_s=0.2)


# --- a session of the server -----------------------------------------------------------------------------

SEVERAL: list[Command] = [Say("lobby", "x" * 300, ref=f"s{n}") for n in range(4)]
DAY: tuple[tuple[Command, ...], ...] = (
    (Hello(version=1, name="eve"), Ping(n=1)),
    (Join("lobby", recent=20), *SEVERAL[:2]),
    (History("lobby"), Topic("lobby", "tea"), Leave("lobby"), Join("lobby", recent=5)),
    (*SEVERAL, Whisper("eve", "psst"), Leave("lobby"), Quit()),
)


async def a_session(sim: Simulation) -> None:
    """Eve's day with a server that is slow, over a small buffer; her name is free when it is over."""
    with logged_bugs() as bugs:
        async with open_house(sim, store=slow(), tail_bytes=1) as house:
            zoe = await house.observer()
            here, there = link_pair(700)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_live, RawClient(here))
                with sim.victim():
                    try:
                        await house.server.serve_link(there)
                    except InjectedError as error:
                        raise AssertionError("a session's bug would have ended the server") from error
                assert there.is_closed
                assert house.is_known("eve") == []
                assert house.server.sessions == 1, "zoe's"
                changes = [change[0] for change in await zoe.presence_changes()]
                assert changes == ["+", "-"] * (len(changes) // 2), "one going for each coming"
                here.close()
                nursery.cancel_scope.cancel()
    assert len(bugs) <= 1, "a bug is logged once"


async def _live(peer: RawClient) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_say_all, peer)
        with suppress(LinkBroken, trio.EndOfChannel, trio.ClosedResourceError):
            while True:
                await peer.next()
                if len(peer.seen) % 5 == 0:
                    await trio.sleep(0.3)  # so that it is often behind


async def _say_all(peer: RawClient) -> None:
    with suppress(LinkBroken, trio.ClosedResourceError):
        for commands in DAY:
            await peer.send_all(packed(*commands))
            await trio.sleep(1)


@MODES
def test_a_session_ended_at_each_checkpoint(error: Error) -> None:
    assert sweep(a_session, error=error).checkpoints > 10, "a day of many steps"


async def turned_away(sim: Simulation) -> None:
    """Reject a connection over the limit, slowly: its failures do not affect the other members."""
    with logged_bugs() as bugs:
        async with open_house(sim, connections=1) as house:
            zoe = await house.observer()
            here, there = link_pair(700)
            with sim.victim():
                try:
                    await house.server.serve_link(there)
                except InjectedError as error:
                    raise AssertionError("a bug would have ended the server") from error
            assert there.is_closed
            here.close()
            assert await zoe.presence_changes() == []
    assert len(bugs) <= 1, "a bug is logged once"


@MODES
def test_a_rejected_connection_ended_at_each_checkpoint(error: Error) -> None:
    assert sweep(turned_away, error=error).checkpoints


# --- a block of the client -------------------------------------------------------------------------------


@asynccontextmanager
async def chatting(network: MemoryNetwork, name: str) -> AsyncGenerator[Chat]:
    token = f"{name}-and-a-token-of-its-own"  # nothing is to be drawn by chance
    dial = network.dialler(name)
    async with connect(SERVER, name=name, token=token, dial=dial, ref_prefix=name, come_back=False) as chat:
        yield chat


async def a_block_of_connect(sim: Simulation) -> None:
    """Cancelled at any point nothing stays open; what is raised inside comes out as it is, in no group."""
    async with open_house(sim, store=slow()) as house:
        zoe = await house.observer()
        with sim.victim():
            try:
                async with chatting(house.network, "ada") as chat:
                    await chat.join("lobby", recent=5)
                    await chat.say("lobby", "hello")
                    async for event in chat:
                        if isinstance(event, Said):
                            break
                    await chat.whisper("zoe", "psst")
                    await chat.leave("lobby")
            except ExceptionGroup as group:  # of cancellations there may be one, as from any nursery
                raise AssertionError("a group, where one plain error is promised") from group
        ends = [
            end for each in house.network.connections if each.from_host == "ada" for end in [each.dialled]
        ]
        assert all(end.is_closed for end in ends), "the client has closed"
        await trio.sleep(1)
        assert house.is_known("ada") == []
        await zoe.receive_for(1)
        assert await zoe.say("I am still here")


@pytest.mark.parametrize("children", [False, True], ids=["the program", "its tasks"])
@MODES
def test_a_block_of_connect_ended_at_each_checkpoint(error: Error, children: bool) -> None:
    assert sweep(a_block_of_connect, error=error, children=children).checkpoints > 8


async def _join(chat: Chat) -> None:
    await chat.join("attic")


async def _say(chat: Chat) -> None:
    await chat.say("lobby", "hello", ref="once")


async def _leave(chat: Chat) -> None:
    await chat.leave("lobby")


async def _rename(chat: Chat) -> None:
    await chat.rename("lovelace")


async def _ask(chat: Chat) -> None:
    await chat.history("lobby")
    await chat.who("lobby")
    await chat.rooms()


async def _hear(chat: Chat) -> None:
    await anext(aiter(chat))


CALLS: list[Callable[[Chat], Awaitable[None]]] = [_join, _say, _leave, _rename, _ask, _hear]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__[1:])
@MODES
def test_a_call_of_the_client_broken_off_at_each_checkpoint(
    call: Callable[[Chat], Awaitable[None]], error: Error
) -> None:
    """It may or may not have taken effect, and the Chat is as good as before."""

    async def a_call(sim: Simulation) -> None:
        async with open_house(sim, store=slow()) as house:
            async with chatting(house.network, "ada") as chat:
                await chat.join("lobby")
                with sim.victim():
                    await call(chat)
                with suppress(Refused):
                    await chat.join("lobby")
                seq = await chat.say("lobby", "hello", ref="once")
                assert await chat.say("lobby", "hello", ref="once") == seq
                assert await chat.who("lobby") == [chat.name]
                seqs = [each.seq for each in (await chat.history("lobby")).entries]
                assert seqs == [1], "said once"

    assert sweep(a_call, error=error).checkpoints >= 1


# --- the whole server ------------------------------------------------------------------------------------


async def a_server(sim: Simulation) -> None:
    """It starts, has members, one of them behind, and drains. However it ends, nothing of it is left."""
    network = MemoryNetwork(sim.fork("network"))
    servers: list[Server] = []
    stop = trio.Event()
    async with trio.open_nursery() as members:
        with sim.victim():
            listener = network.listen(SERVER)
            async with open_server(
                Config(rate_limit=False, limits=Limits(tail_bytes=1)),
                store=slow(),
                listeners=[listener],
                clock_ms=lambda: 1_790_000_000_000,
                random_bytes=sim.fork("server").randbytes,
            ) as server:
                servers.append(server)
                members.start_soon(_member, network, "ada", 0.0, stop)
                members.start_soon(_member, network, "bob", 0.5, stop)
                await stop.wait()
        stop.set()
        with pytest.raises(CannotConnect):
            await network.dial("cy", SERVER)
        for server in servers:
            assert not server.sessions and not server.hub.rooms and not server.hub._names
    sim.leaves_nothing(network.left_behind)


async def _member(network: MemoryNetwork, name: str, pause_s: float, stop: trio.Event) -> None:
    try:
        async with chatting(network, name) as chat:
            await chat.join("lobby")
            for number in range(3):
                await chat.say("lobby", f"{name} says {number}")
                await trio.sleep(pause_s)
            if name == "bob":
                stop.set()
            async for _ in chat:
                pass
    except ChatError:
        stop.set()  # what has befallen a member ends the story


@pytest.mark.parametrize("children", [False, True], ids=["the block", "its tasks"])
def test_a_server_cancelled_at_each_checkpoint(children: bool) -> None:
    assert sweep(a_server, children=children).checkpoints >= 3


def test_a_server_whose_tasks_fail_at_each_checkpoint() -> None:
    """A session's bug ends the session, and one of the server's own tasks the server: nothing is left."""
    with logged_bugs():
        assert sweep(a_server, error=InjectedError, children=True).checkpoints > 20
