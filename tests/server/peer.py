"""A client that does what its story says, and a server to say it to.

    async with serving() as house:
        ada = await house.enter("ada", "lobby")
        bob = await house.enter("bob", "lobby")
        assert await ada.say("hello") == 1
        await bob.expect(Said, by="ada", text="hello")

A `Peer` is one connection at the client's end. It has no task: it reads when the story asks it to, so a
peer that nobody asks anything is one that does not read. A `House` is a server on links in memory, and at
the end of `serving` it is looked at whether everything was put away.
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
    "Bystander",
    "House",
    "Peer",
    "PipeListener",
    "StepClock",
    "beside_a_bystander",
    "packed",
    "serving",
]

E = TypeVar("E", bound=Event)
P = TypeVar("P", bound="Peer")

_refs = count(1)
COME_BACK = {
    "hello_timeout",
    "frame_timeout",
    "ping_timeout",
    "slow_reader",
    "too_many_connections",
    "rate_limited",
    "draining",
    "internal",
}
STORY_S = 10_000  # of virtual time; a story that waits for ever is told so
START_MS = 1_790_000_000_000


class Peer:
    """One connection, at the client's end. `seen` is everything that has been read, in order."""

    def __init__(self, link: Link, wire: EventReader | None = None) -> None:
        self.link = link
        self.token = ""
        self.seen: list[Event] = []
        self._wire = wire or FrameEvents()
        self._unread: deque[Event] = deque()
        self._replies = b""  # of the dialect itself, to what has been read
        self._pouring = False

    # --- out -----------------------------------------------------------------------------------------

    def send(self, *commands: Command) -> None:
        """Send commands in one segment."""
        self.send_bytes(self.packed(*commands))

    def packed(self, *commands: Command) -> bytes:
        """These commands, as this peer sends them."""
        return self.framed(*map(encode, commands))

    def framed(self, *payloads: bytes) -> bytes:
        """Frames, or messages, that hold whatever the story wants."""
        return b"".join(map(self._wire.frame, payloads))

    def send_payloads(self, *payloads: bytes) -> None:
        self.send_bytes(self.framed(*payloads))

    def send_bytes(self, data: bytes) -> None:
        took = self.link.send_nowait(data)
        assert took == len(data), "more than the pipe holds: pour it"

    async def pour(self, data: bytes) -> None:
        """Send as the server takes it; behind it the dialect's replies, which must not stand in a frame."""
        self._pouring = True
        while data:
            sent = 0
            while (sent := sent + self.link.send_nowait(data[sent:])) < len(data):
                await self.link.wait_writable()
            data, self._replies = self._replies, b""
        self._pouring = False

    def hang_up(self) -> None:
        """Say that no more will come, and go on reading."""
        assert isinstance(self.link, PipeLink)
        self.link.end()

    # --- in ------------------------------------------------------------------------------------------

    async def next(self) -> Event:
        """The next event, whatever it is. Raises `trio.EndOfChannel` when the server has closed."""
        while not self._unread:
            data = await self.link.receive_some()
            if not data:
                raise trio.EndOfChannel
            self.take(data)
        return self._unread.popleft()

    def take(self, data: bytes) -> None:
        """Read bytes that the story has received for itself."""
        events = self._wire.feed(data)
        self._replies += self._wire.replies()
        if self._replies and not self._pouring:
            replies, self._replies = self._replies, b""
            with suppress(LinkBroken):  # the server has gone meanwhile
                self.send_bytes(replies)
        self.seen += events
        self._unread += events

    async def expect(self, kind: type[E], **fields: object) -> E:
        """The next event is of that kind and has these fields; notices are passed over unless asked for."""
        while True:
            event = await self.next()
            if isinstance(event, kind):
                _check(event, fields)
                return event
            assert isinstance(event, Presence | TypingNotice), f"{event} instead of a {kind.__name__}"

    async def answer(self, kind: type[E], **fields: object) -> E:
        """The next event of that kind that has these fields; what came before it stays to be read.

        Asked for by its `ref` it must not be refused.
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

    async def hears(self, seconds: float = 1.0) -> list[Event]:
        """All that comes within so many seconds."""
        heard: list[Event] = []
        with suppress(trio.EndOfChannel), trio.move_on_after(seconds):
            while True:
                heard.append(await self.next())
        return heard

    async def ended(self) -> Bye | None:
        """The server closes, and the last thing it says is this `bye`, if any."""
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
        """The server says goodbye with this code, and closes."""
        bye = await self.ended()
        assert bye is not None and bye.code == code, f"ended with {bye}"
        assert bye.reconnect == (code in COME_BACK)
        assert not isinstance(self._wire, Upgraded) or self._wire.closed_with(code)
        return bye

    # --- what stories do often -----------------------------------------------------------------------

    def ref(self) -> str:
        """One that nobody has used yet: two sessions of one member must not share any by accident."""
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
        """Join and take the answer out of what comes."""
        ref = self.ref()
        self.send(Join(room, recent, after, epoch, ref, limit))
        return await self.answer(Room, ref=ref)

    async def say(self, text: str, room: str = "lobby") -> int:
        """Say something and take its number out of what comes; the entry itself stays to be read."""
        ref = self.ref()
        self.send(Say(room, text, ref=ref))
        seq = (await self.answer(Ack, ref=ref)).seq
        assert isinstance(seq, int)
        return seq

    def entries(self, room: str = "lobby") -> list[Entry]:
        """The entries of a room that have been read, in the order of their coming."""
        return [event for event in self.seen if isinstance(event, Entry) and event.room == room]

    def seqs(self, room: str = "lobby") -> list[int]:
        return [entry.seq for entry in self.entries(room)]


class Bystander(Peer):
    """Somebody well-behaved in a room, who should notice next to nothing of what befalls others."""

    room = "lobby"

    async def noticed(self, seconds: float = 1.0) -> list[str]:
        """Who came and went since last asked and for so many seconds more, as `+eve` and `-eve lost`.

        Checked beside it: nothing else but entries came, each of them once and in order, and one is served.
        """
        heard: list[Event] = []
        while seconds > 20:
            heard += await self.hears(20)
            self.send(Ping())
            seconds -= 20
        heard += await self.hears(seconds)
        seq = await self.say("I am still here")
        heard += await self.hears(0.001)
        strange = [event for event in heard if not isinstance(event, Entry | Presence | Pong)]
        assert not strange, f"a bystander hears nothing but entries and notices, not {strange}"
        seqs = self.seqs(self.room)
        assert seqs == list(range(seqs[0], seq + 1)), f"every entry once, in order, not {seqs}"
        notices = [event for event in heard if isinstance(event, Presence)]
        return [change for notice in notices for change in _changes(notice)]


class StepClock:
    """A clock of work on which each look takes so many seconds; `looks` counts them."""

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


class House:
    """A server, and the ways to connect to it."""

    def __init__(self, server: Server, listener: PipeListener, *, websocket: bool = False) -> None:
        self.server = server
        self._listener = listener
        self._websocket = websocket

    def dial(self, *, buffer_bytes: int = 65_536, address: str = "") -> Peer:
        """A connection that holds so many bytes each way."""
        return self._dial(Peer, buffer_bytes, address)

    def _dial(self, kind: type[P], buffer_bytes: int, address: str) -> P:
        return kind(self._listener.dial(buffer_bytes, address), self.wire())

    def wire(self) -> EventReader:
        """How a client begins to speak here."""
        return Upgraded() if self._websocket else FrameEvents()

    async def enter(
        self, name: str, *rooms: str, token: str = "", buffer_bytes: int = 65_536, address: str = ""
    ) -> Peer:
        """A connection that has said hello and is in these rooms."""
        peer = self.dial(buffer_bytes=buffer_bytes, address=address)
        return await _entered(peer, name, *rooms, token=token)

    async def bystander(self, room: str = "lobby") -> Bystander:
        bystander = await _entered(self._dial(Bystander, 65_536, ""), "zoe", room)
        bystander.room = room
        await bystander.expect(Presence, joined=["zoe"])
        return bystander


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
) -> AsyncGenerator[House]:
    """A server for as long as the block lasts, with these limits; leaving the block drains it.

    With `websocket` that is what everybody speaks.
    `in_doubt`: the story ends with a batch at the journal, and what became of it nobody will know.
    """
    listener = PipeListener()
    failure: Exception | None = None
    with trio.fail_after(STORY_S):
        async with open_server(
            config or Config(rate_limit=rate_limit, limits=Limits(**limits)),
            store=store,
            listeners=[listener],
            clock_ms=lambda: START_MS + int(trio.current_time() * 1000),
            random_bytes=random_bytes or Random(0).randbytes,
            work_clock=work_clock,
        ) as server:
            try:
                yield House(server, listener, websocket=websocket)
            except Exception as error:  # noqa: BLE001
                failure = error
    if failure is not None:
        raise failure  # as the story raised it, not wrapped by each of the server's nurseries
    assert not server.sessions, "every session has ended"
    assert not server.hub.rooms, "every room is empty"
    assert in_doubt or not len(server.streams), "every use of a room has been released"


def packed(*commands: Command) -> bytes:
    """The frames of these commands."""
    return b"".join(FrameEvents.pack(command) for command in commands)


@asynccontextmanager
async def beside_a_bystander(
    *changes: str,
    store: Store | None = None,
    rate_limit: bool = True,
    work_clock: Callable[[], float] | None = None,
    websocket: bool = False,
    **limits: int,
) -> AsyncGenerator[tuple[House, Bystander, Peer]]:
    """The story of eve, who is in the lobby; zoe sees these comings and goings of hers and nothing else."""
    config = Config(rate_limit=rate_limit, limits=Limits(**limits))
    async with serving(config, store=store, work_clock=work_clock, websocket=websocket) as house:
        zoe = await house.bystander()
        eve = await house.enter("eve", "lobby")
        assert await zoe.noticed() == ["+eve"]
        yield house, zoe, eve
        noticed = await zoe.noticed()
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
