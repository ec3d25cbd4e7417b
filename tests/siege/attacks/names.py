"""Names and hosts that are expensive to check, in every command that has one (item 1)."""

from __future__ import annotations

from contextlib import suppress
from itertools import cycle

import trio

from tests.siege.attack import attack
from tests.siege.client import ConnectionLost, RawClient
from tests.siege.context import AttackContext
from tests.siege.texts import ARABIC_DIGITS, ODD_NAMES, descending_marks, odd_name, odd_names
from tests.siege.wire import command, repeated

__all__ = [
    "hello_digits",
    "hello_long_names",
    "hello_odd_names",
    "hello_short_odd_names",
    "hello_taken",
    "http_odd_requests",
    "join_refused_within_rates",
    "room_names",
    "room_names_short",
    "stop_under_hellos",
    "whisper_names",
]

HELLO_BYTES_PER_S = 600_000
REFUSED_HELLOS_MAX = 10
HELLO_BYTES = 8_192
ROOM_CHARACTERS = 256
JOINS_BURST = 200


def _hello(name: str) -> bytes:
    return command("hello", version=1, name=name)


@attack(item=1, sessions=(1, 8), quick=8)
async def hello_digits(context: AttackContext) -> None:
    """Send refused hellos with 128 Arabic-Indic digits at 0.6 MB/s."""
    hello = _hello(odd_name(ARABIC_DIGITS, 128))
    await _require_bye(context, hello)
    async with context.attacking() as nursery:
        for _ in range(context.sessions):
            nursery.start_soon(
                context.reconnecting,
                context.connect,
                lambda client: client.pace(repeated(hello, 12_000), HELLO_BYTES_PER_S),
            )


async def _require_bye(context: AttackContext, hello: bytes) -> None:
    """Require that nine refused hellos are answered by an error each and the tenth by `bye rate_limited`."""
    async with await context.connect() as client:
        try:
            for number in range(1, REFUSED_HELLOS_MAX):
                await client.send(hello)
                answer = await client.message()
                right = (answer["type"], answer["code"]) == ("error", "bad_name")
                context.require(right, f"refused hello {number} was answered by {answer}")
            await client.send(hello)
            bye = await client.message()
        except ConnectionLost:
            context.require(False, "the connection ended before the tenth refused hello")
            return
    shown = {field: bye.get(field) for field in ("type", "code", "reconnect", "after_s")}
    expected = {"type": "bye", "code": "rate_limited", "reconnect": True, "after_s": 5}
    context.require(
        shown == expected, f"the tenth refused hello was answered by {shown}, expected {expected}"
    )


async def _flood(context: AttackContext, data: bytes, sessions: int) -> None:
    async with context.attacking() as nursery:
        for _ in range(sessions):
            nursery.start_soon(context.reconnecting, context.connect, lambda client: client.repeat(data))


@attack(item=1, stops_server=True)
async def stop_under_hellos(context: AttackContext) -> None:
    """Stop the server by SIGTERM while 8 connections send hellos with 128 Arabic-Indic digits."""
    await _flood(context, repeated(_hello(odd_name(ARABIC_DIGITS, 128))), 8)


@attack(item=1, sessions=(1, 8))
async def hello_odd_names(context: AttackContext) -> None:
    """Send hellos with odd names of 32 to 256 characters, each connection with another name."""
    # Some are refused, some are welcomed; a hello after a welcome is a bad message.
    names = [name for characters in (128, 33, 32, 64, 256) for name in odd_names(characters)]
    chunks = cycle([repeated(_hello(name)) for name in names])
    async with context.attacking() as nursery:
        for _ in range(context.sessions):
            nursery.start_soon(
                context.reconnecting, context.connect, lambda client: client.repeat(next(chunks))
            )


@attack(item=1)
async def hello_long_names(context: AttackContext) -> None:
    """Send hellos whose names fill the frame of 8 KiB as fast as the socket takes them, by 8 connections."""
    names = [name.encode()[: HELLO_BYTES - 100].decode(errors="ignore") for name in odd_names(HELLO_BYTES)]
    await _flood(context, repeated(b"".join(map(_hello, names))), 8)


@attack(item=1)
async def hello_taken(context: AttackContext) -> None:
    """Send hellos with a name that a witness has, as fast as the socket takes them, by 8 connections."""
    await _require_counted(context, _hello("walt"))
    await _flood(context, repeated(_hello("walt")), 8)


async def _require_counted(context: AttackContext, hello: bytes) -> None:
    """Require that a connection is told goodbye at the tenth hello that is refused, for whatever reason."""
    async with await context.connect() as client:
        await client.send(hello * REFUSED_HELLOS_MAX)
        answers: list[str] = []
        with trio.move_on_after(5):
            try:
                while True:
                    answers.append(str((await client.message())["code"]))
            except ConnectionLost:
                pass
    expected = ["name_taken"] * (REFUSED_HELLOS_MAX - 1) + ["rate_limited"]
    context.require(answers == expected, f"ten hellos with a taken name were answered by {answers}")


@attack(item=1)
async def hello_short_odd_names(context: AttackContext) -> None:
    """Say hello with odd names of 32 characters, each another one, and hang up, by 32 connections."""
    numbers = iter(range(1 << 30))
    units = cycle(odd_names(26))

    async def greet(client: RawClient) -> None:
        await client.send(_hello(f"{next(numbers):06d}{next(units)}"))
        await client.receive()

    async with context.attacking() as nursery:
        for _ in range(32):
            nursery.start_soon(context.reconnecting, context.connect, greet, False)


def _room_commands(room: str) -> bytes:
    return b"".join(
        (
            command("join", room=room),
            command("who", room=room),
            command("leave", room=room),
            command("history", room=room),
            command("search", text="a", room=room),
            command("typing", room=room),
            command("say", room=room, text="a"),
            command("topic", room=room, text="a"),
        )
    )


async def _flood_rooms(context: AttackContext, rooms: list[str]) -> None:
    """Send more commands than a member's rates allow, and begin again as another member."""
    data = b"".join(_room_commands(room) for room in rooms)
    data *= JOINS_BURST // len(rooms) + 1
    async with context.attacking() as nursery:
        for _ in range(context.sessions):
            nursery.start_soon(
                context.reconnecting, context.member, lambda client: client.exchange(data), False
            )


@attack(item=1, sessions=(1, 8), quick=8)
async def room_names(context: AttackContext) -> None:
    """Send every command that names a room with odd names of 256 characters."""
    await _flood_rooms(context, odd_names(ROOM_CHARACTERS))


@attack(item=1, sessions=(8,))
async def room_names_short(context: AttackContext) -> None:
    """Send every command that names a room with odd names of 65 characters."""
    await _flood_rooms(context, odd_names(65))


@attack(item=1)
async def join_refused_within_rates(context: AttackContext) -> None:
    """Send the 200 joins that the rates allow at once, all of them refused, by 32 sessions."""
    names = cycle(odd_names(ROOM_CHARACTERS))
    data = b"".join(command("join", room=next(names)) for _ in range(JOINS_BURST))
    clients = await context.members(32)
    async with context.attacking() as nursery:
        for client in clients:
            nursery.start_soon(client.discard)
            nursery.start_soon(_send_once, client, data)


async def _send_once(client: RawClient, data: bytes) -> None:
    with suppress(ConnectionLost):
        await client.send(data)


@attack(item=1)
async def whisper_names(context: AttackContext) -> None:
    """Whisper to and rename to odd names at the rate that is allowed, by 64 sessions."""
    names = [name for characters in (32, 64, 256, 4_096) for name in odd_names(characters)]
    names += [odd_name(ODD_NAMES["Greek that composes"], 16_000), descending_marks(16_000)]
    whispers = [command("whisper", to=name, text="a") for name in names]
    renames = [command("rename", name=name) for name in names]
    commands = cycle(whispers + renames)

    async def whisper(client: RawClient) -> None:
        for _ in range(20):
            await client.send(next(commands))
        while True:
            await trio.sleep(0.2)
            await client.send(next(commands))

    async with context.attacking() as nursery:
        for _ in range(64):
            nursery.start_soon(context.reconnecting, context.member, whisper)


@attack(item=1)
async def http_odd_requests(context: AttackContext) -> None:
    """Send requests with odd hosts, targets and headers, many at once, by 8 connections."""
    hosts = ["\u0660" * 2_000, "[" + ":" * 4_000 + "]", "a." * 3_000, "1" * 7_000, "127.0.0.1:" + "9" * 7_000]
    heads = [f"Host: {host}".encode() for host in hosts]
    heads += [
        b"Host: localhost\r\nConnection: Upgrade\xd3\r\nUpgrade: websocket",
        b"Host: localhost\r\nOrigin: http://" + b"%" * 7_000,
        b"Host: localhost\r\nIf-None-Match: " + b'"a",' * 1_700,
        b"Host: localhost\r\nConnection: " + b"upgrade," * 900,
        b"Host: localhost\r\n" + b"\r\n".join(b"a: b" for _ in range(1_200)),
        b"Host: localhost\r\nX-Forwarded-For: " + b"1.2.3.4," * 900,
    ]
    requests = [b"GET / HTTP/1.1\r\n" + head + b"\r\n\r\n" for head in heads]
    requests += [
        b"GET /" + part * (7_000 // len(part)) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for part in (b"%", b"../", b"?", b"a/")
    ]
    ordinary = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50
    datas = cycle([ordinary + request for request in requests])

    async def ask(client: RawClient) -> None:
        await client.repeat(next(datas))

    async with context.attacking() as nursery:
        for _ in range(8):
            nursery.start_soon(context.reconnecting, context.connect, ask)
