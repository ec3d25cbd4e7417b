"""Limits count by the address of the peer: by its prefix, and behind a proxy by what the proxy tells."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, closing
from ipaddress import IPv6Address

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.peer import House, Peer, serving
from tests.server.web import CHROME, Browser, get
from trio_chat.dialects.frames import FRAMES
from trio_chat.dialects.websocket import WEBSOCKET
from trio_chat.net.link import Link
from trio_chat.server.config import Config, Limits
from trio_chat.server.door import Door
from trio_chat.server.peer_address import ConnectionCounts, CountedConnection
from trio_chat.server.proxies import Proxies
from trio_chat.server.site import Site
from trio_chat.testing.pipe import link_pair
from trio_chat.wire.messages import Bye, Hello, Ping, Pong, Welcome

PROXY = "198.51.100.9"
NEXT_PROXY = "198.51.100.10"
LOCAL_PROXY = "127.0.0.1"
PEER = "203.0.113.7"
FULL = "at most 2 connections from one address"


def v1(address: str, *, family: str = "") -> bytes:
    version = 6 if ":" in address else 4
    return f"PROXY {family or f'TCP{version}'} {address} {address} 56324 443\r\n".encode()


def v2(address: str, *, command: int = 0x21) -> bytes:
    packed = IPv6Address(address if ":" in address else f"::ffff:{address}").packed
    rest = packed * 2 + bytes(4) + bytes.fromhex("04 0003 000000")
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, 0x21]) + len(rest).to_bytes(2) + rest


HEADERS = pytest.mark.parametrize("header", [v1(PEER), v2(PEER)], ids=["v1", "v2"])


def upgrade(*forwarded_for: str) -> bytes:
    """A browser's request for a WebSocket, with these lines of `X-Forwarded-For`."""
    lines = "".join(f"X-Forwarded-For: {value}\r\n" for value in forwarded_for)
    return CHROME.replace(b"Pragma:", lines.encode("latin-1") + b"Pragma:")


@asynccontextmanager
async def behind_proxies(*, connections: int = 1_000, websocket: bool = False) -> AsyncGenerator[House]:
    """A server that believes three proxies and takes two connections from one address."""
    limits = Limits(connections_per_address=2, connections=connections)
    config = Config(proxies=(PROXY, NEXT_PROXY, LOCAL_PROXY), limits=limits)
    async with serving(config, websocket=websocket) as house:
        yield house


async def enter(house: House, name: str, header: bytes, *, address: str = PROXY) -> Peer:
    """A peer that has said hello behind this header."""
    peer = house.dial(address=address)
    peer.send_bytes(header)
    await peer.hello(name)
    return peer


async def is_turned_away(peer: Peer) -> None:
    bye = await peer.ended()
    assert bye is not None
    assert (bye.code, bye.detail, bye.reconnect, bye.after_s) == ("too_many_connections", FULL, True, 5)


async def statuses(house: House, requests: Iterable[bytes], *, address: str = PROXY) -> list[int]:
    """What these requests are answered, each on a connection of its own that stays."""
    return [(await Browser(house, address=address).ask(request))[0] for request in requests]


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


def frames_peer(house: House, address: str) -> Peer:
    return Peer(house.dial(address=address).link)


async def test_neighbours_in_ipv4_are_not_one(autojump_clock: MockClock) -> None:
    async with serving(connections_per_address=1) as house:
        for n in range(4):
            await house.enter(f"n{n}", address=f"192.0.2.{n}")


# --- a PROXY header -------------------------------------------------------------------------------------


@HEADERS
async def test_a_proxys_peers_are_counted_each_by_its_own(
    header: bytes, websocket: bool, autojump_clock: MockClock
) -> None:
    async with behind_proxies(websocket=websocket) as house:
        ada = await enter(house, "ada", header)
        await enter(house, "bob", v1("::ffff:203.0.113.7"))
        await is_turned_away(await silent(house, header))
        for n in range(4):
            await enter(house, f"n{n}", v2(f"203.0.113.{20 + n}"))
        await enter(house, "eve", v1("2001:db8::1"))
        await enter(house, "eva", v2("2001:db8::2"))
        await is_turned_away(await silent(house, v2("2001:db8::3")))
        ada.link.close()
        await trio.sleep(1)
        await enter(house, "amy", header)


async def silent(house: House, header: bytes) -> Peer:
    """A frames client that has sent a PROXY header and nothing of its own."""
    peer = frames_peer(house, PROXY)
    peer.send_bytes(header)
    return peer


@HEADERS
async def test_a_peer_and_the_same_peer_without_a_proxy_are_one(
    header: bytes, autojump_clock: MockClock
) -> None:
    async with behind_proxies() as house:
        await house.enter("ada", address=PEER)
        await enter(house, "bob", header)
        await is_turned_away(await silent(house, header))
        await is_turned_away(house.dial(address=PEER))


@HEADERS
async def test_a_header_may_come_in_any_pieces(
    header: bytes, websocket: bool, autojump_clock: MockClock
) -> None:
    async with behind_proxies(websocket=websocket) as house:
        await enter(house, "first", header)
        for name in ("in pieces", "at once"):
            peer = house.dial(address=PROXY)
            data = header + peer.packed(Hello(version=1, name=name.replace(" ", "")))
            step = 1 if name == "in pieces" else len(data)
            for at in range(0, len(data), step):
                peer.send_bytes(data[at : at + step])
                await wait_all_tasks_blocked()
            if name == "in pieces":
                await peer.expect(Welcome)
            elif websocket:
                assert (await peer.link.receive_some()).startswith(b"HTTP/1.1 503 ")
            else:
                await is_turned_away(peer)


@HEADERS
async def test_http_behind_a_header_is_counted_at_once(header: bytes, autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        requests = [header + get("/healthz")] * 3
        assert await statuses(house, requests) == [200, 200, 503]
        assert trio.current_time() == 0, "a peer whose dialect is known is answered at once"
        late = Browser(house, address=PROXY)
        late.send(header)
        await wait_all_tasks_blocked()
        status, headers, _ = await late.ask(get("/"))
        assert (status, headers["retry-after"]) == (503, "5")
        assert await late.closed()


@pytest.mark.parametrize(
    "header", [v1(PEER, family="UNKNOWN"), v2(PEER, command=0x20)], ids=["UNKNOWN", "LOCAL"]
)
async def test_a_header_without_an_address_leaves_the_proxys_own(
    header: bytes, autojump_clock: MockClock
) -> None:
    async with behind_proxies() as house:
        await enter(house, "ada", header)
        await enter(house, "bob", header)
        await is_turned_away(frames_peer_behind(house, header))
        for name in ("eve", "eva", "amy"):
            await enter(house, name, header, address=LOCAL_PROXY)


def frames_peer_behind(house: House, header: bytes) -> Peer:
    peer = house.dial(address=PROXY)
    peer.send_bytes(header)
    peer.send(Ping())
    return peer


async def test_silent_connections_behind_one_header_hold_no_places(autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        for _ in range(200):
            await silent(house, v1(PEER))
        await wait_all_tasks_blocked()
        assert house.server.connections == 2


async def test_half_a_header_has_the_time_of_a_hello(autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        peer = house.dial(address=PROXY)
        for byte in v2(PEER)[:9]:
            peer.send_bytes(bytes([byte]))
            await trio.sleep(1)
        await peer.ended_with("hello_timeout")
        assert 10 <= trio.current_time() <= 12
        peer.link.close()
        await trio.sleep(1)
        assert not house.server.connections


@pytest.mark.parametrize(
    "header", [b"PROXY TCP4 one two 3 4\r\n", v2(PEER, command=0x22), b"PROXY " + b"x" * 200]
)
async def test_a_malformed_header_closes_the_connection_and_is_logged_once(
    header: bytes, websocket: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with behind_proxies(websocket=websocket) as house:
        for _ in range(3):
            peer = house.dial(address=PROXY)
            peer.send_bytes(header + peer.packed(Hello(version=1, name="eve")))
            assert await peer.ended() is None
        await enter(house, "ada", v1(PEER))
    (message,) = (record.getMessage() for record in caplog.records)
    assert message.startswith("invalid PROXY header: ")
    assert message.endswith(f", from the proxy at {PROXY}; such connections are closed")
    caplog.clear()


@pytest.mark.parametrize("cut", [0, 1, 5, 12, 16])
async def test_a_proxy_that_goes_in_its_header_is_no_news(cut: int, autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        for header in (v1(PEER), v2(PEER)):
            for end in ("end", "close"):
                peer = house.dial(address=PROXY)
                peer.send_bytes(header[:cut])
                if end == "end":
                    peer.hang_up()
                else:
                    peer.link.close()
        await trio.sleep(12)
        assert not house.server.connections


async def test_only_one_header_is_read(autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        peer = house.dial(address=PROXY)
        peer.send_bytes(v1(NEXT_PROXY) + v1(PEER) + b"\r\n\r\n")
        assert (await peer.link.receive_some()).startswith(b"HTTP/1.1 400 ")


# --- X-Forwarded-For ------------------------------------------------------------------------------------


async def test_a_websocket_is_counted_by_its_forwarded_address(autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        first = Browser(house, address=PROXY)
        assert (await first.ask(upgrade(PEER)))[0] == 101
        assert await statuses(house, [upgrade(f"192.0.2.1, {PEER}")]) == [101]
        late = Browser(house, address=PROXY)
        status, headers, body = await late.ask(upgrade(f"{PEER}:56324"))
        assert (status, headers["retry-after"], headers["connection"]) == (503, "5", "close")
        assert body == f"{FULL}\n".encode()
        assert await late.closed()
        assert await statuses(house, [upgrade("203.0.113.8"), upgrade("203.0.113.8")]) == [101, 101]
        first.link.close()
        await trio.sleep(1)
        assert await statuses(house, [upgrade(PEER), upgrade(PEER)]) == [101, 503]


async def test_a_forwarded_ipv6_64_is_one(autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        requests = [upgrade(f"[2001:db8::{n}]:56324") for n in range(3)]
        assert await statuses(house, requests) == [101, 101, 503]


async def test_all_lines_are_one_list(autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        assert await statuses(house, [upgrade("192.0.2.1", PEER, NEXT_PROXY)] * 2) == [101, 101]
        assert await statuses(house, [upgrade(PEER), upgrade("192.0.2.1")]) == [503, 101]


@pytest.mark.parametrize("value", ["unknown", f"{PEER}, unknown", f"{PEER}, unknown, 127.0.0.1", "", "\xb2"])
async def test_peers_behind_garbage_share_one_count_and_are_not_loopback(
    value: str, autojump_clock: MockClock
) -> None:
    async with behind_proxies() as house:
        assert await statuses(house, [upgrade(value)] * 3, address=LOCAL_PROXY) == [101, 101, 503]
        assert await statuses(house, [upgrade(PEER)] * 2, address=LOCAL_PROXY) == [101, 101]


async def test_plain_http_through_a_proxy_is_not_counted_by_address(autojump_clock: MockClock) -> None:
    """A proxy uses a connection for one peer after the other."""
    async with behind_proxies() as house:
        asked = get("/healthz", f"X-Forwarded-For: {PEER}")
        browsers = [Browser(house, address=PROXY) for _ in range(5)]
        for browser in browsers:
            for _ in range(3):
                assert (await browser.ask(asked))[0] == 200
        assert [(await browser.ask(upgrade(PEER)))[0] for browser in browsers[:3]] == [101, 101, 503]
        assert (await browsers[3].ask(upgrade("203.0.113.8")))[0] == 101


async def test_a_refused_upgrade_is_not_counted(autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        wrong = upgrade(PEER).replace(b"Version: 13", b"Version: 8")
        with_body = upgrade(PEER).replace(b"Pragma:", b"Content-Length: 5\r\nPragma:")
        assert await statuses(house, [wrong] * 3 + [with_body] * 3) == [426] * 3 + [400] * 3
        assert await statuses(house, [upgrade(PEER)] * 3) == [101, 101, 503]


async def test_a_header_in_front_of_a_forwarding_proxy_and_its_own_are_a_chain(
    autojump_clock: MockClock,
) -> None:
    """The second is believed where the first names a proxy, and nowhere else."""
    async with behind_proxies() as house:
        chained = [v1(NEXT_PROXY) + upgrade(PEER)] * 3
        assert await statuses(house, chained) == [101, 101, 503]
        forged = [v2("192.0.2.1") + upgrade(f"192.0.2.{n}") for n in range(3)]
        assert await statuses(house, forged) == [101, 101, 503]


# --- who is believed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.2", "::1", ""])
@pytest.mark.parametrize("web", [True, False])
async def test_a_header_from_elsewhere_is_what_it_would_be_without_proxies(
    address: str, web: bool, autojump_clock: MockClock
) -> None:
    answers = []
    for proxies in ((), (PROXY, LOCAL_PROXY)):
        async with serving(Config(web=web, proxies=proxies)) as house:
            for header in (v1(PEER), v2(PEER)):
                with closing(house.dial(address=address).link) as link:
                    link.send_nowait(header + get("/"))
                    answers.append(await link.receive_some())
    assert answers[:2] == answers[2:]
    assert answers[0].startswith(b"HTTP/1.1 400 ") if web else b'"bye"' in answers[0]
    assert b'"frame_too_large"' in answers[1]


async def test_a_forwarded_address_from_elsewhere_is_ignored(autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        requests = [upgrade(f"203.0.113.{n}") for n in range(3)]
        assert await statuses(house, requests[:2], address="192.0.2.1") == [101, 101]
        assert await statuses(house, requests[2:], address="192.0.2.1") == [503]
        assert await statuses(house, [upgrade("127.0.0.1"), upgrade(PEER)], address="192.0.2.2") == [101, 101]
        assert await statuses(house, [upgrade(PEER)] * 5, address="::1") == [101] * 5
        assert await statuses(house, [upgrade(PEER)] * 3) == [101, 101, 503]


@pytest.mark.parametrize("name", ["Forwarded", "X-Real-IP", "X-Forwarded", "X_Forwarded_For"])
async def test_no_other_field_is_believed(name: str, autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        fields = [f"{name}: 203.0.113.{n}\r\nPragma:" for n in range(3)]
        requests = [CHROME.replace(b"Pragma:", field.encode()) for field in fields]
        assert await statuses(house, requests) in ([101, 101, 503], [400] * 3)


async def test_a_proxy_that_tells_nothing_is_served_as_itself(
    websocket: bool, autojump_clock: MockClock
) -> None:
    async with behind_proxies(websocket=websocket) as house:
        await house.enter("ada", address=PROXY)
        await house.enter("bob", address=f"::ffff:{PROXY}")
        late = house.dial(address=PROXY)
        late.send(Hello(version=1, name="eve"))
        if websocket:
            assert (await late.link.receive_some()).startswith(b"HTTP/1.1 503 ")
        else:
            await is_turned_away(late)
        await enter(house, "amy", v1(PEER))
        for name in ("loc", "lol", "loo"):
            await house.enter(name, address=LOCAL_PROXY)


@pytest.mark.parametrize("first", [b"P", b"PR", b"PROXY", b"\r", b"\r\n\r\n\0\r\nQUIT"])
async def test_a_dialect_that_begins_like_a_header_is_still_read(
    first: bytes, autojump_clock: MockClock
) -> None:
    """Whether it is one shows at the first byte that differs."""
    async with behind_proxies() as house:
        peer = house.dial(address=PROXY)
        for byte in first:
            peer.send_bytes(bytes([byte]))
            await wait_all_tasks_blocked()
        peer.send_bytes(b"OST / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await peer.link.receive_some()
        if first == b"P":
            assert answer.startswith(b"HTTP/1.1 405 ")
        else:
            assert answer.startswith(b"HTTP/1.1 4") if first[0] == ord("P") else b"frame_too_large" in answer


# --- loopback -------------------------------------------------------------------------------------------


@HEADERS
async def test_a_peer_behind_a_proxy_on_this_machine_is_not_loopback(
    header: bytes, autojump_clock: MockClock
) -> None:
    async with behind_proxies() as house:
        for name in ("ada", "bob"):
            await enter(house, name, header, address=LOCAL_PROXY)
        late = frames_peer(house, LOCAL_PROXY)
        late.send_bytes(header)
        await is_turned_away(late)
        assert await statuses(house, [upgrade(PEER)], address=LOCAL_PROXY) == [503]
        for name in ("loc", "lol", "loo"):
            await house.enter(name, address=LOCAL_PROXY)


@pytest.mark.parametrize("told", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("proxy", [PROXY, LOCAL_PROXY])
async def test_a_peer_that_is_told_to_be_loopback_is_exempt(
    told: str, proxy: str, autojump_clock: MockClock
) -> None:
    """A proxy is believed, whatever it tells."""
    async with behind_proxies() as house:
        for n in range(3):
            await enter(house, f"v1{n}", v1(told), address=proxy)
            await enter(house, f"v2{n}", v2(told), address=proxy)
        assert await statuses(house, [upgrade(told)] * 3, address=proxy) == [101] * 3


# --- a full server --------------------------------------------------------------------------------------


@HEADERS
async def test_a_full_server_turns_away_behind_a_header_in_the_peers_dialect(
    header: bytes, autojump_clock: MockClock
) -> None:
    async with behind_proxies(connections=1) as house:
        await enter(house, "ada", v1("192.0.2.1"))
        for data in (header, header + FRAMES.pack((b"{}",)), b""):
            peer = frames_peer(house, PROXY)
            peer.send_bytes(data)
            bye = await peer.ended_with("too_many_connections")
            assert bye.detail == "the server is full"
        assert await statuses(house, [header + get("/"), get("/"), header + CHROME]) == [503] * 3


async def test_a_full_server_reads_no_header_from_elsewhere(autojump_clock: MockClock) -> None:
    async with behind_proxies(connections=1) as house:
        await enter(house, "ada", v1("192.0.2.1"))
        browser = Browser(house, address="192.0.2.2")
        assert (await browser.ask(v1(PEER) + FRAMES.pack((b"{}",))))[0] == 503
        peer = frames_peer(house, "192.0.2.2")
        peer.send_bytes(v2(PEER) + get("/"))
        await peer.ended_with("too_many_connections")


async def test_without_the_web_http_behind_a_header_is_turned_away_in_frames(
    autojump_clock: MockClock,
) -> None:
    config = Config(web=False, proxies=(PROXY,), limits=Limits(connections_per_address=2))
    async with serving(config) as house:
        for name in ("ada", "bob"):
            await enter(house, name, v1(PEER))
        peer = house.dial(address=PROXY)
        peer.send_bytes(v1(PEER) + get("/"))
        await is_turned_away(peer)


async def test_a_full_server_closes_on_a_malformed_header(autojump_clock: MockClock) -> None:
    async with behind_proxies(connections=1) as house:
        await enter(house, "ada", v1(PEER))
        peer = frames_peer(house, PROXY)
        peer.send_bytes(b"PROXY TCP4\r\n")
        assert await peer.ended() is None


async def test_a_connection_whose_address_is_not_known_yet_counts_in_all(autojump_clock: MockClock) -> None:
    async with behind_proxies(connections=3) as house:
        for _ in range(5):
            house.dial(address=PROXY)
        await wait_all_tasks_blocked()
        assert house.server.connections == 3


@pytest.mark.parametrize("begun", [b"", b"PROXY TC", v1(PEER), v2(PEER)[:20], v1(PEER) + b"GET /"])
async def test_a_server_that_stops_waits_for_no_header(begun: bytes, autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        house.dial(address=PROXY).send_bytes(begun)
        await wait_all_tasks_blocked()
        since = trio.current_time()
    assert trio.current_time() - since <= 2


# --- what the server keeps ------------------------------------------------------------------------------


def test_a_connection_is_counted_once_and_no_longer_than_it_is_open() -> None:
    counts = ConnectionCounts(Limits(connections_per_address=1), Proxies([PROXY]))
    with CountedConnection(counts, "2001:db8::1") as first:
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


def test_a_place_that_was_taken_meanwhile_is_none() -> None:
    """Between the question and the count others may have come."""
    counts = ConnectionCounts(Limits(connections_per_address=1), Proxies([PROXY]))
    with CountedConnection(counts, PEER), CountedConnection(counts, PEER) as late:
        assert late.full == "at most 1 connections from one address"
        assert late.count_forwarded("192.0.2.1") == late.full
        assert late.address == PEER


async def _asked(*data: bytes, address: str) -> tuple[object, str, int]:
    """The dialect and the address of a caller, and how many connections are counted behind it."""
    door = Door(Limits(), Site([], lambda: 0, lambda: True), Proxies([PROXY, LOCAL_PROXY]))
    here, there = link_pair()
    there.address = address
    link: Link = there
    for each in data:
        here.send_nowait(each)
    with door.counting(link.address) as counted:
        caller = await door.ask(link, counted)
    assert caller is not None
    return caller.packing, caller.address, door.connections


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


async def test_a_peer_behind_a_header_is_served_as_any_other(
    websocket: bool, autojump_clock: MockClock
) -> None:
    async with behind_proxies(websocket=websocket) as house:
        ada = await enter(house, "ada", v2("2001:db8::1"))
        await ada.join("lobby")
        assert await ada.say("hello") == 1
        ada.send(Ping(n=7))
        await ada.answer(Pong, n=7)
        assert not [event for event in ada.seen if isinstance(event, Bye)]
