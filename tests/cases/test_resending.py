"""A program that sends while its server restarts: every message is stored once, and none is missed."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.cases.commands import PATIENCE_S, Server, serve
from trio_chat.client import Chat, Link, connect, dial_tcp
from trio_chat.wire.messages import Said


class Restarted:
    """A server that is restarted on its journal, each time on another port, to which `dial` connects."""

    def __init__(self, stack: ExitStack, home: Path, *args: str) -> None:
        self._stack = stack
        self._home = home
        self._args = args
        self._server: Server
        self.start()

    def start(self) -> None:
        self._server = self._stack.enter_context(serve(self._home, *self._args))

    async def stop(self) -> None:
        """Stop the server by a drain."""
        assert await trio.to_thread.run_sync(self._server.stop) == 0

    async def dial(self, host: str, port: int) -> Link:
        return await dial_tcp("127.0.0.1", self._server.port)


async def next_texts(chat: Chat, count: int) -> list[str]:
    """Return the next `count` texts."""
    texts: list[str] = []
    while len(texts) < count:
        event = await anext(chat)
        if isinstance(event, Said):
            texts.append(event.text)
    return texts


async def test_thirty_messages_that_wait_for_a_restart_are_sent_in_order(tmp_path: Path) -> None:
    numbers = [0] * 30
    with ExitStack() as stack, trio.fail_after(PATIENCE_S):
        server = Restarted(stack, tmp_path, "--journal", str(tmp_path / "chat.db"))
        async with connect(name="ada", dial=server.dial) as ada:
            await ada.join("lobby")
            await server.stop()

            async def say(n: int) -> None:
                numbers[n] = await ada.say("lobby", f"number {n}")

            async with trio.open_nursery() as nursery:
                for n in range(30):
                    nursery.start_soon(say, n)
                    await trio.testing.wait_all_tasks_blocked()
                server.start()
            assert await next_texts(ada, 30) == [f"number {n}" for n in range(30)]
    assert numbers == list(range(1, 31))


@pytest.mark.parametrize("keeps", [False, True])
async def test_messages_sent_meanwhile_follow_0_in_an_empty_room(tmp_path: Path, keeps: bool) -> None:
    args = ("--journal", str(tmp_path / "chat.db")) if keeps else ()
    with ExitStack() as stack, trio.fail_after(PATIENCE_S):
        server = Restarted(stack, tmp_path, *args)
        async with connect(name="ada", dial=server.dial) as ada:
            epoch = (await ada.join("lobby")).epoch
        await server.stop()
        server.start()
        async with connect(name="bob", dial=server.dial) as bob:
            await bob.join("lobby")
            for n in range(3):
                await bob.say("lobby", f"number {n}")
            async with connect(name="ada", dial=server.dial) as ada:
                room = await ada.join("lobby", recent=1, after=0, epoch=epoch)
                assert (room.resumed, room.head) == (True, 3)
                assert await next_texts(ada, 3) == ["number 0", "number 1", "number 2"]
