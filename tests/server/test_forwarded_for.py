"""`X-Forwarded-For` in a request for a WebSocket: which address it counts, and when."""

import pytest
import trio
from trio.testing import MockClock

from tests.server.proxied import (
    FULL,
    LOCAL_PROXY,
    NEXT_PROXY,
    PEER,
    PROXY,
    behind_proxies,
    statuses,
    upgrade,
    v1,
    v2,
)
from tests.server.web import Browser, get

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
    """A proxy reuses a connection for several peers."""
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


async def test_a_header_that_names_a_proxy_and_its_forwarded_address_are_a_chain(
    autojump_clock: MockClock,
) -> None:
    """The forwarded address is believed only if the header names a trusted proxy."""
    async with behind_proxies() as house:
        chained = [v1(NEXT_PROXY) + upgrade(PEER)] * 3
        assert await statuses(house, chained) == [101, 101, 503]
        forged = [v2("192.0.2.1") + upgrade(f"192.0.2.{n}") for n in range(3)]
        assert await statuses(house, forged) == [101, 101, 503]
