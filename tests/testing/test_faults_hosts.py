"""One rule, one consequence: those that strike dials and accepts, and whom any of them strikes, and when."""

import logging

import pytest
import trio
from trio.testing import MockClock

from tests.testing.world import World, arrivals, nothing_comes, open_world
from trio_chat.errors import CannotConnect, LinkBroken
from trio_chat.net.listen import PAUSE_S
from trio_chat.testing.faults import (
    Bandwidth,
    Cut,
    Fault,
    Fin,
    Latency,
    Merge,
    Narrow,
    NoFiles,
    Partition,
    Refuse,
    Rst,
    Rule,
    Silence,
    Split,
    Stall,
)
from trio_chat.testing.network import DIAL_S


@pytest.fixture
async def world() -> World:
    return await open_world()


async def test_a_dial_takes_the_way_there_and_back(world: World, autojump_clock: MockClock) -> None:
    with (
        world.network.fault(Latency(0.5), "bob", "server") as there,
        world.network.fault(Latency(1), "server", "bob") as back,
    ):
        began = trio.current_time()
        await world.another("bob")
        assert trio.current_time() == pytest.approx(began + 1.5)
        assert there.struck and back.struck


async def test_a_dial_that_is_parted_on_its_way_waits(world: World, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        with world.network.fault(Latency(1), "bob", "server"):
            nursery.start_soon(world.another, "bob")
            await trio.sleep(0.5)
            with world.network.fault(Partition(), "bob", "server"):
                await trio.sleep(5)
                assert len(world.network.connections) == 1


async def test_partition_parts_two_hosts_until_they_meet_again(
    world: World, autojump_clock: MockClock
) -> None:
    bob, from_bob = await world.another("bob")
    with world.network.fault(Partition(), "ada", "server"):
        world.ada.send_nowait(b"there")
        world.server.send_nowait(b"back")
        bob.send_nowait(b"unharmed")
        assert await from_bob.receive_some() == b"unharmed"
        await nothing_comes(world.server)
        await nothing_comes(world.ada)
        with trio.move_on_after(DIAL_S - 1) as dialling:
            await world.network.dial("ada", "server")
        assert dialling.cancelled_caught
        began = trio.current_time()
        with pytest.raises(CannotConnect, match=r"^cannot connect to server:5555: Connection timed out$"):
            await world.network.dial("ada", "server")
        assert trio.current_time() == pytest.approx(began + DIAL_S)
    assert await world.server.receive_some() == b"there"
    assert await world.ada.receive_some() == b"back"


async def test_a_dial_gets_through_when_a_partition_ends(world: World, autojump_clock: MockClock) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            with world.network.fault(Partition(), "server", "ada"):
                nursery.start_soon(world.another, "ada")
                await trio.sleep(9)
                assert len(world.network.connections) == 1


async def test_refuse_refuses_the_dials_of_one_host(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Refuse(), "ada", "server"):
        with pytest.raises(CannotConnect, match="Connection refused"):
            await world.network.dial("ada", "server")
        await world.another("bob")
        world.ada.send_nowait(b"unharmed")
        assert await world.server.receive_some() == b"unharmed"
    await world.another("ada")


async def test_without_files_the_server_pauses_and_goes_on(
    world: World, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """As in `tests/net/test_listen.py`, where a socket is without."""
    async with trio.open_nursery() as nursery:
        with world.network.fault(NoFiles(), "*", "server"):
            await world.network.dial("bob", "server")
            nursery.start_soon(world.listener.accept)
            await trio.sleep(1)
            assert nursery.child_tasks
        ended = trio.current_time()
    assert trio.current_time() - ended <= PAUSE_S
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "cannot accept for now: Too many open files")
    ]


async def test_fin_and_rst_strike_once_those_there_are(world: World, autojump_clock: MockClock) -> None:
    bob, from_bob = await world.another("bob")
    with world.network.fault(Fin(), "server", "ada"):
        assert await world.ada.receive_some() == b""
        world.ada.send_nowait(b"still heard")
        assert await world.server.receive_some() == b"still heard"
        with pytest.raises(LinkBroken):
            world.server.send_nowait(b"x")
    with world.network.fault(Rst(), "server", "ada"):
        with pytest.raises(LinkBroken):
            world.ada.send_nowait(b"x")
        await world.another("ada")
    with world.network.fault(Rst(), "*", "bob"):
        for end in (bob, from_bob):
            with pytest.raises(LinkBroken):
                await end.receive_some()


@pytest.mark.parametrize(
    ("first", "second", "both", "there", "back"),
    [
        ("ada", "server", False, True, False),
        ("server", "ada", False, False, True),
        ("ada", "server", True, True, True),
        ("server", "ada", True, True, True),
        ("*", "server", False, True, False),
        ("ada", "*", False, True, False),
        ("*", "*", False, True, True),
        ("bob", "*", True, False, False),
        ("*", "bob", False, False, False),
        ("server", "server", True, False, False),
    ],
)
async def test_whom_a_rule_is_about(
    world: World, autojump_clock: MockClock, first: str, second: str, both: bool, there: bool, back: bool
) -> None:
    with world.network.fault(Stall(), first, second, both=both):
        newer, newer_there = await world.another("ada")
        for ada, server in ((world.ada, world.server), (newer, newer_there)):
            ada.send_nowait(b"x")
            server.send_nowait(b"x")
            assert bool(await arrivals(server, 1)) is not there
            assert bool(await arrivals(ada, 1)) is not back


async def test_whether_a_fault_has_struck(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Split(1), "ada", "server") as idle:
        world.ada.send_nowait(b"x")
        await world.server.receive_some()
        assert not idle.struck, "one byte cannot be split"
    assert world.network.struck == 0
    with world.network.fault(Split(1)) as split, world.network.fault(Refuse(), "bob", "server") as refuse:
        world.ada.send_nowait(b"xy")
        await world.server.receive_some()
        with pytest.raises(CannotConnect):
            await world.network.dial("bob", "server")
        assert split.struck and refuse.struck
    assert world.network.struck == 2


@pytest.mark.parametrize(
    "rule",
    [
        Latency(0.1),
        Bandwidth(100),
        Split(1),
        Merge(0.1),
        Narrow(2),
        Stall(),
        Cut(1),
        Silence(),
        Partition(),
        NoFiles(),
        Fin(),
        Rst(),
    ],
)
async def test_a_fault_that_makes_a_difference_has_struck(
    world: World, autojump_clock: MockClock, rule: Rule
) -> None:
    with world.network.fault(rule) as standing:
        try:
            world.ada.send_nowait(b"hey")
            await arrivals(world.server, 10)
            with trio.move_on_after(1):
                await world.another("ada")
        except LinkBroken:
            pass
        assert standing.struck


async def test_a_fault_of_a_plan_befalls_at_its_time(world: World, autojump_clock: MockClock) -> None:
    fault = Fault(Stall(), "ada", "server", at_s=1, lasts_s=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.network.befall, fault)
        world.ada.send_nowait(b"before")
        assert await arrivals(world.server, 1.5) == [(0, b"before")]
        world.ada.send_nowait(b"during")
        assert await arrivals(world.server, 2) == [(1.5, b"during")]
