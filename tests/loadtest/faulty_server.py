"""A server that lies to one user: what passes between the two is changed on its way.

A `Liar` decides what; a `LyingLink` is the user's end of a connection in memory, and `proxying` a port in
front of a real server.
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

__all__ = ["LIES", "Liar", "LyingLink", "proxying"]

Change = Callable[["Liar", Event], list[Event]]


@dataclass
class Liar:
    """Lies to `victim`, with what `change` makes of each event; `done` lies were told."""

    victim: str
    change: Change
    done: int = 0
    seen: int = 0
    held: list[Event] = field(default_factory=list)


class _Stream:
    """The frames to one client; it is lied to when its hello has said that it is the victim."""

    def __init__(self, liar: Liar) -> None:
        self._liar = liar
        self._commands = framing.FrameReader()
        self._events = framing.FrameReader()
        self._lies = False
        self._greeted = False

    def up(self, data: bytes | memoryview) -> None:
        if not self._greeted:
            for payload in self._commands.feed(bytes(data)):
                command = decode_command(payload)
                self._greeted = True
                self._lies = isinstance(command, Hello) and command.name.startswith(f"{self._liar.victim}")

    def down(self, data: bytes) -> bytes:
        if not self._lies:
            return data
        told: list[bytes] = []
        for payload in self._events.feed(data):
            event = decode_event(payload)
            assert event is not None
            told += [encode(each) for each in self._liar.change(self._liar, event)]
        return framing.pack(told)


class LyingLink(PipeLink):
    """Takes over one end of a pair."""

    def __init__(self, link: PipeLink, liar: Liar) -> None:
        super().__init__(link._in, link._out, link.address)
        self._stream = _Stream(liar)

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
async def proxying(port: int, liar: Liar) -> AsyncGenerator[int]:
    """A port in front of that of a server, for as long as the block lasts."""
    (listener,) = await open_listeners("127.0.0.1", 0)

    async def pump(source: Link, sink: Link, change: Callable[[bytes], bytes]) -> None:
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
        stream = _Stream(liar)

        def up(data: bytes) -> bytes:
            stream.up(data)
            return data

        async with trio.open_nursery() as both:
            both.start_soon(pump, client, server, up)
            both.start_soon(pump, server, client, stream.down)

    async with trio.open_nursery() as nursery:

        async def accept() -> None:
            while True:
                for link in await listener.accept():
                    nursery.start_soon(serve, link)

        nursery.start_soon(accept)
        yield listener.port
        nursery.cancel_scope.cancel()
    listener.close()


# --- lies, each told once, somewhere in the middle of the talk ---------------------------------------------

AFTER = 20  # entries that are shown as they are


def _entry(liar: Liar, event: Event) -> Said | None:
    """The entry that is to be lied about, if this is it."""
    if isinstance(event, Said):
        liar.seen += 1
        if liar.seen > AFTER and not liar.done:
            liar.done += 1
            return event
    return None


def drop(liar: Liar, event: Event) -> list[Event]:
    return [] if _entry(liar, event) else [event]


def double(liar: Liar, event: Event) -> list[Event]:
    return [event, event] if _entry(liar, event) else [event]


def swap(liar: Liar, event: Event) -> list[Event]:
    if _entry(liar, event):
        liar.held.append(event)
        return []
    if isinstance(event, Said) and liar.held:
        return [event, liar.held.pop()]
    return [event]


def alter_a_byte(liar: Liar, event: Event) -> list[Event]:
    entry = _entry(liar, event)
    return [replace(entry, text=entry.text[:-1] + "#")] if entry else [event]


def name_another_author(liar: Liar, event: Event) -> list[Event]:
    entry = _entry(liar, event)
    return [replace(entry, by="u0" if entry.by != "u0" else "u1")] if entry else [event]


def name_another_time(liar: Liar, event: Event) -> list[Event]:
    entry = _entry(liar, event)
    return [replace(entry, at=entry.at + 1)] if entry else [event]


def number_wrongly(liar: Liar, event: Event) -> list[Event]:
    entry = _entry(liar, event)
    return [replace(entry, seq=entry.seq - 1)] if entry else [event]


def deliver_after_leaving(liar: Liar, event: Event) -> list[Event]:
    if isinstance(event, Said):
        liar.held = [event]
    if isinstance(event, Ack) and not isinstance(event.seq, int) and not liar.done:
        liar.done += 1
        entry = liar.held[0]
        assert isinstance(entry, Said)
        return [event, replace(entry, seq=entry.seq + 1, text="for members only")]
    return [event]


def ack_wrongly(liar: Liar, event: Event) -> list[Event]:
    if isinstance(event, Ack) and isinstance(event.seq, int) and not liar.done:
        liar.done += 1
        return [replace(event, seq=event.seq + 1_000)]
    return [event]


def forget_an_ack(liar: Liar, event: Event) -> list[Event]:
    if isinstance(event, Ack) and isinstance(event.seq, int) and not liar.done:
        liar.done += 1
        return []
    return [event]


def forget_a_going(liar: Liar, event: Event) -> list[Event]:
    if isinstance(event, Presence) and event.left and not liar.done:
        liar.done += 1
        return []
    return [event]


def miscount(liar: Liar, event: Event) -> list[Event]:
    if isinstance(event, Presence) and event.left and not liar.done:
        liar.done += 1
        return [replace(event, members=event.members + 1)]
    return [event]


LIES: dict[str, tuple[Change, str, str]] = {
    # what, the kind of breach, words that its sentence has, beside the victim's name
    "drop": (drop, "lost", "missed room0"),
    "double": (double, "doubled", "was shown room0 .* twice"),
    "swap": (swap, "reordered", "was shown room0 .* after room0"),
    "alter a byte": (alter_a_byte, "phantom", "with another text: “…?.*#”; u[0-9]+ said"),
    "name another author": (name_another_author, "phantom", "as said by u[01]; it was u[0-9]+"),
    "name another time": (name_another_time, "phantom", "otherwise than others were"),
    "number wrongly": (number_wrongly, "doubled", "was shown room0 .* twice"),
    "deliver after leaving": (deliver_after_leaving, "late", "was shown room0 .* after leaving at"),
    "ack wrongly": (ack_wrongly, "ack", "was acked room0 10.* for what everybody was shown as room0"),
    "forget an ack": (forget_an_ack, "ack", "was neither acked nor refused"),
    "forget a going": (forget_a_going, "presence", "was not told that u[0-9]+ left room0"),
    "miscount": (miscount, "presence", "was told of [0-9]+ in room0, where [0-9]+ were"),
}
