"""A server in memory, and clients that send exactly what a test tells them.

    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        bob = await harness.enter("bob", "lobby")
        assert await ada.say("hello") == 1
        await bob.expect(Said, by="ada", text="hello")

A `RawClient` is the client's end of one connection. It has no task: it reads only when a test calls one of
its methods. A `ServerHarness` is a server on links in memory. At its end, `serving` checks that the server
has released everything.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from random import Random
from typing import TypeVar

import trio

from tests.server.upgraded import Upgraded
from trio_chat.dialects import EventReader
from trio_chat.dialects.frames import FrameEvents
from trio_chat.errors import LinkBroken
from trio_chat.journal.store import Store
from trio_chat.net.link import Link
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import Server, open_server
from trio_chat.testing.pipe import PipeLink, link_pair
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import (
    UNSET,
    Ack,
    Bye,
    Command,
    Entry,
    Error,
    Event,
    Hello,
    Join,
    Ping,
    Pong,
    Presence,
    Room,
    Say,
    TypingNotice,
    UnsetType,
    Welcome,
)

__all__ = [
    "Observer",
    "PipeListener",
    "RawClient",
    "ServerHarness",
    "StepClock",
    "packed",
    "serving",
    "serving_observed",
]

E = TypeVar("E", bound=Event)
P = TypeVar("P", bound="RawClient")

_refs = count(1)
RECONNECT = {
    "hello_timeout",
    "frame_timeout",
    "ping_timeout",
    "slow_reader",
    "too_many_connections",
    "rate_limited",
    "draining",
    "internal",
}
TEST_S = 10_000  # of virtual time; a test that hangs fails then
START_MS = 1_790_000_000_000


class RawClient:
    """The client's end of one connection. `seen` has all events that were read, in order."""

    def __init__(self, link: Link, wire: EventReader | None = None) -> None:
        self.link = link
        self.token = ""
        self.seen: list[Event] = []
        self._wire = wire or FrameEvents()
        self._unread: deque[Event] = deque()
        self._replies = b""  # of the dialect itself, to what has been read
        self._sending = False

    # --- out -----------------------------------------------------------------------------------------

    def send(self, *commands: Command) -> None:
        """Send commands in one segment."""
        self.send_bytes(self.packed(*commands))

    def packed(self, *commands: Command) -> bytes:
        """Return these commands, encoded in the client's dialect."""
        return self.framed(*map(encode, commands))

    def framed(self, *payloads: bytes) -> bytes:
        """Return frames, or WebSocket messages, with these payloads."""
        return b"".join(map(self._wire.frame, payloads))

    def send_payloads(self, *payloads: bytes) -> None:
        self.send_bytes(self.framed(*payloads))

    def send_bytes(self, data: bytes) -> None:
        took = self.link.send_nowait(data)
        assert took == len(data), "more than the pipe holds: use send_all"

    async def send_all(self, data: bytes) -> None:
        """Send all bytes as the server takes them, and only then replies of the dialect."""
        self._sending = True
        while data:
            sent = 0
            while (sent := sent + self.link.send_nowait(data[sent:])) < len(data):
                await self.link.wait_writable()
            data, self._replies = self._replies, b""
        self._sending = False

    def send_eof(self) -> None:
        """Close the sending side. Reading goes on."""
        assert isinstance(self.link, PipeLink)
        self.link.end()

    # --- in ------------------------------------------------------------------------------------------

    async def next(self) -> Event:
        """Wait for the next event of any kind. Raises `trio.EndOfChannel` after the server has closed."""
        while not self._unread:
            data = await self.link.receive_some()
            if not data:
                raise trio.EndOfChannel
            self.take(data)
        return self._unread.popleft()

    def take(self, data: bytes) -> None:
        """Decode bytes that the test has received itself."""
        events = self._wire.feed(data)
        self._replies += self._wire.replies()
        if self._replies and not self._sending:
            replies, self._replies = self._replies, b""
            with suppress(LinkBroken):  # the server has closed meanwhile
                self.send_bytes(replies)
        self.seen += events
        self._unread += events

    async def expect(self, kind: type[E], **fields: object) -> E:
        """Return the next event, which must be of this kind with these fields. Skip other notices."""
        while True:
            event = await self.next()
            if isinstance(event, kind):
                _check(event, fields)
                return event
            assert isinstance(event, Presence | TypingNotice), f"{event} instead of a {kind.__name__}"

    async def answer(self, kind: type[E], **fields: object) -> E:
        """Wait for an event of this kind with these fields. Events before it stay unread.

        If `ref` is one of the fields, an error with that `ref` fails the test.
        """
        before: list[Event] = []
        try:
            while True:
                event = await self.next()
                if isinstance(event, kind) and _has(event, fields):
                    return event
                assert not (isinstance(event, Error) and event.ref and event.ref == fields.get("ref")), event
                before.append(event)
        except trio.EndOfChannel:
            raise AssertionError(f"the end instead of a {kind.__name__}, after {before[-3:]}") from None
        finally:
            self._unread.extendleft(reversed(before))

    async def receive_for(self, seconds: float = 1.0) -> list[Event]:
        """Return all events of the next `seconds` seconds."""
        heard: list[Event] = []
        with suppress(trio.EndOfChannel), trio.move_on_after(seconds):
            while True:
                heard.append(await self.next())
        return heard

    async def ended(self) -> Bye | None:
        """Read until the server closes, and return its `bye`, if any, which must be the last event."""
        last: Event | None = None
        byes = 0
        try:
            while True:
                last = await self.next()
                byes += isinstance(last, Bye)
        except trio.EndOfChannel:
            assert not self._wire.inside_frame, "the end is between two frames"
            assert byes == isinstance(last, Bye), "a bye is the last frame"
            return last if isinstance(last, Bye) else None

    async def ended_with(self, code: str) -> Bye:
        """Read until the server closes, and check that its `bye` has this code."""
        bye = await self.ended()
        assert bye is not None and bye.code == code, f"ended with {bye}"
        assert bye.reconnect == (code in RECONNECT)
        assert not isinstance(self._wire, Upgraded) or self._wire.closed_with(code)
        return bye

    # --- common steps --------------------------------------------------------------------------------

    def ref(self) -> str:
        """Return a new ref: two sessions of a member must not share one by accident."""
        return f"r{next(_refs)}"

    async def hello(self, name: str, token: str = "") -> Welcome:
        self.send(Hello(version=1, name=name, token=token))
        welcome = await self.expect(Welcome)
        self.token = welcome.token
        return welcome

    async def join(
        self,
        room: str,
        *,
        recent: int | UnsetType = UNSET,
        after: int | UnsetType = UNSET,
        epoch: str = "",
        limit: int | UnsetType = UNSET,
    ) -> Room:
        """Join a room, and return the reply. Other events stay unread."""
        ref = self.ref()
        self.send(Join(room, recent, after, epoch, ref, limit))
        return await self.answer(Room, ref=ref)

    async def say(self, text: str, room: str = "lobby") -> int:
        """Send a text, and return the number in its ack. The entry itself stays unread."""
        ref = self.ref()
        self.send(Say(room, text, ref=ref))
        seq = (await self.answer(Ack, ref=ref)).seq
        assert isinstance(seq, int)
        return seq

    def entries(self, room: str = "lobby") -> list[Entry]:
        """Return the entries of a room that were read, in order."""
        return [event for event in self.seen if isinstance(event, Entry) and event.room == room]

    def seqs(self, room: str = "lobby") -> list[int]:
        return [entry.seq for entry in self.entries(room)]


class Observer(RawClient):
    """A well-behaved member of a room, which other members' faults should not affect."""

    room = "lobby"

    async def presence_changes(self, seconds: float = 1.0) -> list[str]:
        """Return the presence changes since the last call and in the next `seconds`, as `+eve`, `-eve lost`.

        Check as well that the only other events are entries, each once and in order, and that the server
        still accepts messages.
        """
        heard: list[Event] = []
        while seconds > 20:
            heard += await self.receive_for(20)
            self.send(Ping())
            seconds -= 20
        heard += await self.receive_for(seconds)
        seq = await self.say("I am still here")
        heard += await self.receive_for(0.001)
        strange = [event for event in heard if not isinstance(event, Entry | Presence | Pong)]
        assert not strange, f"an observer receives only entries and notices, not {strange}"
        seqs = self.seqs(self.room)
        assert seqs == list(range(seqs[0], seq + 1)), f"every entry once, in order, not {seqs}"
        notices = [event for event in heard if isinstance(event, Presence)]
        return [change for notice in notices for change in _changes(notice)]


class StepClock:
    """A work clock that advances by `step_s` seconds on each reading; `looks` counts the readings."""

    def __init__(self, step_s: float) -> None:
        self.step_s = step_s
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.looks * self.step_s


class PipeListener:
    """A `trio_chat.net.listen.Listener` for links in memory."""

    address = "memory"

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Link](10_000)

    def dial(self, buffer_bytes: int, address: str) -> PipeLink:
        here, there = link_pair(buffer_bytes)
        there.address = address
        self._send.send_nowait(there)
        return here

    async def accept(self) -> list[Link]:
        links = [await self._receive.receive()]
        while self._receive.statistics().current_buffer_used:
            links.append(self._receive.receive_nowait())
        return links

    def close(self) -> None:
        self._receive.close()


class ServerHarness:
    """A server, and methods to connect to it."""

    def __init__(self, server: Server, listener: PipeListener, *, websocket: bool = False) -> None:
        self.server = server
        self._listener = listener
        self._websocket = websocket

    def dial(self, *, buffer_bytes: int = 65_536, address: str = "") -> RawClient:
        """Connect. The pipe buffers `buffer_bytes` in each direction."""
        return self._dial(RawClient, buffer_bytes, address)

    def _dial(self, kind: type[P], buffer_bytes: int, address: str) -> P:
        return kind(self._listener.dial(buffer_bytes, address), self.wire())

    def wire(self) -> EventReader:
        """Return a new decoder for this server's dialect."""
        return Upgraded() if self._websocket else FrameEvents()

    async def enter(
        self, name: str, *rooms: str, token: str = "", buffer_bytes: int = 65_536, address: str = ""
    ) -> RawClient:
        """Connect, send hello, and join these rooms."""
        peer = self.dial(buffer_bytes=buffer_bytes, address=address)
        return await _entered(peer, name, *rooms, token=token)

    async def observer(self, room: str = "lobby") -> Observer:
        observer = await _entered(self._dial(Observer, 65_536, ""), "zoe", room)
        observer.room = room
        await observer.expect(Presence, joined=["zoe"])
        return observer


async def _entered(peer: P, name: str, *rooms: str, token: str = "") -> P:
    await peer.hello(name, token)
    for room in rooms:
        await peer.join(room)
    return peer


@asynccontextmanager
async def serving(
    config: Config | None = None,
    *,
    store: Store | None = None,
    in_doubt: bool = False,
    rate_limit: bool = True,
    random_bytes: Callable[[int], bytes] | None = None,
    work_clock: Callable[[], float] | None = None,
    websocket: bool = False,
    **limits: int,
) -> AsyncGenerator[ServerHarness]:
    """Run a server with these limits while the block runs. Leaving the block drains it.

    With `websocket`, all clients use WebSocket. With `in_doubt`, the test ends while a batch is being
    committed, so its stream may stay in use.
    """
    listener = PipeListener()
    failure: Exception | None = None
    with trio.fail_after(TEST_S):
        async with open_server(
            config or Config(rate_limit=rate_limit, limits=Limits(**limits)),
            store=store,
            listeners=[listener],
            clock_ms=lambda: START_MS + int(trio.current_time() * 1000),
            random_bytes=random_bytes or Random(0).randbytes,
            work_clock=work_clock,
        ) as server:
            try:
                yield ServerHarness(server, listener, websocket=websocket)
            except Exception as error:  # noqa: BLE001
                failure = error
    if failure is not None:
        raise failure  # as the test raised it, without the groups of the server's nurseries
    assert not server.sessions, "every session has ended"
    assert not server.hub.rooms, "every room is empty"
    assert in_doubt or not len(server.streams), "every use of a room has been released"


def packed(*commands: Command) -> bytes:
    """Return the frames of these commands."""
    return b"".join(FrameEvents.pack(command) for command in commands)


@asynccontextmanager
async def serving_observed(
    *changes: str,
    store: Store | None = None,
    rate_limit: bool = True,
    work_clock: Callable[[], float] | None = None,
    websocket: bool = False,
    **limits: int,
) -> AsyncGenerator[tuple[ServerHarness, Observer, RawClient]]:
    """Run a server with eve and the observer zoe in the lobby.

    At the end, check that zoe has seen exactly these presence `changes`.
    """
    config = Config(rate_limit=rate_limit, limits=Limits(**limits))
    async with serving(config, store=store, work_clock=work_clock, websocket=websocket) as harness:
        zoe = await harness.observer()
        eve = await harness.enter("eve", "lobby")
        assert await zoe.presence_changes() == ["+eve"]
        yield harness, zoe, eve
        noticed = await zoe.presence_changes()
        assert noticed == list(changes), noticed


def _check(event: Event, fields: dict[str, object]) -> None:
    for name, value in fields.items():
        found = getattr(event, name)
        assert found == value, f"{name} is {found!r}, not {value!r}, in {event}"


def _has(event: Event, fields: dict[str, object]) -> bool:
    return all(getattr(event, name) == value for name, value in fields.items())


def _changes(notice: Presence) -> list[str]:
    return [
        *(f"-{departure.name} {departure.why}" for departure in notice.left),
        *(f"{renaming.name} is {renaming.to}" for renaming in notice.renamed),
        *(f"+{name}" for name in notice.joined),
    ]
