"""Limits by address, and addresses that are only claimed (item 6).

The proxy is 127.0.0.2; the witnesses come from 127.0.0.1, which is no proxy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from tests.siege.attack import attack
from tests.siege.client import ConnectionLost, RawClient
from tests.siege.context import AttackContext
from tests.siege.wire import proxy_v1, proxy_v2

__all__ = [
    "forwarded_behind_proxy",
    "forwarded_by_stranger",
    "header_by_stranger",
    "ipv6_prefix",
    "ipv6_prefix_v2",
]

PROXY = "127.0.0.2"
OPTIONS = ("--proxy", PROXY)
CONNECTIONS = 600
PER_ADDRESS = 64
STRANGERS = 100
ANSWER_S = 3.0


async def _admit(
    context: AttackContext, number: int, greet: Callable[[RawClient, int], Awaitable[None]], source: str
) -> int:
    """Open many connections that all stay open. Return how many the server has welcomed."""
    welcomed = 0
    indices = iter(range(number))

    async def opening() -> RawClient:
        nonlocal welcomed
        client = await context.connect(source=source)
        try:
            with trio.fail_after(ANSWER_S):
                await greet(client, next(indices))
        except (ConnectionLost, trio.TooSlowError):
            client.close()
            raise ConnectionLost from None
        except BaseException:
            client.close()
            raise
        welcomed += 1
        return client

    async with context.attacking() as nursery:
        nursery.start_soon(context.open_all, number, opening)
    context.counts["welcomed"] = welcomed
    return welcomed


async def _admit_prefix(context: AttackContext, header: Callable[[str, int], bytes]) -> None:
    """Come from 600 addresses of one /64."""

    async def greet(client: RawClient, index: int) -> None:
        await client.send(header(f"2001:db8:1:2::{index + 1:x}", context.port))
        await client.hello(context.name())

    welcomed = await _admit(context, CONNECTIONS, greet, PROXY)
    context.require(
        welcomed == PER_ADDRESS, f"{welcomed} connections of one /64 were welcomed, expected {PER_ADDRESS}"
    )


@attack(item=6, needs="--proxy", options=OPTIONS, quick=True)
async def ipv6_prefix(context: AttackContext) -> None:
    """600 connections come from one IPv6 /64, by the text form of the PROXY header: 64 must get in."""
    await _admit_prefix(context, proxy_v1)


@attack(item=6, needs="--proxy", options=OPTIONS)
async def ipv6_prefix_v2(context: AttackContext) -> None:
    """600 connections come from one IPv6 /64, by the binary form of the PROXY header: 64 must get in."""
    await _admit_prefix(context, proxy_v2)


@attack(item=6, needs="--proxy", options=OPTIONS)
async def forwarded_behind_proxy(context: AttackContext) -> None:
    """100 WebSockets come through the proxy and claim other addresses before their own: 64 must get in."""

    async def greet(client: RawClient, index: int) -> None:
        claimed = f"198.51.100.{index}, 203.0.113.7, {PROXY}"
        await client.upgrade(context.name(), {"X-Forwarded-For": claimed})

    welcomed = await _admit(context, STRANGERS, greet, PROXY)
    context.require(
        welcomed == PER_ADDRESS,
        f"{welcomed} connections of one address were welcomed, expected {PER_ADDRESS}",
    )


@attack(item=6)
async def forwarded_by_stranger(context: AttackContext) -> None:
    """100 WebSockets that are no proxy claim one address: as it is not believed, all must get in."""

    async def greet(client: RawClient, index: int) -> None:
        await client.upgrade(context.name(), {"X-Forwarded-For": "203.0.113.7"})

    welcomed = await _admit(context, STRANGERS, greet, "")
    context.require(welcomed == STRANGERS, f"{welcomed} connections were welcomed, expected {STRANGERS}")


@attack(item=6)
async def header_by_stranger(context: AttackContext) -> None:
    """Connections that are no proxy send a PROXY header: none must get in."""

    async def greet(client: RawClient, index: int) -> None:
        header = proxy_v1 if index % 2 else proxy_v2
        await client.send(header("203.0.113.7", context.port))
        await client.hello(context.name())

    welcomed = await _admit(context, STRANGERS, greet, "")
    context.require(welcomed == 0, f"{welcomed} connections were welcomed behind a PROXY header of their own")
