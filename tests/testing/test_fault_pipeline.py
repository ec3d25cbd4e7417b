"""Whatever rules come together: the order is kept, and nothing is lost while a connection lives."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from random import Random

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from trio_chat.errors import LinkBroken
from trio_chat.net.link import Link
from trio_chat.testing.faults import (
    Bandwidth,
    Cut,
    Fault,
    Latency,
    Merge,
    Narrow,
    Partition,
    Rule,
    Silence,
    Split,
    Stall,
)
from trio_chat.testing.network import MemoryNetwork
from trio_chat.testing.pipe import PipeLink

BUFFER_BYTES = 300
MUCH = bytes(i % 251 for i in range(2_000))

seconds = st.floats(0, 2)
HARMLESS: st.SearchStrategy[Rule] = st.one_of(
    st.builds(Latency, seconds, seconds),
    st.builds(Bandwidth, st.integers(50, 5_000)),
    st.builds(Split, st.integers(1, 50)),
    st.builds(Merge, seconds),
    st.builds(Narrow, st.integers(1, 400)),
    st.builds(Stall),
    st.builds(Partition),
)
DEADLY: st.SearchStrategy[Rule] = st.one_of(st.builds(Cut, st.integers(0, 1_500)), st.builds(Silence))


def faults(rules: st.SearchStrategy[Rule]) -> st.SearchStrategy[list[Fault]]:
    ends = st.sampled_from(["ada", "server", "*"])
    return st.lists(
        st.builds(
            Fault, rules, ends, ends, at_s=st.floats(0, 10), lasts_s=st.floats(0, 10), both=st.booleans()
        ),
        max_size=6,
    )


async def pour(link: Link, random: Random) -> None:
    """Send all of it and say so, in bits and with pauses."""
    sent = 0
    while sent < len(MUCH):
        took = link.send_nowait(MUCH[sent : sent + random.randint(1, 200)])
        sent += took
        if not took:
            await link.wait_writable()
        elif random.random() < 0.5:
            await trio.sleep(random.random())
    assert isinstance(link, PipeLink)
    link.end()


async def drain(link: Link, random: Random, network: MemoryNetwork, into: bytearray) -> None:
    while data := await link.receive_some():
        into += data
        (connection,) = network.connections
        for way in connection.ways:
            assert len(way.bytes) + (way.course.under_way_bytes if way.course else 0) <= BUFFER_BYTES
        if random.random() < 0.3:
            await trio.sleep(random.random())


async def story(plan: Sequence[Fault], seed: int, lines: list[str]) -> tuple[bytes, bytes, bool]:
    """What came at the server and at ada, and whether the connection lived."""

    def note(*what: str | int) -> None:
        lines.append(f"{trio.current_time():.9f} {what}")

    random = Random(seed)
    network = MemoryNetwork(random, note=note, buffer_bytes=BUFFER_BYTES)
    listener = network.listen("server")
    ada = await network.dial("ada", "server")
    (server,) = await listener.accept()
    at_server, at_ada = bytearray(), bytearray()
    alive = True
    with trio.move_on_after(1_000) as patience:
        try:
            async with trio.open_nursery() as nursery:
                for fault in plan:
                    nursery.start_soon(network.befall, fault)
                # One random each: in which order tasks run is Trio's affair.
                for link, into in ((ada, at_ada), (server, at_server)):
                    nursery.start_soon(pour, link, Random(random.random()))
                    nursery.start_soon(drain, link, Random(random.random()), network, into)
        except* LinkBroken:
            alive = False
    alive = alive and not patience.cancelled_caught
    (connection,) = network.connections
    if alive:
        assert not any(way.course for way in connection.ways), "when all is over, bytes go straight again"
    ada.close()
    server.close()
    assert network.left_behind() == []
    return bytes(at_server), bytes(at_ada), alive


def run(plan: Sequence[Fault], seed: int) -> tuple[bytes, bytes, bool, list[str]]:
    lines: list[str] = []
    return *trio.run(partial(story, plan, seed, lines), clock=MockClock(autojump_threshold=0)), lines


@settings(deadline=None, max_examples=150)
@given(faults(HARMLESS), st.integers(0, 1_000))
def test_rules_together_keep_the_order_and_lose_nothing(plan: list[Fault], seed: int) -> None:
    at_server, at_ada, alive, lines = run(plan, seed)
    assert alive, "no rule among these ends a connection"
    assert at_server == MUCH
    assert at_ada == MUCH
    times = [float(line.partition(" ")[0]) for line in lines]
    assert all(before <= after for before, after in pairwise(times))


@settings(deadline=None, max_examples=150)
@given(faults(st.one_of(HARMLESS, DEADLY)), st.integers(0, 1_000))
def test_a_connection_that_ends_early_ends_in_a_beginning(plan: list[Fault], seed: int) -> None:
    at_server, at_ada, alive, _ = run(plan, seed)
    assert MUCH.startswith(at_server)
    assert MUCH.startswith(at_ada)
    assert not alive or at_server == at_ada == MUCH
