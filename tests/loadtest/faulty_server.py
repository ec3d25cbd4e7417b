"""A server that misbehaves toward one user: its events are changed on the way.

A `FaultInjector` decides what changes. A `FaultyLink` is the user's end of a connection in memory, and
`faulty_proxy` opens a port in front of a real server.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from msgspec.structs import replace

from trio_chat.errors import LinkBroken
from trio_chat.net.dial import dial_tcp
from trio_chat.net.link import RECEIVE_BYTES, Link
from trio_chat.net.listen import open_listeners
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire import framing
from trio_chat.wire.codec import decode_command, decode_event, encode
from trio_chat.wire.messages import Ack, Event, Hello, Presence, Said

__all__ = ["FAULTS", "FaultInjector", "FaultyLink", "faulty_proxy"]

Change = Callable[["FaultInjector", Event], list[Event]]


@dataclass
class FaultInjector:
    """Applies `change` to each event for `user`; `done` counts the injected faults."""

    user: str
    change: Change
    done: int = 0
    seen: int = 0
    held: list[Event] = field(default_factory=list)


class _Stream:
    """The frames to one client, which are changed if its hello names the affected user."""

    def __init__(self, injector: FaultInjector) -> None:
        self._injector = injector
        self._commands = framing.FrameReader()
        self._events = framing.FrameReader()
        self._is_affected = False
        self._greeted = False

    def up(self, data: bytes | memoryview) -> None:
        if not self._greeted:
            for payload in self._commands.feed(bytes(data)):
                command = decode_command(payload)
                self._greeted = True
                self._is_affected = isinstance(command, Hello) and command.name.startswith(
                    f"{self._injector.user}"
                )

    def down(self, data: bytes) -> bytes:
        if not self._is_affected:
            return data
        frames: list[bytes] = []
        for payload in self._events.feed(data):
            event = decode_event(payload)
            assert event is not None
            frames += [encode(each) for each in self._injector.change(self._injector, event)]
        return framing.pack(frames)


class FaultyLink(PipeLink):
    """Takes over one end of a pair of links."""

    def __init__(self, link: PipeLink, injector: FaultInjector) -> None:
        super().__init__(link._in, link._out, link.address)
        self._stream = _Stream(injector)

    async def receive_some(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        while data := await super().receive_some(max_bytes):
            if changed := self._stream.down(data):
                return changed
        return b""

    def send_nowait(self, data: bytes | memoryview) -> int:
        took = super().send_nowait(data)
        self._stream.up(data[:took])
        return took


@asynccontextmanager
async def faulty_proxy(port: int, injector: FaultInjector) -> AsyncGenerator[int]:
    """Open a port in front of a server's port during the block, and yield it."""
    (listener,) = await open_listeners("127.0.0.1", 0)

    async def relay(source: Link, sink: Link, change: Callable[[bytes], bytes]) -> None:
        try:
            while data := await source.receive_some():
                data = change(data)
                while data:
                    data = data[sink.send_nowait(data) :]
                    if data:
                        await sink.wait_writable()
        except (LinkBroken, trio.ClosedResourceError):
            pass
        source.close()
        sink.close()

    async def serve(client: Link) -> None:
        server = await dial_tcp("127.0.0.1", port)
        stream = _Stream(injector)

        def up(data: bytes) -> bytes:
            stream.up(data)
            return data

        async with trio.open_nursery() as both:
            both.start_soon(relay, client, server, up)
            both.start_soon(relay, server, client, stream.down)

    async with trio.open_nursery() as nursery:

        async def accept() -> None:
            while True:
                for link in await listener.accept():
                    nursery.start_soon(serve, link)

        nursery.start_soon(accept)
        yield listener.port
        nursery.cancel_scope.cancel()
    listener.close()


# --- faults, each injected once while messages are sent ----------------------------------------------------

AFTER = 20  # entries that stay unchanged


def _entry(injector: FaultInjector, event: Event) -> Said | None:
    """Return the entry to change, if this event is it."""
    if isinstance(event, Said):
        injector.seen += 1
        if injector.seen > AFTER and not injector.done:
            injector.done += 1
            return event
    return None


def drop(injector: FaultInjector, event: Event) -> list[Event]:
    return [] if _entry(injector, event) else [event]


def double(injector: FaultInjector, event: Event) -> list[Event]:
    return [event, event] if _entry(injector, event) else [event]


def swap(injector: FaultInjector, event: Event) -> list[Event]:
    if _entry(injector, event):
        injector.held.append(event)
        return []
    if isinstance(event, Said) and injector.held:
        return [event, injector.held.pop()]
    return [event]


def alter_a_byte(injector: FaultInjector, event: Event) -> list[Event]:
    entry = _entry(injector, event)
    return [replace(entry, text=entry.text[:-1] + "#")] if entry else [event]


def name_another_author(injector: FaultInjector, event: Event) -> list[Event]:
    entry = _entry(injector, event)
    return [replace(entry, by="u0" if entry.by != "u0" else "u1")] if entry else [event]


def name_another_time(injector: FaultInjector, event: Event) -> list[Event]:
    entry = _entry(injector, event)
    return [replace(entry, at=entry.at + 1)] if entry else [event]


def number_wrongly(injector: FaultInjector, event: Event) -> list[Event]:
    entry = _entry(injector, event)
    return [replace(entry, seq=entry.seq - 1)] if entry else [event]


def deliver_after_leaving(injector: FaultInjector, event: Event) -> list[Event]:
    if isinstance(event, Said):
        injector.held = [event]
    if isinstance(event, Ack) and not isinstance(event.seq, int) and not injector.done:
        injector.done += 1
        entry = injector.held[0]
        assert isinstance(entry, Said)
        return [event, replace(entry, seq=entry.seq + 1, text="for members only")]
    return [event]


def ack_wrongly(injector: FaultInjector, event: Event) -> list[Event]:
    if isinstance(event, Ack) and isinstance(event.seq, int) and not injector.done:
        injector.done += 1
        return [replace(event, seq=event.seq + 1_000)]
    return [event]


def drop_an_ack(injector: FaultInjector, event: Event) -> list[Event]:
    if isinstance(event, Ack) and isinstance(event.seq, int) and not injector.done:
        injector.done += 1
        return []
    return [event]


def drop_a_departure(injector: FaultInjector, event: Event) -> list[Event]:
    if isinstance(event, Presence) and event.left and not injector.done:
        injector.done += 1
        return []
    return [event]


def miscount(injector: FaultInjector, event: Event) -> list[Event]:
    if isinstance(event, Presence) and event.left and not injector.done:
        injector.done += 1
        return [replace(event, members=event.members + 1)]
    return [event]


FAULTS: dict[str, tuple[Change, str, str]] = {
    # the change, the kind of breach, and words in its description
    "drop": (drop, "lost", "missed room0"),
    "double": (double, "doubled", "was shown room0 .* twice"),
    "swap": (swap, "reordered", "was shown room0 .* after room0"),
    "alter a byte": (alter_a_byte, "phantom", "with another text: “…?.*#”; u[0-9]+ said"),
    "name another author": (name_another_author, "phantom", "as said by u[01]; it was u[0-9]+"),
    "name another time": (name_another_time, "phantom", "in another form than the others"),
    "number wrongly": (number_wrongly, "doubled", "was shown room0 .* twice"),
    "deliver after leaving": (deliver_after_leaving, "late", "was shown room0 .* after leaving at"),
    "ack wrongly": (ack_wrongly, "ack", "was acked room0 10.* for a message that was shown as room0"),
    "drop an ack": (drop_an_ack, "ack", "was neither acked nor refused"),
    "drop a departure": (drop_a_departure, "presence", "was not told that u[0-9]+ left room0"),
    "miscount": (miscount, "presence", "was told of [0-9]+ members of room0, where [0-9]+ were"),
}
