"""Questions about many rooms and about large ones (item 4)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import trio

from tests.siege.attack import attack
from tests.siege.client import ConnectionLost, RawClient
from tests.siege.context import AttackContext
from tests.siege.wire import command

__all__ = ["rooms_asked", "rooms_changed", "who_asked"]

ROOMS_EACH = 100
PERIOD_S = 0.1  # ten questions a second are allowed
LARGE_ROOM = "large"


async def _enter_rooms(context: AttackContext, members: int) -> list[RawClient]:
    """Let members into a hundred rooms each, all of them different."""
    numbers = count()
    return await context.open_all(
        members, lambda: context.member(*(f"room{next(numbers)}" for _ in range(ROOMS_EACH)))
    )


async def _ask(context: AttackContext, client: RawClient, question: Callable[[int], bytes]) -> None:
    """Ask at the rate that is allowed, until the connection is lost."""
    try:
        for number in count():
            await client.send(question(number))
            context.counts["questions"] += 1
            await trio.sleep(PERIOD_S)
    except ConnectionLost:
        context.require(False, "a member who asked within the rates lost its connection")


# The names of rooms are cached, and the allocator keeps what thousands of rooms took.
@attack(item=4, quick=True, memory_mib=24)
async def rooms_asked(context: AttackContext) -> None:
    """64 members with 100 rooms each ask which rooms there are, within the rates."""
    clients = await _enter_rooms(context, context.scaled(64, 40))

    def question(number: int) -> bytes:
        return command("rooms", after=f"room{number * 97 % 5_000}") if number % 2 else command("rooms")

    async with context.attacking() as nursery:
        for client in clients:
            nursery.start_soon(client.discard)
            nursery.start_soon(_ask, context, client, question)


@attack(item=4, memory_mib=24)
async def rooms_changed(context: AttackContext) -> None:
    """64 members with 100 rooms each leave, join and ask which rooms there are, within the rates."""
    clients = await _enter_rooms(context, 64)
    names = count()

    def question(number: int) -> bytes:
        room = f"other{next(names) // 2}"
        change = b""
        if number % 4 == 0:
            change = command("join", room=room) + command("leave", room=room)
        return change + command("rooms")

    async with context.attacking() as nursery:
        for client in clients:
            nursery.start_soon(client.discard)
            nursery.start_soon(_ask, context, client, question)


@attack(item=4)
async def who_asked(context: AttackContext) -> None:
    """64 of the 500 members of a room ask who is there and for its history, within the rates."""
    members = await context.members(500, LARGE_ROOM)
    for number, client in enumerate(members[:64]):
        await client.send(command("say", room=LARGE_ROOM, text=f"{number} " + "x" * 2_000) * 4)

    def question(number: int) -> bytes:
        match number % 3:
            case 0:
                return command("who", room=LARGE_ROOM)
            case 1:
                return command("who", room=LARGE_ROOM, after=f"a{number}")
            case _:
                return command("history", room=LARGE_ROOM)

    async with context.attacking() as nursery:
        for client in members:
            nursery.start_soon(client.discard)
        for client in members[:64]:
            nursery.start_soon(_ask, context, client, question)
