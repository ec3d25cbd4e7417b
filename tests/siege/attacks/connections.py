"""Very many connections, and what they do at one moment (item 8)."""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import trio

from tests.siege.attack import attack
from tests.siege.client import ConnectionLost, RawClient
from tests.siege.context import AttackContext
from tests.siege.wire import command

__all__ = [
    "connect_and_close",
    "half_frames",
    "half_hellos",
    "hello_storm",
    "leave_at_once",
    "resets",
    "silent_connections",
    "slow_heads",
    "unread_room",
]

SOON = ("--limit", "hello_s=2", "--limit", "frame_s=2")
SOON_S = 4.5  # until what the limits allow is over, and its end has been dealt with
WITNESS_ROOM = "witnesses"
SOURCES = [f"127.0.0.{number}" for number in range(3, 11)]  # ports enough, and all of them loopback


async def _open_with(context: AttackContext, number: int, data: bytes) -> list[RawClient]:
    sources = count()

    async def opening() -> RawClient:
        client = await context.connect(source=SOURCES[next(sources) % len(SOURCES)])
        try:
            if data:
                await client.send(data)
        except BaseException:
            client.close()
            raise
        return client

    return await context.open_all(number, opening)


@attack(item=8, options=SOON, seconds_min=SOON_S, quick=True, memory_mib=16)
async def slow_heads(context: AttackContext) -> None:
    """3,000 connections send half the head of a request, and their time ends at one moment."""
    async with context.attacking():
        await _open_with(context, 3_000, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")


@attack(item=8, options=SOON, seconds_min=SOON_S, memory_mib=16)
async def silent_connections(context: AttackContext) -> None:
    """3,000 connections say nothing, and their time ends at one moment."""
    async with context.attacking():
        await _open_with(context, 3_000, b"")


@attack(item=8, options=SOON, seconds_min=SOON_S, memory_mib=16)
async def half_hellos(context: AttackContext) -> None:
    """3,000 connections send half a hello, and their time ends at one moment."""
    async with context.attacking():
        await _open_with(context, 3_000, command("hello", version=1, name="half")[:20])


@attack(item=8, options=SOON, seconds_min=SOON_S, memory_mib=16)
async def half_frames(context: AttackContext) -> None:
    """2,000 members send half a frame at one moment, and their time ends at one moment."""
    clients = await context.members(2_000)
    async with context.attacking():
        for client in clients:
            await client.send(command("ping", n=1)[:10])


@attack(item=8, memory_mib=16)
async def resets(context: AttackContext) -> None:
    """3,000 connections, some of them members, are reset at one moment, again and again."""
    async with context.attacking():
        while True:
            clients = await _open_with(context, 2_700, b"")
            clients += await context.members(300, "reset")
            for client in clients:
                client.reset()


@attack(item=8)
async def connect_and_close(context: AttackContext) -> None:
    """Connect and close at once, as fast as it goes, by 32 tasks."""
    sources = count()

    async def storm() -> None:
        while True:
            try:
                client = await context.connect(source=SOURCES[next(sources) % len(SOURCES)])
            except ConnectionLost:
                await trio.sleep(0.01)
            else:
                context.counts["connections"] += 1
                client.reset()

    async with context.attacking() as nursery:
        for _ in range(32):
            nursery.start_soon(storm)


@attack(item=8, memory_mib=16)
async def hello_storm(context: AttackContext) -> None:
    """2,000 connections say hello and join one room at one moment, and all leave at one moment."""
    clients = await _open_with(context, 2_000, b"")
    async with context.attacking() as nursery:
        for client in clients:
            nursery.start_soon(client.discard)
            hello = command("hello", version=1, name=context.name())
            nursery.start_soon(_send, client, hello + command("join", room="storm"))
        await trio.sleep(context.seconds / 2)
        for client in clients:
            nursery.start_soon(_send, client, command("leave", room="storm"))


@attack(item=8, memory_mib=16)
async def leave_at_once(context: AttackContext) -> None:
    """500 members of the witnesses' room leave it at one moment, come back, and break off at one moment."""
    clients = await context.members(500, WITNESS_ROOM)
    async with context.attacking() as nursery:
        for client in clients:
            nursery.start_soon(client.discard)
        for data in (command("leave", room=WITNESS_ROOM), command("join", room=WITNESS_ROOM)):
            for client in clients:
                nursery.start_soon(_send, client, data)
            await trio.sleep(context.seconds / 3)
        for client in clients:
            client.reset()


@attack(item=8, memory_mib=48)
async def unread_room(context: AttackContext) -> None:
    """200 members of the witnesses' room read nothing, while 8 others say large texts there."""
    await context.open_all(200, lambda: context.member(WITNESS_ROOM, receive_bytes=4_096))
    talkers = await context.members(8, WITNESS_ROOM)
    say = command("say", room=WITNESS_ROOM, text="x" * 3_000)
    async with context.attacking() as nursery:
        for client in talkers:
            nursery.start_soon(client.discard)
            nursery.start_soon(_talk, client, say)


async def _talk(client: RawClient, say: bytes) -> None:
    await _send(client, say * 20)
    while True:
        await trio.sleep(0.21)
        await _send(client, say)


async def _send(client: RawClient, data: bytes) -> None:
    with suppress(ConnectionLost):
        await client.send(data)
