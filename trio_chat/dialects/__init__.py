"""Dialects: how commands and events travel as bytes. Sans-IO, in pairs for the two ends.

A server's side of a connection is a `CommandReader`, one for each connection, and a `Packing`, one
for all of them: it turns the payloads of a batch into the bytes that every session of that dialect
is sent, made once and shared. A client's side is an `EventReader`. `frames` is the dialect of
docs/protocol.md, `websocket` that of browsers.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from trio_chat.errors import BadMessage
from trio_chat.wire.messages import Command, Event

__all__ = ["CommandReader", "Control", "EventReader", "Packing"]


class Control(bytes):
    """Bytes that a dialect says for itself, such as the answer to its own kind of ping: sent as they are,
    in their place among the payloads."""

    __slots__ = ()


class Packing(Protocol):
    """Payloads to the bytes of one dialect; without state."""

    @property
    def probe(self) -> Control | None:
        """What makes a peer that is there say something; None where peers do so unasked."""
        ...

    def pack(self, payloads: Sequence[bytes]) -> bytes:
        """The bytes that carry these payloads. Packed batches may be joined."""
        ...

    def whole(self, packed: bytes, sent: int) -> int:
        """How much of `packed` must go out, when `sent` bytes have, so that nothing half is left."""
        ...


class CommandReader(Protocol):
    """Bytes to commands, for one connection."""

    @property
    def inside_frame(self) -> bool:
        """Whether something has begun that is not whole yet."""
        ...

    @property
    def inside_message(self) -> bool:
        """Whether a part of a message has come, and not the last: what comes between makes nothing whole."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the peer has said, within the dialect, that no more will come."""
        ...

    def welcomed(self) -> None:
        """The peer has been welcomed and may send larger frames from here on."""
        ...

    def feed(self, data: bytes) -> Iterator[Command | BadMessage | Control | None]:
        """The commands that `data` makes whole, one by one, as they are asked for.

        What is no command is given as the error that answers it, and what the dialect itself answers as that
        answer; None is for what was read and asks for nothing, so that whoever takes these can count the
        work. Take them all before feeding more. Raises `FrameError` where the stream cannot go on.
        """
        ...

    def farewell(self, code: str) -> Control | None:
        """What this dialect says behind a `bye` with that code, or without one if the code is empty."""
        ...


class EventReader(Protocol):
    """A client's side of one connection: bytes to events, and a payload to bytes."""

    @property
    def inside_frame(self) -> bool:
        """Whether something has begun that is not whole yet."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the server has said, within the dialect, that no more will come."""
        ...

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` makes whole. Raises `FrameError` and `BadMessage`."""
        ...

    def frame(self, payload: bytes) -> bytes:
        """The bytes that carry one command."""
        ...

    def replies(self) -> bytes:
        """What the dialect itself answers to what was fed, once."""
        ...
