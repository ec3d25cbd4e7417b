"""What stories about outages share: calls that are under way, and rooms that one is in."""

from collections.abc import Awaitable, Callable

import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import Peer, Stage
from trio_chat.client import Chat, ClientEvent, Reconnected
from trio_chat.errors import ConnectionLost, Refused
from trio_chat.wire.messages import Join

__all__ = ["Calls", "cut_off", "enter", "expect_all", "length_of", "next_of", "said_in"]


async def next_of(chat: Chat, count: int) -> list[ClientEvent]:
    """The next events, so many."""
    return [await anext(chat) for _ in range(count)]


async def cut_off(peer: Peer, stage: Stage) -> Peer:
    """Break the client's connection, and welcome it on its next."""
    peer.reset()
    peer = await stage.accept()
    await peer.greet()
    return peer


async def enter(chat: Chat, peer: Peer, *rooms: str, head: int = 0) -> None:
    """Join these rooms; `head` is the newest entry there."""
    for room in rooms:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chat.join, room)
            join = await peer.expect(Join)
            peer.hear_again(join)
            await peer.admit(head=head)


async def expect_all(peer: Peer, count: int) -> list[object]:
    """The next commands, so many."""
    return [await peer.command() for _ in range(count)]


class Calls:
    """What a program has called, and how it went."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.ended: dict[str, object] = {}

    async def begin(self, what: str, call: Callable[[], Awaitable[object]]) -> None:
        """Begin a call, so that it stands behind those that were begun before."""
        self._nursery.start_soon(self.call, what, call)
        await wait_all_tasks_blocked()

    async def call(self, what: str, call: Callable[[], Awaitable[object]]) -> None:
        """Call, and note how it ended."""
        try:
            self.ended[what] = await call()
        except (ConnectionLost, Refused) as error:
            self.ended[what] = error


def said_in(chat: Chat, room: str, text: str) -> Callable[[], Awaitable[int]]:
    """A call of `say`."""

    async def say() -> int:
        return await chat.say(room, text)

    return say


def length_of(event: ClientEvent) -> float:
    """How long the outage was whose end this is."""
    assert isinstance(event, Reconnected), event
    return event.after_s
