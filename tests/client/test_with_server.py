"""The client with the real server: guarantees that need both."""

import pytest
import trio

from tests.server.harness import PipeListener
from trio_chat.client import Chat, ClientEvent, connect
from trio_chat.net.link import Link
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import open_server
from trio_chat.wire.messages import Gap, Said


class PipeNetwork(PipeListener):
    """A listener for the server and a dial function for the client, over small pipes."""

    async def __call__(self, host: str, port: int) -> Link:
        await trio.lowlevel.checkpoint()
        return self.dial(4096, "")


async def talk(chat: Chat, count: int) -> None:
    """Say `count` messages, from a hundred tasks at once."""
    numbers = iter(range(count))

    async def say() -> None:
        for n in numbers:
            await chat.say("lobby", str(n))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(say)


@pytest.mark.parametrize("inbox_events", [16, 1024])
async def test_a_program_that_answers_10_000_messages_receives_each_once_in_order(inbox_events: int) -> None:
    pipes = PipeNetwork()
    config = Config(rate_limit=False, limits=Limits(journal_room_entries=50_000))
    async with (
        open_server(config, listeners=[pipes]),
        connect(name="ada", dial=pipes, inbox_events=inbox_events) as ada,
        connect(name="bob", dial=pipes) as bob,
        trio.open_nursery() as nursery,
    ):
        await ada.join("lobby")
        await bob.join("lobby")
        nursery.start_soon(talk, bob, 10_000)
        heard: list[Said] = []
        async for event in ada:
            assert not isinstance(event, Gap), event
            if isinstance(event, Said):
                heard.append(event)
                if event.by == "bob":
                    await ada.say("lobby", f"re: {event.text}")
                if len(heard) == 20_000:
                    break
    assert [entry.seq for entry in heard] == list(range(1, 20_001))
    assert {entry.text for entry in heard if entry.by == "bob"} == {str(n) for n in range(10_000)}


async def test_entries_removed_before_they_could_be_fetched_are_a_gap() -> None:
    pipes = PipeNetwork()
    config = Config(rate_limit=False, limits=Limits(journal_room_entries=100))
    async with (
        open_server(config, listeners=[pipes]),
        connect(name="ada", dial=pipes, inbox_events=16) as ada,
        connect(name="bob", dial=pipes) as bob,
    ):
        await ada.join("lobby")
        await bob.join("lobby")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, bob, 5000)
            for _ in range(500):  # requests without iterating, so that entries are not kept
                await ada.ping()
        at, gaps = 0, 0
        while at < 5000:
            event = await anext(aiter(ada))
            at = following(at, event)
            gaps += isinstance(event, Gap)
        assert gaps


def following(at: int, event: ClientEvent) -> int:
    """Return the room's position after an event, which must be the next one."""
    match event:
        case Said(seq=seq):
            assert seq == at + 1
            return seq
        case Gap():
            assert (event.after, event.kept) == (at, False)
            return event.next - 1
        case _:
            return at
