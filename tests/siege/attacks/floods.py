"""Cheap commands and broken ones, as many as a socket takes (item 2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.siege.attack import attack
from tests.siege.client import RawClient
from tests.siege.context import AttackContext
from tests.siege.wire import command, frame, repeated

__all__ = [
    "flood_all_kinds",
    "flood_bad_messages",
    "flood_dribbled",
    "flood_long_numbers",
    "flood_nested",
    "flood_padded",
    "flood_ping",
    "flood_questions",
    "flood_say",
    "flood_typing",
    "flood_unknown_room",
    "flood_unread",
    "stop_under_flood",
]

SIZES = (1, 8, 64)
FRAME_BYTES = 65_536
ROOM = "flood"


async def _flood(
    context: AttackContext,
    send: Callable[[RawClient], Awaitable[None]],
    *,
    rooms: tuple[str, ...] = (ROOM,),
    reads: Callable[[int], bool] = lambda index: index % 2 == 0,
) -> None:
    """Flood by as many sessions as the attack has. Every second one reads nothing, unless told otherwise."""
    async with context.attacking() as nursery:
        for index in range(context.sessions):
            nursery.start_soon(_one_flooder, context, send, rooms, reads(index))


async def _one_flooder(
    context: AttackContext,
    send: Callable[[RawClient], Awaitable[None]],
    rooms: tuple[str, ...],
    reads: bool,
) -> None:
    await context.reconnecting(lambda: context.member(*rooms), send, reads=reads)


def _repeating(data: bytes) -> Callable[[RawClient], Awaitable[None]]:
    chunk = repeated(data)
    return lambda client: client.repeat(chunk)


@attack(item=2, sessions=SIZES)
async def flood_ping(context: AttackContext) -> None:
    """Send pings as fast as the sockets take them."""
    await _flood(context, _repeating(command("ping", n=1)))


@attack(item=2, sessions=SIZES)
async def flood_typing(context: AttackContext) -> None:
    """Send typing notices as fast as the sockets take them."""
    await _flood(context, _repeating(command("typing", room=ROOM)))


@attack(item=2, sessions=SIZES)
async def flood_say(context: AttackContext) -> None:
    """Say far more than the rate allows."""
    await _flood(context, _repeating(command("say", room=ROOM, text="more", ref="r")))


@attack(item=2, sessions=SIZES)
async def flood_questions(context: AttackContext) -> None:
    """Ask who, rooms, history and search far more often than the rate allows."""
    questions = (
        command("who", room=ROOM)
        + command("rooms")
        + command("history", room=ROOM)
        + command("search", text="more")
    )
    await _flood(context, _repeating(questions))


@attack(item=2, sessions=SIZES)
async def flood_unknown_room(context: AttackContext) -> None:
    """Say, type, ask and leave in a room that the session is not in."""
    data = (
        command("typing", room="nowhere")
        + command("say", room="nowhere", text="a")
        + command("who", room="nowhere")
        + command("leave", room="nowhere")
    )
    await _flood(context, _repeating(data))


@attack(item=2, sessions=SIZES)
async def flood_bad_messages(context: AttackContext) -> None:
    """Send messages that are no JSON, no objects or no commands, and come back after each goodbye."""
    data = b"".join(
        map(frame, (b"?", b"[]", b"{}", b'{"type":"none"}', b"\xff\xfe", b'{"type":"ping","n":-1}'))
    )
    await _flood(context, _repeating(data))


@attack(item=2, sessions=SIZES)
async def flood_padded(context: AttackContext) -> None:
    """Send pings in objects with 64 KiB of white space."""
    padded = b'{"type":' + b" " * (FRAME_BYTES - 16) + b'"ping"}'
    await _flood(context, _repeating(frame(padded)))


@attack(item=2, sessions=SIZES)
async def flood_nested(context: AttackContext) -> None:
    """Send 64 KiB of nested lists and objects, and come back after each goodbye."""
    lists = b'{"type":"ping","n":' + b"[" * (FRAME_BYTES - 40)
    objects = (b'{"type":"ping","n":' + b'{"n":' * 13_000)[: FRAME_BYTES - 1]
    await _flood(context, _repeating(frame(lists) + frame(objects)))


@attack(item=2, sessions=SIZES)
async def flood_long_numbers(context: AttackContext) -> None:
    """Send numbers and escapes of 64 KiB, and come back after each goodbye."""
    digits = b'{"type":"ping","n":' + b"9" * (FRAME_BYTES - 40) + b"}"
    fraction = b'{"type":"ping","n":0.' + b"3" * (FRAME_BYTES - 40) + b"}"
    escapes = b'{"type":"say","room":"flood","text":"' + b"\\u0301" * 10_000 + b'"}'
    await _flood(context, _repeating(frame(digits) + frame(fraction) + frame(escapes)))


@attack(item=2, sessions=SIZES)
async def flood_dribbled(context: AttackContext) -> None:
    """Send pings one byte in each write."""
    await _flood(context, lambda client: client.dribble(command("ping", n=1)))


@attack(item=2, sessions=(64,))
async def flood_unread(context: AttackContext) -> None:
    """Send pings and read none of the answers."""
    await _flood(context, _repeating(command("ping", n=1)), reads=lambda index: False)


def _all_kinds() -> bytes:
    return (
        command("ping", n=1) * 20
        + command("typing", room=ROOM) * 20
        + command("say", room=ROOM, text="more") * 5
        + command("say", room="nowhere", text="more") * 5
        + command("who", room=ROOM)
        + command("rooms")
        + command("history", room=ROOM)
        + command("search", text="more")
        + command("join", room=ROOM)
        + command("leave", room="nowhere")
        + command("topic", room=ROOM, text="more")
        + command("whisper", to="walt", text="more")
        + command("rename", name="walt")
    )


@attack(item=2, sessions=SIZES, quick=64)
async def flood_all_kinds(context: AttackContext) -> None:
    """Send all kinds of commands as fast as the sockets take them."""
    await _flood(context, _repeating(_all_kinds()))


@attack(item=2, stops_server=True, quick=True)
async def stop_under_flood(context: AttackContext) -> None:
    """Stop the server by SIGTERM while 64 sessions flood it with all kinds of commands."""
    data = repeated(_all_kinds())
    async with context.attacking() as nursery:
        for index in range(64):
            reads = index % 2 == 0
            nursery.start_soon(_one_flooder, context, lambda client: client.repeat(data), (ROOM,), reads)
