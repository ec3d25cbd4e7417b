"""Shared by the tests of proxies: the headers that a proxy sends, and a server that trusts three."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from ipaddress import IPv6Address

import pytest

from tests.server.harness import RawClient, ServerHarness, serving
from tests.server.web import CHROME, Browser
from trio_chat.server.config import Config, Limits

__all__ = [
    "FULL",
    "HEADERS",
    "LOCAL_PROXY",
    "NEXT_PROXY",
    "PEER",
    "PROXY",
    "behind_proxies",
    "enter",
    "frames_peer",
    "is_turned_away",
    "silent",
    "statuses",
    "upgrade",
    "v1",
    "v2",
]

PROXY = "198.51.100.9"
NEXT_PROXY = "198.51.100.10"
LOCAL_PROXY = "127.0.0.1"
PEER = "203.0.113.7"
FULL = "at most 2 connections from one address"


def v1(address: str, *, family: str = "") -> bytes:
    """Return a PROXY header of version 1."""
    version = 6 if ":" in address else 4
    return f"PROXY {family or f'TCP{version}'} {address} {address} 56324 443\r\n".encode()


def v2(address: str, *, command: int = 0x21) -> bytes:
    """Return a PROXY header of version 2, with a TLV."""
    packed = IPv6Address(address if ":" in address else f"::ffff:{address}").packed
    rest = packed * 2 + bytes(4) + bytes.fromhex("04 0003 000000")
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, 0x21]) + len(rest).to_bytes(2) + rest


HEADERS = pytest.mark.parametrize("header", [v1(PEER), v2(PEER)], ids=["v1", "v2"])


def upgrade(*forwarded_for: str) -> bytes:
    """Return a browser's request for a WebSocket, with these lines of `X-Forwarded-For`."""
    lines = "".join(f"X-Forwarded-For: {value}\r\n" for value in forwarded_for)
    return CHROME.replace(b"Pragma:", lines.encode("latin-1") + b"Pragma:")


@asynccontextmanager
async def behind_proxies(
    *, connections: int = 1_000, websocket: bool = False
) -> AsyncGenerator[ServerHarness]:
    """Run a server that trusts three proxies and takes two connections from one address."""
    limits = Limits(connections_per_address=2, connections=connections)
    config = Config(proxies=(PROXY, NEXT_PROXY, LOCAL_PROXY), limits=limits)
    async with serving(config, websocket=websocket) as harness:
        yield harness


async def enter(harness: ServerHarness, name: str, header: bytes, *, address: str = PROXY) -> RawClient:
    """Return a peer that has said hello behind this header."""
    peer = harness.dial(address=address)
    peer.send_bytes(header)
    await peer.hello(name)
    return peer


async def is_turned_away(peer: RawClient) -> None:
    """Check that the server says goodbye because the peer's address is full."""
    bye = await peer.ended()
    assert bye is not None
    assert (bye.code, bye.detail, bye.reconnect, bye.after_s) == ("too_many_connections", FULL, True, 5)


async def statuses(harness: ServerHarness, requests: Iterable[bytes], *, address: str = PROXY) -> list[int]:
    """Return the status of the answer to each request, each on a connection of its own that stays."""
    return [(await Browser(harness, address=address).ask(request))[0] for request in requests]


def frames_peer(harness: ServerHarness, address: str) -> RawClient:
    """Return a peer that speaks frames, also where the others speak WebSocket."""
    return RawClient(harness.dial(address=address).link)


async def silent(harness: ServerHarness, header: bytes) -> RawClient:
    """Return a frames client that has sent a PROXY header and nothing of its own."""
    peer = frames_peer(harness, PROXY)
    peer.send_bytes(header)
    return peer
