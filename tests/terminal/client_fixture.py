"""A line client with scripted input, recorded output, and a scripted server."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import randint

import trio

from tests.client.scripted import ScriptedConnection, ScriptedRoom, ScriptedServer
from trio_chat.client import connect
from trio_chat.errors import ChatError
from trio_chat.terminal.input_kind import InputKind
from trio_chat.terminal.line_client import LineClient
from trio_chat.terminal.standard import Input, Output
from trio_chat.terminal.target import Target
from trio_chat.terminal.tokens import TokenFile
from trio_chat.wire.messages import Error, Hello

__all__ = ["ClientFixture", "NameCheckingServer", "running_client"]


class TypedInput(Input):
    """An input whose lines the test sends to `typed`."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.typed, self._typed_lines = trio.open_memory_channel[str](1000)

    async def _receive(self) -> bytes:
        try:
            lines = [await self._typed_lines.receive()]
        except trio.EndOfChannel:
            return b""
        while self._typed_lines.statistics().current_buffer_used:
            lines.append(self._typed_lines.receive_nowait())
        return "".join(f"{line}\n" for line in lines).encode()


class RecordingOutput(Output):
    """Records the output. `is_closed` breaks the pipe; `blocked` blocks writes until it is set."""

    def __init__(self) -> None:
        super().__init__(-1, -1)
        self.lines: list[str] = []
        self.messages = ""
        self.is_closed = False
        self.blocked: trio.Event | None = None

    async def write_data(self, lines: list[str]) -> None:
        for _ in range(randint(1, 5)):  # of varying speed, as threads are
            await trio.lowlevel.checkpoint()
        if self.blocked is not None:
            await self.blocked.wait()
        if self.is_closed:
            raise BrokenPipeError
        self.lines += lines

    async def write_message(self, text: str, end: str = "\n") -> None:
        await trio.lowlevel.checkpoint()
        self.messages += text + end


class ClientFixture:
    """A running line client, and the server's end of its connections."""

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
        self.input = TypedInput()
        self.output = RecordingOutput()
        self.stage = ScriptedServer()
        self.client = LineClient(
            self.input,
            self.output,
            tokens,
            as_json=as_json,
            input_kind=kind,
            has_commands=has_commands,
            connect=partial(connect, dial=self.stage.dial, pace=False),
        )
        self.error: Exception | None = None
        self.ended = trio.Event()

    def type(self, *lines: str) -> None:
        for line in lines:
            self.input.typed.send_nowait(line)

    async def run(self, *rooms: str, name: str = "ada") -> None:
        try:
            await self.client.run(Target(name), rooms)
        except (ChatError, BrokenPipeError) as error:
            self.error = error
        self.ended.set()

    async def end_input(self) -> None:
        """End the input, and wait until the client has ended."""
        self.input.typed.close()
        await self.ended.wait()


@asynccontextmanager
async def running_client(
    nursery: trio.Nursery,
    play: Callable[[ScriptedConnection], Awaitable[object]],
    *rooms: str,
    as_json: bool = False,
    interactive: bool = False,
    has_commands: bool = True,
    has_input: bool = True,
    features: Sequence[str] = (),
) -> AsyncGenerator[ClientFixture]:
    """Run a line client against a scripted server; the end of the block ends its input."""
    client = ClientFixture(
        as_json=as_json, interactive=interactive, has_commands=has_commands, has_input=has_input
    )

    async def server() -> None:
        peer = await client.stage.accept()
        await peer.greet(features=features)
        await play(peer)

    nursery.start_soon(server)
    nursery.start_soon(client.run, *(rooms or ("lobby",)))
    yield client
    await client.end_input()


class NameCheckingServer:
    """Refuses the names in `taken`, and the invalid name `bad`."""

    def __init__(self, stage: ScriptedServer, *taken: str, bad: str = "") -> None:
        self._stage = stage
        self._taken = taken
        self._bad = bad
        self.hellos: list[Hello] = []

    @property
    def names(self) -> list[str]:
        return [hello.name for hello in self.hellos]

    async def run(self) -> None:
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
