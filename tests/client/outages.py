"""Helpers for tests of outages: running calls and joined rooms."""

from collections.abc import Awaitable, Callable

import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedServer
from trio_chat.client import Chat, ClientEvent, Reconnected
from trio_chat.errors import ConnectionLost, Refused
from trio_chat.wire.messages import Join

__all__ = ["Calls", "enter", "next_commands", "next_events", "outage_s", "reset_and_accept", "say_call"]


async def next_events(chat: Chat, count: int) -> list[ClientEvent]:
    """Return the next `count` events."""
    return [await anext(chat) for _ in range(count)]


async def reset_and_accept(peer: ScriptedConnection, scripted_server: ScriptedServer) -> ScriptedConnection:
    """Break the client's connection, and welcome it on the next one."""
    peer.reset()
    peer = await scripted_server.accept()
    await peer.greet()
    return peer


async def enter(chat: Chat, peer: ScriptedConnection, *rooms: str, head: int = 0) -> None:
    """Join these rooms, whose newest entry is `head`."""
    for room in rooms:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chat.join, room)
            join = await peer.expect(Join)
            peer.push_back(join)
            await peer.admit(head=head)


async def next_commands(peer: ScriptedConnection, count: int) -> list[object]:
    """Return the next `count` commands."""
    return [await peer.command() for _ in range(count)]


class Calls:
    """The calls of a program and their results."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.ended: dict[str, object] = {}

    async def begin(self, what: str, call: Callable[[], Awaitable[object]]) -> None:
        """Start a call, so that it queues behind earlier ones."""
        self._nursery.start_soon(self.call, what, call)
        await wait_all_tasks_blocked()

    async def call(self, what: str, call: Callable[[], Awaitable[object]]) -> None:
        """Call, and store the result or the error."""
        try:
            self.ended[what] = await call()
        except (ConnectionLost, Refused) as error:
            self.ended[what] = error


def say_call(chat: Chat, room: str, text: str) -> Callable[[], Awaitable[int]]:
    """Return a function that calls `say`."""

    async def say() -> int:
        return await chat.say(room, text)

    return say


def outage_s(event: ClientEvent) -> float:
    """Return the length of the outage that this event ends."""
    assert isinstance(event, Reconnected), event
    return event.after_s
