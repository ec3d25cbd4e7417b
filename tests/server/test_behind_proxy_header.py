"""PROXY headers: which address they count, in any pieces, and the answers over the limit."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.harness import RawClient, ServerHarness, serving
from tests.server.proxied import (
    HEADERS,
    LOCAL_PROXY,
    NEXT_PROXY,
    PEER,
    PROXY,
    behind_proxies,
    enter,
    frames_peer,
    is_turned_away,
    silent,
    statuses,
    v1,
    v2,
)
from tests.server.web import CHROME, Browser, get
from trio_chat.dialects.frames import FRAMES
from trio_chat.server.config import Config, Limits
from trio_chat.wire.messages import Hello, Ping, Welcome

# --- a PROXY header -------------------------------------------------------------------------------------


@HEADERS
async def test_each_peer_behind_a_header_counts_by_its_own_address(
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


def frames_peer_behind(house: ServerHarness, header: bytes) -> RawClient:
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
    message, counted = (record.getMessage() for record in caplog.records)
    assert counted == f"2 connections closed: invalid PROXY header; from {PROXY}"
    assert message.startswith("invalid PROXY header: ")
    assert message.endswith(f", from the proxy at {PROXY}; such connections are closed")
    caplog.clear()


@pytest.mark.parametrize("cut", [0, 1, 5, 12, 16])
async def test_a_disconnect_within_a_header_is_quiet(cut: int, autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        for header in (v1(PEER), v2(PEER)):
            for end in ("end", "close"):
                peer = house.dial(address=PROXY)
                peer.send_bytes(header[:cut])
                if end == "end":
                    peer.send_eof()
                else:
                    peer.link.close()
        await trio.sleep(12)
        assert not house.server.connections


async def test_only_one_header_is_read(autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        peer = house.dial(address=PROXY)
        peer.send_bytes(v1(NEXT_PROXY) + v1(PEER) + b"\r\n\r\n")
        assert (await peer.link.receive_some()).startswith(b"HTTP/1.1 400 ")


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
async def test_draining_waits_for_no_header(begun: bytes, autojump_clock: MockClock) -> None:
    async with behind_proxies() as house:
        house.dial(address=PROXY).send_bytes(begun)
        await wait_all_tasks_blocked()
        since = trio.current_time()
    assert trio.current_time() - since <= 2
