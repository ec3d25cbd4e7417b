"""A hostile server: it answers as a server does, and changes answers at random from a seed.

`HostileServer` keeps up a dialogue, so that a client gets far, and changes up to one event in five: numbers,
texts, lists, fields, order. `held` measures all parts of a `Chat` that a server can fill, and `over_bounds`
returns those over their bounds.
"""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import trio

from tests.client.scripted import ScriptedConnection, ScriptedServer, said, welcome
from trio_chat.client import Chat
from trio_chat.client.connection import OUTBOX_BYTES
from trio_chat.client.event_size import event_bytes
from trio_chat.client.inbox import STRANGE_ROOMS, STRAYS, STRAYS_BYTES
from trio_chat.client.overflow import OVERFLOW_BYTES
from trio_chat.client.requests import OUTSTANDING
from trio_chat.wire import framing
from trio_chat.wire.codec import encode
from trio_chat.wire.framing import FRAME_BYTES_MAX
from trio_chat.wire.messages import (
    Ack,
    Bye,
    Command,
    Departure,
    Error,
    Event,
    Found,
    Gap,
    Hello,
    History,
    HistoryPage,
    Join,
    Leave,
    Members,
    Named,
    Ping,
    Pong,
    Presence,
    Quit,
    Rename,
    Renaming,
    Room,
    RoomListing,
    Rooms,
    RoomsPage,
    Say,
    Search,
    Topic,
    TopicChanged,
    TypingNotice,
    Whisper,
    Whispered,
    Who,
)

__all__ = ["NUMBERS", "TEXTS", "HostileServer", "frames", "held", "over_bounds"]

NUMBERS = (0, 1, 2, -1, 59, 10**6, 2**31, 2**53 - 1, 2**53, 2**63, 10**30, 10**400, 1.5, True, None)
TEXTS = (
    "",
    "lobby",
    "garden",
    "LOBBY",
    "ada",
    "bob",
    "a\nb\r\tc",
    "\x00\x1b[2J\x9b",
    "\ud800",
    "\u202egnp.exe\u2066",
    "\u2028\ufeff",
    "x" * 300,
    "x" * 50_000,
    "\N{GRINNING FACE}" * 4_000,
)
CODES = (
    "rate_limited",
    "unavailable",
    "not_in_room",
    "name_taken",
    "bad_name",
    "internal",
    "draining",
    "\n\x1b[2J",
)
READ_WEIGHT = 40 * FRAME_BYTES_MAX  # one read of 64 KiB, as objects: names of two letters are the worst


def frames(*events: Event | dict[str, Any]) -> bytes:
    """Return the bytes of events, or of objects that no `Event` can be."""
    return framing.pack(
        [json.dumps(each).encode() if isinstance(each, dict) else encode(each) for each in events]
    )


class HostileServer:
    """Answers one client on all its connections, up to `answers` commands."""

    def __init__(self, seed: int, answers: int = 60) -> None:
        self._random = Random(seed)
        self._honest = self._random.choice((1.0, 0.95, 0.8))  # the share of events that go out as they are
        self._answers = answers
        self._heads: dict[str, int] = {}

    async def serve(self, scripted_server: ScriptedServer) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self.answer_all, await scripted_server.accept())

    async def answer_all(self, peer: ScriptedConnection) -> None:
        peer.expects_bad_messages = (
            True  # a client requests the page after the last name, which may be invalid
        )
        while (command := await peer.command()) is not None:
            self._answers -= 1
            if self._answers < 0:
                await peer.say(Bye("quit", "enough", reconnect=False))
                break
            payloads = [line for event in self._said_to(command) for line in self._changed(event)]
            await self._send(peer, framing.pack(payloads))
            if isinstance(command, Quit) or self._random.random() < 0.02:
                break
        peer.link.close()

    async def _send(self, peer: ScriptedConnection, data: bytes) -> None:
        """Send at once or in pieces, and rarely with a changed byte."""
        if data and self._random.random() < 0.01:
            at = self._random.randrange(len(data))
            data = data[:at] + bytes((data[at] ^ (1 << self._random.randrange(8)),)) + data[at + 1 :]
        while data:
            size = len(data) if self._random.random() < 0.7 else self._random.randint(1, 40_000)
            await peer.send_bytes(data[:size])
            data = data[size:]

    # --- the events of an honest server ---------------------------------------------------------------------

    def _said_to(self, command: Command) -> Iterator[Event]:
        while self._random.random() < 0.3:
            yield self._unasked()
        room = getattr(command, "room", "") or "lobby"
        match command:
            case Hello():
                yield welcome(command)
            case Join():
                head = self._heads.setdefault(room, self._random.choice((0, 3, 500)))
                yield Room(
                    room=room,
                    epoch=self._random.choice(("e", "e", "f")),
                    resumed=self._random.random() < 0.5,
                    first=1,
                    head=head,
                    members=2,
                    topic="",
                    ref=command.ref,
                )
                yield from (said(seq, room) for seq in range(max(1, head - 3), head + 1))
            case Say() | Topic():
                seq = self._heads[room] = self._heads.get(room, 0) + 1
                yield said(seq, room, "ada", command.text[:100])
                yield Ack(command.ref, room, seq)
            case _:
                yield from self._answers_to(command, room)

    def _answers_to(self, command: Command, room: str) -> Iterator[Event]:
        ref = command.ref
        if self._random.random() < 0.1:
            yield Error(self._random.choice(CODES), "not now", retry_after_s=1, ref=ref)
            return
        more = self._random.random() < 0.5
        match command:
            case Leave() | Whisper():
                yield Ack(ref, room)
            case Who():
                yield Members(room, [f"{command.after}a", f"{command.after}b"], 2, more, ref)
            case Rooms():
                yield RoomsPage([RoomListing(f"{command.after}r", 1, "")], more, ref)
            case History():
                after = command.after if isinstance(command.after, int) else 0
                yield HistoryPage(room, [said(seq, room) for seq in range(after + 1, after + 4)], more, ref)
            case Search():
                yield Found([said(2, room), said(1, room)], more, ref, "next" if more else "")
            case Rename():
                yield Named(command.name, ref)
            case Ping():
                yield Pong(ref=ref)
            case Quit():
                yield Bye("quit", "goodbye", reconnect=False, ref=ref)
            case _:
                pass

    def _unasked(self) -> Event:
        room = self._random.choice(("lobby", "garden", "nowhere", f"room {self._random.randrange(1_000)}"))
        seq = self._heads.get(room, 0) + 1
        events: tuple[Event, ...] = (
            said(seq, room),
            TopicChanged(room, seq, 1, "bob", "a topic"),
            Presence(room, 3, ["eve"], [Departure("bob", "quit")], [Renaming("a", "b"), Renaming("b", "a")]),
            Members(room, ["ada", "bob"], 2, False),
            TypingNotice(room, "bob"),
            Whispered("bob", "ada", "psst", 1),
            Gap(room, seq, seq + 5, self._random.random() < 0.5),
            Named("ada2"),
            Error(self._random.choice(CODES), "by the way"),
            Ack("never sent", room, 1),
            Pong(7),
            welcome(Hello(version=1, name="ada")),
            Bye(self._random.choice(CODES), "again", reconnect=self._random.random() < 0.9, after_s=1),
        )
        return self._random.choice(events[:12] * 4 + events[12:])

    # --- the changes --------------------------------------------------------------------------

    def _changed(self, event: Event) -> list[bytes]:
        payload = encode(event)
        if self._random.random() < self._honest:
            return [payload]
        match self._random.randrange(8):
            case 0:
                return []
            case 1:
                return [payload] * self._random.choice((2, 50))
            case _:
                message = json.loads(payload)
                for _ in range(self._random.randint(1, 2)):
                    if message:
                        self._change(message)
                changed = json.dumps(message).encode()
                return [changed[:FRAME_BYTES_MAX]]

    def _change(self, message: dict[str, Any]) -> None:
        """Change one value of an object, or of one inside it."""
        key = self._random.choice([*message])
        value = message[key]
        if isinstance(value, dict) and value:
            self._change(value)
        elif isinstance(value, list) and value and isinstance(value[0], dict) and self._random.random() < 0.5:
            self._change(self._random.choice(value))
        elif isinstance(value, list):
            message[key] = value * self._random.choice((0, 2, 800))
        elif isinstance(value, bool):
            message[key] = not value
        elif isinstance(value, int):
            message[key] = self._random.choice(NUMBERS)
        elif key != "type" and self._random.random() < 0.9:
            message[key] = self._random.choice(TEXTS)
        elif self._random.random() < 0.5:
            del message[key]
        else:
            message[self._random.choice(TEXTS)] = {"of": ["another", "time"]}


# --- bounds ---------------------------------------------------------------------------------


def held(chat: Chat) -> dict[str, int]:
    """Return the size of everything in a Chat that grows by what a server sends."""
    talk = chat._talk
    inbox, connection = talk.inbox, talk._connection
    return {
        "events": len(inbox._events),
        "weight of the events": sum(map(event_bytes, inbox._events)),
        "events beyond": len(inbox._beyond),
        "weight beyond": sum(map(event_bytes, inbox._beyond._events)),
        "strays": len(inbox.strays),
        "weight of the strays": sum(map(event_bytes, inbox.strays)),
        "places": len(inbox._positions) + len(inbox._strange.keys() - inbox._positions.keys()),
        "lagging": len(inbox._lagging.keys() | inbox._positions.keys()),
        "memberships": len(talk.rooms._by_name) + len(talk.rooms._names),
        "requests": sum(1 for _ in talk.requests),
        "outbox": len(connection._outbox),
        "name": len(chat.name),
    }


def over_bounds(chat: Chat, joined: int) -> dict[str, int]:
    """Return the parts that are over their bounds in a Chat that has sent `joined` joins."""
    inbox = chat._talk.inbox
    bounds = {
        "events": inbox.bound
        + 3 * FRAME_BYTES_MAX // 40,  # a read, an answer, and the events that they complete
        "weight of the events": inbox._weight_max + 2 * READ_WEIGHT,
        "events beyond": inbox.bound + 2 * joined,
        "weight beyond": OVERFLOW_BYTES + READ_WEIGHT,
        "strays": STRAYS,
        "weight of the strays": STRAYS_BYTES + READ_WEIGHT,
        "places": joined + STRANGE_ROOMS,
        "lagging": joined + STRANGE_ROOMS,
        "memberships": 2 * joined,
        "requests": OUTSTANDING + joined + 1,
        "outbox": OUTBOX_BYTES + 2 * FRAME_BYTES_MAX,
        "name": 256,
    }
    return {what: size for what, size in held(chat).items() if size > bounds[what]}
