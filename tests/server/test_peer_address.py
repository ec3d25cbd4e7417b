"""Limits count by the prefix of the peer's address, and closed connections leave nothing behind."""

from contextlib import closing

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.harness import serving
from tests.server.proxied import (
    LOCAL_PROXY,
    PEER,
    PROXY,
    behind_proxies,
    enter,
    frames_peer,
    is_turned_away,
    upgrade,
    v1,
    v2,
)
from tests.server.web import CHROME, Browser, get
from trio_chat.dialects.frames import FRAMES
from trio_chat.dialects.websocket import WEBSOCKET
from trio_chat.net.link import Link
from trio_chat.server.acceptor import Acceptor
from trio_chat.server.config import Limits
from trio_chat.server.fair_share import FairScheduler
from trio_chat.server.http_routes import HttpRoutes
from trio_chat.server.peer_address import ConnectionCounts, CountedConnection
from trio_chat.server.proxies import Proxies
from trio_chat.server.refusals import Refusals
from trio_chat.testing.pipe import link_pair
from trio_chat.wire.messages import Bye, Ping, Pong

# --- prefixes -------------------------------------------------------------------------------------------


async def test_an_ipv6_64_has_the_connections_of_one_address(autojump_clock: MockClock) -> None:
    async with serving() as house:
        for n in range(600):
            house.dial(address=f"2001:db8::{n:x}:{n:x}")
        await wait_all_tasks_blocked()
        assert house.server.connections == 64
        house.dial(address="2001:db8:0:1::1")
        await wait_all_tasks_blocked()
        assert house.server.connections == 65


@pytest.mark.parametrize(
    "addresses",
    [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", "2001:0DB8:0:0:1::"),
        ("2001:db8::1", "2001:db8::1%eth0", "2001:db8::2%eth1"),
        ("fe80::1%eth0", "fe80::1%eth1", "fe80::1"),
        ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"),
        ("a host", "a host", "a host"),
        ("127.0.0.1.example", "127.0.0.1.example", "127.0.0.1.example"),
    ],
)
async def test_spellings_of_one_address_are_one(
    addresses: tuple[str, str, str], websocket: bool, autojump_clock: MockClock
) -> None:
    async with serving(connections_per_address=2, websocket=websocket) as house:
        first = await house.enter("ada", address=addresses[0])
        await house.enter("bob", address=addresses[1])
        status, _, _ = await Browser(house, address=addresses[2]).ask(get("/"))
        assert status == 503
        await is_turned_away(
            house.dial(address=addresses[2]) if not websocket else frames_peer(house, addresses[2])
        )
        await house.enter("elsewhere", address="192.0.2.2")
        first.link.close()
        await trio.sleep(1)
        await house.enter("eve", address=addresses[2])


async def test_neighbours_in_ipv4_are_not_one(autojump_clock: MockClock) -> None:
    async with serving(connections_per_address=1) as house:
        for n in range(4):
            await house.enter(f"n{n}", address=f"192.0.2.{n}")


# --- what the server keeps ------------------------------------------------------------------------------


def test_a_connection_is_counted_once_and_no_longer_than_it_is_open() -> None:
    counts = ConnectionCounts(Limits(connections_per_address=1), Proxies([PROXY]))
    with closing(CountedConnection(counts, "2001:db8::1")) as first:
        assert counts.total == 1
        assert first.count() == first.count_forwarded(PEER) == ""
        assert first.address == "2001:db8::1"
        assert counts.why_full("2001:db8::2") == "at most 1 connections from one address"
        assert not counts.why_full(PEER)
    first.close()
    assert counts.total == 0
    assert not counts.why_full("2001:db8::2")


def test_nothing_is_kept_of_a_connection_that_is_closed() -> None:
    counts = ConnectionCounts(Limits(connections_per_address=2), Proxies([PROXY]))
    for address in ("192.0.2.1", "2001:db8::1", "ada", "", "127.0.0.1", PROXY):
        connections = [CountedConnection(counts, address) for _ in range(3)]
        for connection in connections:
            connection.count_forwarded("203.0.113.7, unknown")
            connection.close()
    assert vars(counts) == vars(ConnectionCounts(Limits(connections_per_address=2), counts.proxies))


def test_a_connection_over_the_limit_is_refused_when_it_is_made() -> None:
    counts = ConnectionCounts(Limits(connections_per_address=1), Proxies([PROXY]))
    with closing(CountedConnection(counts, PEER)), closing(CountedConnection(counts, PEER)) as late:
        assert late.full == "at most 1 connections from one address"
        assert late.count_forwarded("192.0.2.1") == late.full
        assert late.address == PEER


async def _asked(*data: bytes, address: str) -> tuple[object, str, int]:
    """The dialect and the address of a caller, and how many connections are counted behind it."""
    acceptor = Acceptor(
        Limits(),
        HttpRoutes([], lambda: 0, lambda: True),
        Proxies([PROXY, LOCAL_PROXY]),
        FairScheduler(trio.current_time),
        Refusals(),
    )
    here, there = link_pair()
    there.address = address
    link: Link = there
    for each in data:
        here.send_nowait(each)
    with closing(acceptor.counting(link.address)) as counted:
        caller = await acceptor.ask(link, counted)
    assert caller is not None
    return caller.packing, caller.address, acceptor.connections


@pytest.mark.parametrize(
    ("address", "data", "known"),
    [
        (PEER, b"", PEER),
        (PROXY, b"", PROXY),
        (PROXY, v1(PEER), PEER),
        (LOCAL_PROXY, v2("2001:db8::1"), "2001:db8::1"),
        (PROXY, v1(PEER, family="UNKNOWN"), PROXY),
        ("::ffff:127.0.0.1", v1("::ffff:192.0.2.1"), "192.0.2.1"),
    ],
)
async def test_a_caller_has_the_address_of_the_peer(
    address: str, data: bytes, known: str, autojump_clock: MockClock
) -> None:
    frames = FRAMES.pack((b"{}",))
    assert await _asked(data, frames, address=address) == (FRAMES, known, 0)
    assert await _asked(data, CHROME, address=address) == (WEBSOCKET, known, 0)
    forwarded = "192.0.2.200" if known in (PROXY, LOCAL_PROXY) else known
    assert await _asked(data, upgrade("192.0.2.200"), address=address) == (WEBSOCKET, forwarded, 0)


async def test_a_peer_behind_a_header_can_chat(websocket: bool, autojump_clock: MockClock) -> None:
    async with behind_proxies(websocket=websocket) as house:
        ada = await enter(house, "ada", v2("2001:db8::1"))
        await ada.join("lobby")
        assert await ada.say("hello") == 1
        ada.send(Ping(n=7))
        await ada.answer(Pong, n=7)
        assert not [event for event in ada.seen if isinstance(event, Bye)]
