"""Random dialogues with a hostile server: a program goes on or gets a documented error, within bounds."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

import pytest
import trio
from trio.testing import MockClock

from tests.client.hostile import HostileServer, over_bounds
from tests.client.scripted import ScriptedServer
from trio_chat.client import Chat, connect
from trio_chat.errors import ChatError

ROOMS = ("lobby", "garden", "attic")
CALLED = 40


CALLS: tuple[Callable[[Chat, str, int], Awaitable[object]], ...] = (
    lambda chat, room, number: chat.join(room, number),
    lambda chat, room, number: chat.say(room, "hello"),
    lambda chat, room, number: chat.topic(room, "a topic"),
    lambda chat, room, number: chat.who(room),
    lambda chat, room, number: chat.rooms(),
    lambda chat, room, number: chat.history(room, after=number),
    lambda chat, room, number: chat.search("hello"),
    lambda chat, room, number: chat.whisper("bob", "psst"),
    lambda chat, room, number: chat.rename("ada"),
    lambda chat, room, number: chat.typing(room),
    lambda chat, room, number: chat.leave(room),
    lambda chat, room, number: chat.ping(),
)


async def talk(chat: Chat, random: Random) -> None:
    """Use every call of a Chat, in random order."""
    for _ in range(CALLED):
        call = random.choice(CALLS)
        with suppress(ChatError), trio.move_on_after(random.choice((5, 50))):
            await call(chat, random.choice(ROOMS), random.choice((0, 5, 20)))


async def listen(chat: Chat, random: Random) -> None:
    """Take events one by one or in batches, with pauses."""
    try:
        while True:
            if random.random() < 0.5:
                await anext(chat)
            else:
                await anext(chat.batches())
            assert over_bounds(chat, CALLED) == {}
            await trio.sleep(random.choice((0, 0, 0, 3)))
    except (ChatError, StopAsyncIteration):
        pass


async def visit(seed: int) -> None:
    """Run a client against a hostile server. Raises undocumented errors."""
    scripted_server, random = ScriptedServer(), Random(seed)
    async with trio.open_nursery() as servers:
        servers.start_soon(HostileServer(seed).serve, scripted_server)
        try:
            with trio.move_on_after(3_000):
                async with connect(
                    name="ada",
                    dial=scripted_server.dial,
                    inbox_events=random.choice((2, 50, 1024)),
                    patience_s=100,
                    random=random.random,
                    clock_s=trio.current_time,
                ) as chat:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(listen, chat, random)
                        await talk(chat, random)
                        nursery.cancel_scope.cancel()
                    assert over_bounds(chat, CALLED) == {}
        except ChatError as error:
            assert "\n" not in str(error) and str(error).isprintable()
        servers.cancel_scope.cancel()


@pytest.mark.seeds(200)
def test_a_client_survives_a_hostile_server(seed: int) -> None:
    trio.run(visit, seed, clock=MockClock(autojump_threshold=0))
