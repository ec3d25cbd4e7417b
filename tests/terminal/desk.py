"""A desk to test the line client at: keys to type on, a screen to look at, and a server to play."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import randint

import trio

from tests.client.scripted import ScriptedConnection, ScriptedRoom, ScriptedServer
from trio_chat.client import connect
from trio_chat.errors import ChatError
from trio_chat.terminal.input_kind import InputKind
from trio_chat.terminal.lines import LineClient
from trio_chat.terminal.standard import Input, Output
from trio_chat.terminal.target import Target
from trio_chat.terminal.tokens import TokenFile
from trio_chat.wire.messages import Error, Hello

__all__ = ["Desk", "Door", "at_desk"]


class Keys(Input):
    """What is typed, when the test types it."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.type, self._typed = trio.open_memory_channel[str](1000)

    async def _receive(self) -> bytes:
        try:
            lines = [await self._typed.receive()]
        except trio.EndOfChannel:
            return b""
        while self._typed.statistics().current_buffer_used:
            lines.append(self._typed.receive_nowait())
        return "".join(f"{line}\n" for line in lines).encode()


class Screen(Output):
    """What is shown; to a reader who has `gone` nothing, to one who has `stopped` it nothing until then."""

    def __init__(self) -> None:
        super().__init__(-1, -1)
        self.lines: list[str] = []
        self.talked = ""
        self.gone = False
        self.stopped: trio.Event | None = None

    async def data(self, lines: list[str]) -> None:
        for _ in range(randint(1, 5)):  # now quick, now slow, as threads are
            await trio.lowlevel.checkpoint()
        if self.stopped is not None:
            await self.stopped.wait()
        if self.gone:
            raise BrokenPipeError
        self.lines += lines

    async def talk(self, text: str, end: str = "\n") -> None:
        await trio.lowlevel.checkpoint()
        self.talked += text + end


class Desk:
    """A line client at work, and the server's end of it."""

    def __init__(
        self,
        *,
        as_json: bool = False,
        interactive: bool = False,
        tokens: TokenFile | None = None,
        has_commands: bool = True,
        has_input: bool = True,
    ) -> None:
        kind = InputKind.TERMINAL if interactive else InputKind.LINES if has_input else InputKind.NONE
        self.keys = Keys()
        self.screen = Screen()
        self.stage = ScriptedServer()
        self.client = LineClient(
            self.keys,
            self.screen,
            tokens,
            as_json=as_json,
            input_kind=kind,
            has_commands=has_commands,
            connect=partial(connect, dial=self.stage.dial, pace=False),
        )
        self.failed: Exception | None = None
        self.left = trio.Event()

    def type(self, *lines: str) -> None:
        for line in lines:
            self.keys.type.send_nowait(line)

    async def run(self, *rooms: str, name: str = "ada") -> None:
        try:
            await self.client.run(Target(name), rooms)
        except (ChatError, BrokenPipeError) as error:
            self.failed = error
        self.left.set()

    async def leave(self) -> None:
        """End the input, and wait until the client has left."""
        self.keys.type.close()
        await self.left.wait()


@asynccontextmanager
async def at_desk(
    nursery: trio.Nursery,
    play: Callable[[ScriptedConnection], Awaitable[object]],
    *rooms: str,
    as_json: bool = False,
    interactive: bool = False,
    has_commands: bool = True,
    has_input: bool = True,
    features: Sequence[str] = (),
) -> AsyncGenerator[Desk]:
    """A line client that was welcomed by a server which plays this; when the block ends, its input does."""
    desk = Desk(as_json=as_json, interactive=interactive, has_commands=has_commands, has_input=has_input)

    async def server() -> None:
        peer = await desk.stage.accept()
        await peer.greet(features=features)
        await play(peer)

    nursery.start_soon(server)
    nursery.start_soon(desk.run, *(rooms or ("lobby",)))
    yield desk
    await desk.leave()


class Door:
    """Lets nobody in under the names in `taken`, and nobody at all whose name is `bad`."""

    def __init__(self, stage: ScriptedServer, *taken: str, bad: str = "") -> None:
        self._stage = stage
        self._taken = taken
        self._bad = bad
        self.hellos: list[Hello] = []

    @property
    def names(self) -> list[str]:
        return [hello.name for hello in self.hellos]

    async def keep(self) -> None:
        while True:
            peer = await self._stage.accept()
            hello = await peer.expect(Hello)
            self.hellos.append(hello)
            if hello.name == self._bad:
                await peer.say(Error("bad_name", "a name has no spaces", ref=hello.ref))
            elif hello.name in self._taken:
                await peer.say(Error("name_taken", f"{hello.name} is taken", ref=hello.ref))
            else:
                peer.push_back(hello)
                await peer.greet()
                await ScriptedRoom().serve(peer)
