"""What only a WebSocket has: fragments, pings and pongs, several objects in a message (item 2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.siege.attack import attack
from tests.siege.client import RawClient
from tests.siege.context import AttackContext
from tests.siege.wire import payload_of, repeated, websocket_frame

__all__ = [
    "websocket_dribbled",
    "websocket_empty_fragments",
    "websocket_fragments",
    "websocket_many_objects",
    "websocket_pings",
    "websocket_upgrades",
]

SIZES = (1, 8, 64)
PING, PONG, CONTINUATION = 0x9, 0xA, 0x0


async def _flood(context: AttackContext, send: Callable[[RawClient], Awaitable[None]]) -> None:
    async with context.attacking() as nursery:
        for index in range(context.sessions):
            nursery.start_soon(_one_flooder, context, send, index % 2 == 0)


async def _one_flooder(
    context: AttackContext, send: Callable[[RawClient], Awaitable[None]], reads: bool
) -> None:
    await context.reconnecting(context.socket_member, send, reads=reads)


def _fragmented(payload: bytes) -> bytes:
    """Return a message with a fragment for each byte."""
    first = websocket_frame(payload[:1], final=False)
    middle = b"".join(
        websocket_frame(payload[at : at + 1], CONTINUATION, final=False) for at in range(1, len(payload) - 1)
    )
    return first + middle + websocket_frame(payload[-1:], CONTINUATION)


@attack(item=2, sessions=SIZES, quick=8)
async def websocket_fragments(context: AttackContext) -> None:
    """Send pings in fragments of one byte over WebSocket."""
    data = repeated(_fragmented(payload_of("ping", n=1)))
    await _flood(context, lambda client: client.repeat(data))


@attack(item=2, sessions=SIZES)
async def websocket_empty_fragments(context: AttackContext) -> None:
    """Send messages of endless empty fragments over WebSocket."""
    begin = websocket_frame(b"", final=False)
    data = repeated(websocket_frame(b"", CONTINUATION, final=False))

    async def send(client: RawClient) -> None:
        await client.send(begin)
        await client.repeat(data)

    await _flood(context, send)


@attack(item=2, sessions=SIZES)
async def websocket_pings(context: AttackContext) -> None:
    """Send pings and pongs of WebSocket's own as fast as the sockets take them."""
    data = repeated(
        websocket_frame(b"p" * 125, PING) + websocket_frame(b"", PING) + websocket_frame(b"", PONG)
    )
    await _flood(context, lambda client: client.repeat(data))


@attack(item=2, sessions=SIZES)
async def websocket_many_objects(context: AttackContext) -> None:
    """Send messages with as many pings as fit over WebSocket."""
    ping = payload_of("ping")
    data = repeated(websocket_frame(b"\n".join([ping] * (65_536 // (len(ping) + 1)))))
    await _flood(context, lambda client: client.repeat(data))


@attack(item=2, sessions=SIZES)
async def websocket_dribbled(context: AttackContext) -> None:
    """Send pings over WebSocket, one byte in each write."""
    data = websocket_frame(payload_of("ping", n=1))
    await _flood(context, lambda client: client.dribble(data))


@attack(item=2, sessions=(64,))
async def websocket_upgrades(context: AttackContext) -> None:
    """Upgrade to WebSocket and hang up, again and again."""
    async with context.attacking() as nursery:
        for _ in range(context.sessions):
            nursery.start_soon(context.reconnecting, context.connect, _upgrade, False)


async def _upgrade(client: RawClient) -> None:
    await client.upgrade()
