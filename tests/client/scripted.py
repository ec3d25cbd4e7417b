"""A scripted server: it receives commands, and sends what the test says.

`ScriptedServer` accepts connections: clients connect with its `dial`. `ScriptedConnection` is the server's
end of a connection. `ScriptedRoom` is a room that answers by itself, for tests in which a client is one of
several members; it has a journal, and nothing else of a server.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import TypeVar

import trio
from msgspec.structs import replace

from trio_chat.client import Chat, connect
from trio_chat.dialects.frames import FrameCommands
from trio_chat.errors import BadMessage, CannotConnect, LinkBroken
from trio_chat.net.link import Link
from trio_chat.testing.pipe import PipeLink, link_pair
from trio_chat.wire import framing
from trio_chat.wire.codec import encode
from trio_chat.wire.framing import FRAME_BYTES_MAX
from trio_chat.wire.messages import (
    UNLIMITED_PER_S,
    UNSET,
    Ack,
    Bye,
    Command,
    Error,
    Event,
    Hello,
    History,
    HistoryPage,
    Join,
    Leave,
    Members,
    Ping,
    Pong,
    Quit,
    Room,
    Said,
    Say,
    ServerLimits,
    Typing,
    Welcome,
    Who,
)

__all__ = ["ScriptedConnection", "ScriptedRoom", "ScriptedServer", "chatting", "said", "welcome"]

C = TypeVar("C", bound=Command)


def welcome(
    hello: Hello,
    *,
    name: str = "",
    ping_s: int = 25,
    frame_bytes: int = 65_536,
    features: Sequence[str] = (),
    server_id: str = "",
    kept: str = "memory",
    talk: tuple[int, int] = (UNLIMITED_PER_S, UNLIMITED_PER_S),
    talk_bytes: tuple[int, int] = (0, 0),
) -> Welcome:
    return Welcome(
        version=1,
        name=name or hello.name,
        session=1,
        token=hello.token or "a-token-of-the-server-s",
        server="scripted",
        server_id=server_id,
        features=[*features],
        kept=kept,
        ping_s=ping_s,
        limits=ServerLimits(frame_bytes, 4096, 100, *talk, *talk_bytes),
        ref=hello.ref,
    )


def said(seq: int, room: str = "lobby", by: str = "bob", text: str = "") -> Said:
    return Said(room, seq, 1_790_000_000_000 + seq, by, text or f"number {seq}")


class ScriptedConnection:
    """The server's end of one connection."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.expects_bad_messages = False
        """Whether a bad message is answered, as servers do; otherwise it fails the test."""
        self._commands = FrameCommands(hello_bytes=FRAME_BYTES_MAX)
        self._heard: list[Command] = []

    def reset(self) -> None:
        assert isinstance(self.link, PipeLink)
        self.link.reset()

    async def command(self) -> Command | None:
        """Return the next command; None at the end of input or of the connection."""
        while not self._heard:
            try:
                data = await self.link.receive_some()
            except (LinkBroken, trio.ClosedResourceError):
                return None
            if not data:
                return None
            for command in self._commands.feed(data):
                if isinstance(command, BadMessage):
                    assert self.expects_bad_messages, command
                    await self.say(Error("bad_message", command.detail, command.field, ref=command.ref))
                else:
                    self._heard.append(command)
        return self._heard.pop(0)

    def push_back(self, command: Command) -> None:
        self._heard.insert(0, command)

    async def expect_any(self) -> Command:
        """Return the next command, whatever it is."""
        command = await self.command()
        assert command is not None
        return command

    async def expect(self, kind: type[C]) -> C:
        command = await self.command()
        # If the machine's clock is set during the test, the client pings as after a sleep.
        while isinstance(command, Ping) and not command.ref and kind is not Ping:
            command = await self.command()
        assert isinstance(command, kind), command
        return command

    async def say(self, *events: Event) -> None:
        await self.send_bytes(framing.pack([encode(event) for event in events]))

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes and wait until all are sent. Ignore a closed connection."""
        await trio.lowlevel.checkpoint()
        with suppress(LinkBroken, trio.ClosedResourceError):
            while data := data[self.link.send_nowait(data) :]:
                await self.link.wait_writable()

    async def greet(
        self,
        *,
        ping_s: int = 25,
        frame_bytes: int = 65_536,
        features: Sequence[str] = (),
        server_id: str = "",
        kept: str = "memory",
        talk: tuple[int, int] = (UNLIMITED_PER_S, UNLIMITED_PER_S),
        talk_bytes: tuple[int, int] = (0, 0),
    ) -> Hello:
        """Welcome a client; `talk` and `talk_bytes` are rates: the burst, and the amount per second."""
        hello = await self.expect(Hello)
        self._commands.welcomed()
        await self.say(
            welcome(
                hello,
                ping_s=ping_s,
                frame_bytes=frame_bytes,
                features=features,
                server_id=server_id,
                kept=kept,
                talk=talk,
                talk_bytes=talk_bytes,
            )
        )
        return hello

    async def admit(
        self, *, head: int = 0, first: int = 1, room: str = "", epoch: str = "e", resumed: bool = False
    ) -> Join:
        join = await self.expect(Join)
        await self.say(
            Room(
                room=room or join.room,
                epoch=epoch,
                resumed=resumed,
                first=first,
                head=head,
                members=2,
                topic="",
                ref=join.ref,
            )
        )
        return join

    async def part(self) -> None:
        """Receive `quit` and answer with `bye`."""
        quitting = await self.expect(Quit)
        await self.say(Bye("quit", "goodbye", reconnect=False, ref=quitting.ref))
        self.link.close()


class ScriptedServer:
    """A server that accepts connections for a test."""

    def __init__(self, buffer_bytes: int = 65_536) -> None:
        self.buffer_bytes = buffer_bytes
        self._send, self._receive = trio.open_memory_channel[ScriptedConnection](100)
        self.dialled: list[tuple[str, int]] = []
        self.refuses = 0  # the next so many calls of `dial` fail
        self.client_links: list[PipeLink] = []

    async def dial(self, host: str, port: int) -> Link:
        self.dialled.append((host, port))
        if self.refuses:
            self.refuses -= 1
            await trio.lowlevel.checkpoint()
            raise CannotConnect("no server there")
        here, there = link_pair(self.buffer_bytes)
        self.client_links.append(here)
        await self._send.send(ScriptedConnection(there))
        return here

    async def accept(self) -> ScriptedConnection:
        return await self._receive.receive()


@asynccontextmanager
async def chatting(
    nursery: trio.Nursery,
    *,
    inbox_events: int = 1024,
    buffer_bytes: int = 65_536,
    ping_s: int = 25,
    frame_bytes: int = 65_536,
    hangs_up: bool = True,
    scripted_server: ScriptedServer | None = None,
    patience_s: float = inf,
    random: Callable[[], float] = lambda: 0.5,
    clock_s: Callable[[], float] = trio.current_time,
    server_id: str = "",
    talk: tuple[int, int] = (UNLIMITED_PER_S, UNLIMITED_PER_S),
    talk_bytes: tuple[int, int] = (0, 0),
    pace: bool = True,
) -> AsyncGenerator[tuple[Chat, ScriptedConnection]]:
    """Yield a Chat and the server's end of its connection, which has sent a welcome and does nothing more.

    With a `scripted_server` the Chat reconnects to it; `random` is its jitter. With `hangs_up` the connection
    is closed at the end of the block, so that the test need not answer `quit`.
    """
    come_back = scripted_server is not None
    scripted_server = scripted_server or ScriptedServer(buffer_bytes)
    greeted, peers = trio.open_memory_channel[ScriptedConnection](1)

    async def greet() -> None:
        peer = await scripted_server.accept()
        await peer.greet(
            ping_s=ping_s, frame_bytes=frame_bytes, server_id=server_id, talk=talk, talk_bytes=talk_bytes
        )
        await greeted.send(peer)

    nursery.start_soon(greet)
    async with connect(
        name="ada",
        dial=scripted_server.dial,
        inbox_events=inbox_events,
        ref_prefix="r",
        pace=pace,
        come_back=come_back,
        patience_s=patience_s,
        random=random,
        clock_s=clock_s,
    ) as chat:
        peer = await peers.receive()
        yield chat, peer
        if hangs_up:
            peer.link.close()


class ScriptedRoom:
    """A room that answers by itself. It sends each entry in a frame of its own, in order."""

    def __init__(self, room: str = "lobby") -> None:
        self.room = room
        self.first = 1
        self.entries: list[Said] = []
        self.asked: list[Command] = []
        self.before_page: Callable[[], None] = lambda: None
        self.page_of = 200
        self.names_room_left = True
        self._seqs: dict[str, int] = {}

    def add(self, by: str, text: str, action: bool = False) -> Said:
        entry = replace(said(len(self.entries) + 1, self.room, by, text), action=action)
        self.entries.append(entry)
        return entry

    async def serve(self, peer: ScriptedConnection) -> None:
        """Answer one peer until it quits, in the order of its commands."""
        outgoing_send, outgoing = trio.open_memory_channel[Event](1_000_000)

        async def shown() -> None:
            async for event in outgoing:
                await peer.say(event)
                if isinstance(event, Bye):
                    peer.link.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(shown)
            self.show = outgoing_send.send_nowait
            with outgoing_send:
                while (command := await peer.command()) is not None:
                    self._answer(command)

    def _answer(self, command: Command) -> None:
        self.asked.append(command)
        match command:
            case Join():
                head, recent = len(self.entries), 0 if command.recent is UNSET else command.recent
                self.show(
                    Room(
                        room=self.room,
                        epoch="e",
                        resumed=False,
                        first=self.first,
                        head=head,
                        members=2,
                        topic="",
                        ref=command.ref,
                    )
                )
                for entry in self.entries[head - min(recent, head) :]:
                    self.show(entry)
            case Leave():
                self.show(Ack(command.ref, self.room if self.names_room_left else ""))
            case Say():
                seq = self._seqs.get(command.ref)
                if seq is None:
                    entry = self.add("ada", command.text, command.action)
                    seq = self._seqs[command.ref] = entry.seq
                    self.show(entry)
                self.show(Ack(command.ref, self.room, seq))
            case History(after=int(after)):
                self.before_page()
                kept = [entry for entry in self.entries[after:] if entry.seq >= self.first]
                page = kept[: min(command.limit, self.page_of)]
                self.show(HistoryPage(self.room, list(page), more=len(kept) > len(page), ref=command.ref))
            case Who():
                self.show(Members(self.room, ["ada", "bob"], 2, more=False, ref=command.ref))
            case Ping():
                self.show(Pong(ref=command.ref))
            case Quit():
                self.show(Bye("quit", "goodbye", reconnect=False, ref=command.ref))
            case Typing():
                pass
            case _:
                raise AssertionError(f"unexpected command: {command}")
