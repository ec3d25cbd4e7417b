"""Check the streams of a network in memory with Trio's own stream tests."""

from functools import partial
from random import Random

import pytest
import trio
from trio.testing import MockClock, check_half_closeable_stream, check_two_way_stream

from trio_chat.testing.faults import Latency, Merge, NoFiles, Split
from trio_chat.testing.network import MemoryNetwork
from trio_chat.testing.stream import MemoryStream, stream_pair

Pair = tuple[MemoryStream, MemoryStream]


async def connected(buffer_bytes: int = 65_536) -> Pair:
    network = MemoryNetwork(buffer_bytes=buffer_bytes)
    listener = network.listen_streams("server", 7)
    here = await network.dial_stream("ada", "server", 7)
    return here, await listener.accept()


async def clogged() -> Pair:
    """Neither end may send before the other has read."""
    here, there = await connected(100)
    for end in (here, there):
        while end.link.send_nowait(bytes(100)):
            pass
    return here, there


async def test_a_stream_is_what_trio_calls_a_half_closeable_stream() -> None:
    await check_half_closeable_stream(connected, clogged)


async def test_a_stream_is_what_trio_calls_a_stream() -> None:
    await check_two_way_stream(connected, clogged)


async def test_a_narrow_pair_is_one_too() -> None:
    async def narrow() -> Pair:
        await trio.lowlevel.checkpoint()
        return stream_pair(1_000)

    await check_half_closeable_stream(narrow, None)


async def test_under_faults_it_still_is(autojump_clock: MockClock) -> None:
    async def faulty() -> Pair:
        network = MemoryNetwork(Random(1))
        listener = network.listen_streams("server", 7)
        for rule in (Latency(0.1, jitter_s=0.1), Split(20_000), Merge(0.2)):
            network.fault(rule).__enter__()
        here = await network.dial_stream("ada", "server", 7)
        return here, await listener.accept()

    await check_two_way_stream(faulty, None)


async def test_a_reset_is_told_as_broken() -> None:
    here, there = await connected()
    here.link.reset()
    for end in (here, there):
        with pytest.raises(trio.BrokenResourceError):
            await end.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await end.send_all(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await end.send_eof()
        await end.aclose()


async def test_closed_while_it_sends_is_told_as_closed() -> None:
    for _ in range(30):  # the order of the two tasks is random
        here, _ = stream_pair()

        async def send(stream: MemoryStream) -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.send_all(b"x")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, here)
            await trio.lowlevel.checkpoint()
            here.link.close()


async def test_a_program_of_trio_serves_on_it(autojump_clock: MockClock) -> None:
    network = MemoryNetwork()

    async def echo(stream: MemoryStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        listener = network.listen_streams("server", 7)
        await nursery.start(partial(trio.serve_listeners, echo, [listener]))
        ada = await network.dial_stream("ada", "server", 7)
        async with ada:
            await ada.send_all(b"over the hills")
            await ada.send_eof()
            assert b"".join([data async for data in ada]) == b"over the hills"
        nursery.cancel_scope.cancel()
    assert network.left_behind() == []


async def test_a_program_of_trio_waits_while_there_are_no_files(autojump_clock: MockClock) -> None:
    network = MemoryNetwork()
    accepted_at = []

    async def handle(stream: MemoryStream) -> None:
        await trio.lowlevel.checkpoint()
        accepted_at.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        listener = network.listen_streams("server", 7)
        await nursery.start(partial(trio.serve_listeners, handle, [listener]))
        with network.fault(NoFiles(), second="server"):
            ada = await network.dial_stream("ada", "server", 7)
            await trio.sleep(1)
            assert accepted_at == []
        until = trio.current_time()
        await trio.sleep(1)
        assert accepted_at == [pytest.approx(until, abs=0.11)]
        nursery.cancel_scope.cancel()
    await ada.aclose()


async def test_a_dial_without_a_listener_raises_what_trio_raises() -> None:
    network = MemoryNetwork()
    with pytest.raises(ConnectionRefusedError):
        await network.dial_stream("ada", "server", 7)
    network.listen_streams("server", 7)
    with pytest.raises(OSError, match="Address already in use"):
        network.listen_streams("server", 7)
