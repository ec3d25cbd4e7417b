"""Test the effect of each rule that acts on the bytes."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.testing.world import BUFFER_BYTES, World, arrivals, nothing_comes, open_world
from trio_chat.errors import LinkBroken
from trio_chat.testing.faults import (
    Bandwidth,
    Cut,
    Latency,
    Merge,
    Narrow,
    Silence,
    Split,
    Stall,
)
from trio_chat.testing.network import MemoryNetwork


@pytest.fixture
async def world() -> World:
    return await open_world()


async def test_latency_is_how_late_it_is(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Latency(0.5), "ada", "server"):
        world.ada.send_nowait(b"late")
        world.server.send_nowait(b"at once")
        assert await arrivals(world.ada, 0.1) == [(0, b"at once")]
        world.ada.send_nowait(b"later")
        assert await arrivals(world.server, 1) == [(0.4, b"late"), (0.5, b"later")]


async def test_latency_holds_for_the_end_too(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Latency(0.5), both=True):
        world.ada.send_nowait(b"last")
        world.ada.close()
        began = trio.current_time()
        assert await arrivals(world.server) == [(0.5, b"last")]
        assert world.server.send_nowait(b"lost") == 4
        assert world.server.send_nowait(b"lost too") == 8, "the reset is still on its way"
        await trio.sleep(1)
        with pytest.raises(LinkBroken):
            world.server.send_nowait(b"x")
        assert trio.current_time() == pytest.approx(began + 1.5)


async def test_the_reset_of_a_closed_peer_wakes_a_waiting_sender(
    world: World, autojump_clock: MockClock
) -> None:
    """Only the sender is left to notice that its bytes have reached no reader."""
    with world.network.fault(Latency(0.5), "server", "ada"):
        world.ada.close()
        assert world.server.send_nowait(bytes(BUFFER_BYTES)) == BUFFER_BYTES
        began = trio.current_time()
        await world.server.wait_writable()
        assert trio.current_time() == pytest.approx(began + 0.5)
        with pytest.raises(LinkBroken):
            world.server.send_nowait(b"x")


async def test_jitter_differs_and_never_reorders(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Latency(0.1, jitter_s=1), "ada", "server"):
        sent = [bytes([i]) for i in range(50)]
        for each in sent:
            world.ada.send_nowait(each)
        came = await arrivals(world.server, 2)
    assert b"".join(data for _, data in came) == b"".join(sent)
    assert 1 < len(came) < 50, "some overtake none, and wait for those before them"
    assert 0.1 <= came[0][0] <= came[-1][0] <= 1.1


async def test_what_is_under_way_when_the_rule_ends_arrives_before_what_comes_after(
    world: World, autojump_clock: MockClock
) -> None:
    with world.network.fault(Latency(0.5), "ada", "server"):
        world.ada.send_nowait(b"before ")
    world.ada.send_nowait(b"after")
    assert await arrivals(world.server, 1) == [(0.5, b"before after")]
    world.ada.send_nowait(b"fast again")
    assert await arrivals(world.server, 1) == [(0, b"fast again")]
    assert world.network.connections[0].ways[0].course is None


async def test_what_is_under_way_counts_against_the_buffer(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Latency(0.5), "ada", "server"):
        assert world.ada.send_nowait(bytes(BUFFER_BYTES + 1)) == BUFFER_BYTES
        assert world.ada.send_nowait(b"x") == 0
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.server.receive_some)
            await world.ada.wait_writable()
        assert trio.current_time() == pytest.approx(began + 0.5)


async def test_bandwidth_is_so_many_bytes_a_second(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Bandwidth(100), "ada", "server"):
        world.ada.send_nowait(bytes(250))
        came = await arrivals(world.server, 10)
    assert sum(len(data) for _, data in came) == 250
    assert came[0] == (0.1, bytes(10)), "it comes bit by bit"
    assert came[-1][0] == pytest.approx(2.5)


async def test_split_gives_a_read_few_bytes(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Split(), "ada", "server"):
        world.ada.send_nowait(b"hey")
        assert [data for _, data in await arrivals(world.server, 1)] == [b"h", b"e", b"y"]
    with world.network.fault(Split(3), "ada", "server"):
        world.ada.send_nowait(bytes(100))
        assert {len(data) for _, data in await arrivals(world.server, 1)} == {1, 2, 3}


async def test_merge_lets_it_arrive_at_once(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Merge(1), "ada", "server"):
        began = trio.current_time()
        for each in (b"a", b"b", b"c"):
            world.ada.send_nowait(each)
            await trio.sleep(0.4)
        assert await world.server.receive_some() == b"abc"
        assert trio.current_time() == pytest.approx(began + 1.2)
        world.ada.send_nowait(b"d")
        assert await arrivals(world.server, 2) == [(1, b"d")]


async def test_narrow_takes_sends_in_part(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Narrow(3), "ada", "server"):
        assert world.ada.send_nowait(b"12345") == 3
        assert world.ada.send_nowait(b"45") == 0
        assert world.server.send_nowait(b"12345") == 5
    with trio.fail_after(1):
        await world.ada.wait_writable()
    assert world.ada.send_nowait(b"45") == 2
    assert await world.server.receive_some() == b"12345"


async def test_stall_lets_nothing_arrive(world: World, autojump_clock: MockClock) -> None:
    world.ada.send_nowait(b"there already")
    with world.network.fault(Stall(), "ada", "server"):
        assert await world.server.receive_some() == b"there already"
        assert world.ada.send_nowait(bytes(BUFFER_BYTES + 1)) == BUFFER_BYTES
        assert world.ada.send_nowait(b"x") == 0
        with trio.move_on_after(1_000) as waiting:
            await world.ada.wait_writable()
        assert waiting.cancelled_caught, "senders feel it"
        world.ada.close()
        await nothing_comes(world.server)
        world.server.send_nowait(b"lost")
    assert await arrivals(world.server) == [(0, bytes(BUFFER_BYTES))]


async def test_the_end_of_a_stall_wakes_a_waiting_reader(world: World, autojump_clock: MockClock) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            with world.network.fault(Stall(), "ada", "server"):
                nursery.start_soon(world.server.receive_some)
                world.ada.send_nowait(b"now")
                await trio.sleep(5)
                assert nursery.child_tasks


async def test_who_waits_is_told_when_something_gets_under_way(
    world: World, autojump_clock: MockClock
) -> None:
    with world.network.fault(Latency(0.5), "ada", "server"):
        for act, hears in ((lambda: world.ada.send_nowait(b"x"), b"x"), (world.ada.close, b"")):
            began = trio.current_time()
            heard: list[bytes] = []

            async def receive(heard: list[bytes]) -> None:
                heard.append(await world.server.receive_some())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive, heard)
                await wait_all_tasks_blocked()
                act()
            assert heard == [hears]
            assert trio.current_time() == pytest.approx(began + 0.5)


async def test_who_waits_to_write_is_told_of_a_reset_that_gets_under_way(
    world: World, autojump_clock: MockClock
) -> None:
    world.server.send_nowait(bytes(BUFFER_BYTES))
    with world.network.fault(Latency(0.5), "ada", "server"):
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.server.wait_writable)
            await wait_all_tasks_blocked()
            world.ada.close()
        assert trio.current_time() == pytest.approx(began + 0.5)


async def test_a_waiting_task_checks_again_when_a_rule_ends(world: World, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        with world.network.fault(Narrow(3), "ada", "server"):
            world.ada.send_nowait(b"123")
            nursery.start_soon(world.ada.wait_writable)
            await wait_all_tasks_blocked()
            assert nursery.child_tasks
    began = trio.current_time()
    with world.network.fault(Latency(1), "server", "ada"):
        async with trio.open_nursery() as nursery:
            with world.network.fault(Stall(), "server", "ada"):
                world.server.send_nowait(b"x")
                nursery.start_soon(world.ada.receive_some)
                await trio.sleep(0.5)
    assert trio.current_time() == pytest.approx(began + 1)


async def test_what_was_due_before_a_stall_has_arrived(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Latency(1), "ada", "server"):
        world.ada.send_nowait(b"in time")
        await trio.sleep(0.5)
        world.ada.send_nowait(b"too late")
        await trio.sleep(0.7)
        with world.network.fault(Stall(), "ada", "server"):
            assert await arrivals(world.server, 100) == [(0, b"in time")]
        assert await arrivals(world.server, 100) == [(0, b"too late")]


@pytest.mark.parametrize("after", [0, 1, 4, 5])
async def test_cut_resets_after_so_many_bytes(world: World, autojump_clock: MockClock, after: int) -> None:
    with world.network.fault(Cut(after), "ada", "server"):
        world.server.send_nowait(b"not counted")
        assert world.ada.send_nowait(b"hello") == 5, "taken as if nothing had happened"
        with pytest.raises(LinkBroken):
            world.ada.send_nowait(b"x")
        with pytest.raises(LinkBroken):
            await world.ada.receive_some()
        if after:
            assert await world.server.receive_some() == b"hello"[:after]
        with pytest.raises(LinkBroken):
            await world.server.receive_some()
        with pytest.raises(LinkBroken):
            world.server.send_nowait(b"x")


async def test_cut_counts_over_several_sends(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Cut(3), "ada", "server"):
        assert world.ada.send_nowait(b"he") == 2
        assert await world.server.receive_some() == b"he"
        assert world.ada.send_nowait(b"llo") == 3
        assert await world.server.receive_some() == b"l"
        with pytest.raises(LinkBroken):
            await world.server.receive_some()


async def test_a_cut_is_told_to_who_waits_to_write_when_the_bytes_before_it_are_read(
    world: World, autojump_clock: MockClock
) -> None:
    with world.network.fault(Cut(1), "ada", "server"), world.network.fault(Stall(), "server", "ada"):
        world.server.send_nowait(bytes(BUFFER_BYTES))
        world.ada.send_nowait(b"1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.server.wait_writable)
            await wait_all_tasks_blocked()
            assert nursery.child_tasks
            assert await world.server.receive_some() == b"1"


async def test_silence_drops_bytes_without_an_error(world: World, autojump_clock: MockClock) -> None:
    with world.network.fault(Silence(), "ada", "server"):
        assert world.ada.send_nowait(bytes(BUFFER_BYTES + 1)) == BUFFER_BYTES
        assert world.ada.send_nowait(b"x") == 0, "unacknowledged bytes stay in the buffer"
        world.server.send_nowait(b"heard")
        assert await world.ada.receive_some() == b"heard"
        world.ada.close()
        await nothing_comes(world.server)
    await nothing_comes(world.server)
    assert world.server.send_nowait(b"discarded") == 9


async def test_a_connection_that_lost_nothing_survives_a_silence(
    world: World, autojump_clock: MockClock
) -> None:
    quiet, there = await world.another("ada")
    with world.network.fault(Silence(), "ada", "server"):
        world.ada.send_nowait(b"lost")
    world.ada.send_nowait(b"a hole would be before it")
    quiet.send_nowait(b"well")
    assert await there.receive_some() == b"well"
    await nothing_comes(world.server)


async def test_two_cuts_cut_once(world: World, autojump_clock: MockClock) -> None:
    told: list[str | int] = []
    network = MemoryNetwork(note=lambda *what: told.append(what[0]))
    network.listen("server")
    ada = await network.dial("ada", "server")
    with network.fault(Cut(1)), network.fault(Cut(1)):
        ada.send_nowait(b"x")
    assert told.count("cut") == 1
