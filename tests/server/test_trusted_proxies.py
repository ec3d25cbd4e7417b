"""The trusted proxies, and the limits for peers behind a proxy on this machine."""

from contextlib import closing

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.harness import serving
from tests.server.proxied import (
    HEADERS,
    LOCAL_PROXY,
    PEER,
    PROXY,
    behind_proxies,
    enter,
    frames_peer,
    is_turned_away,
    statuses,
    upgrade,
    v1,
    v2,
)
from tests.server.web import CHROME, get
from trio_chat.server.config import Config
from trio_chat.wire.messages import Hello

# --- which addresses are trusted ------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.2", "::1", ""])
@pytest.mark.parametrize("web", [True, False])
async def test_a_header_from_an_untrusted_address_is_read_as_ordinary_bytes(
    address: str, web: bool, autojump_clock: MockClock
) -> None:
    answers = []
    for proxies in ((), (PROXY, LOCAL_PROXY)):
        async with serving(Config(web=web, proxies=proxies)) as harness:
            for header in (v1(PEER), v2(PEER)):
                with closing(harness.dial(address=address).link) as link:
                    link.send_nowait(header + get("/"))
                    answers.append(await link.receive_some())
    assert answers[:2] == answers[2:]
    assert answers[0].startswith(b"HTTP/1.1 400 ") if web else b'"bye"' in answers[0]
    assert b'"frame_too_large"' in answers[1]


async def test_a_forwarded_address_from_an_untrusted_address_is_ignored(autojump_clock: MockClock) -> None:
    async with behind_proxies() as harness:
        requests = [upgrade(f"203.0.113.{n}") for n in range(3)]
        assert await statuses(harness, requests[:2], address="192.0.2.1") == [101, 101]
        assert await statuses(harness, requests[2:], address="192.0.2.1") == [503]
        assert await statuses(harness, [upgrade("127.0.0.1"), upgrade(PEER)], address="192.0.2.2") == [
            101,
            101,
        ]
        assert await statuses(harness, [upgrade(PEER)] * 5, address="::1") == [101] * 5
        assert await statuses(harness, [upgrade(PEER)] * 3) == [101, 101, 503]


@pytest.mark.parametrize("name", ["Forwarded", "X-Real-IP", "X-Forwarded", "X_Forwarded_For"])
async def test_other_fields_are_ignored(name: str, autojump_clock: MockClock) -> None:
    async with behind_proxies() as harness:
        fields = [f"{name}: 203.0.113.{n}\r\nPragma:" for n in range(3)]
        requests = [CHROME.replace(b"Pragma:", field.encode()) for field in fields]
        assert await statuses(harness, requests) in ([101, 101, 503], [400] * 3)


async def test_a_proxy_without_a_header_counts_as_itself(websocket: bool, autojump_clock: MockClock) -> None:
    async with behind_proxies(websocket=websocket) as harness:
        await harness.enter("ada", address=PROXY)
        await harness.enter("bob", address=f"::ffff:{PROXY}")
        late = harness.dial(address=PROXY)
        late.send(Hello(version=1, name="eve"))
        if websocket:
            assert (await late.link.receive_some()).startswith(b"HTTP/1.1 503 ")
        else:
            await is_turned_away(late)
        await enter(harness, "amy", v1(PEER))
        for name in ("loc", "lol", "loo"):
            await harness.enter(name, address=LOCAL_PROXY)


@pytest.mark.parametrize("first", [b"P", b"PR", b"PROXY", b"\r", b"\r\n\r\n\0\r\nQUIT"])
async def test_a_dialect_that_begins_like_a_header_is_still_read(
    first: bytes, autojump_clock: MockClock
) -> None:
    """The first byte that differs decides."""
    async with behind_proxies() as harness:
        peer = harness.dial(address=PROXY)
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
    async with behind_proxies() as harness:
        for name in ("ada", "bob"):
            await enter(harness, name, header, address=LOCAL_PROXY)
        late = frames_peer(harness, LOCAL_PROXY)
        late.send_bytes(header)
        await is_turned_away(late)
        assert await statuses(harness, [upgrade(PEER)], address=LOCAL_PROXY) == [503]
        for name in ("loc", "lol", "loo"):
            await harness.enter(name, address=LOCAL_PROXY)


@pytest.mark.parametrize("told", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("proxy", [PROXY, LOCAL_PROXY])
async def test_a_peer_that_a_proxy_names_as_loopback_is_exempt(
    told: str, proxy: str, autojump_clock: MockClock
) -> None:
    async with behind_proxies() as harness:
        for n in range(3):
            await enter(harness, f"v1{n}", v1(told), address=proxy)
            await enter(harness, f"v2{n}", v2(told), address=proxy)
        assert await statuses(harness, [upgrade(told)] * 3, address=proxy) == [101] * 3
