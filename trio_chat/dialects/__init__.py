"""Dialects: the encodings of commands and events as bytes. Sans-IO.

A server has a `CommandReader` for each connection, and one `Packing` for all connections of a dialect: it
encodes the payloads of a batch once, and every session is sent the same bytes. A client has an `EventReader`.
`frames` is the dialect of TCP connections, `websocket` the dialect of browsers.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from trio_chat.errors import BadMessage
from trio_chat.wire.messages import Command, Event

__all__ = ["CommandReader", "Control", "EventReader", "Packing"]


class Control(bytes):
    """Bytes of the dialect itself, such as a WebSocket pong: sent unchanged, in order with the payloads."""

    __slots__ = ()


class Packing(Protocol):
    """Encode payloads in one dialect; stateless."""

    @property
    def probe(self) -> Control | None:
        """Return a ping to which a live peer replies; None if peers send pings themselves."""
        ...

    def pack(self, payloads: Sequence[bytes]) -> bytes:
        """Return these payloads, encoded. Encoded batches may be joined."""
        ...

    def frame_boundary(self, packed: bytes, sent: int) -> int:
        """Return how many bytes of `packed` must be sent, after the first `sent`, to end at a frame
        boundary."""
        ...


class CommandReader(Protocol):
    """Decode the commands of one connection."""

    @property
    def inside_frame(self) -> bool:
        """Return whether a frame or message has begun and is incomplete."""
        ...

    @property
    def inside_message(self) -> bool:
        """Return whether a message has begun and is incomplete, even if its frames so far are complete."""
        ...

    @property
    def ended(self) -> bool:
        """Return whether the peer has sent an end of input within the dialect, such as a close frame."""
        ...

    def welcomed(self) -> None:
        """Accept larger frames from now on: the peer has been sent `welcome`."""
        ...

    def feed(self, data: bytes) -> Iterator[Command | BadMessage | Control | None]:
        """Yield the commands that `data` completes, each decoded when it is requested.

        An invalid command is yielded as the error to reply with, and a ping of the dialect as its reply.
        Input that needs no reply is yielded as None, so that the caller can count the work. Consume the
        iterator before the next call. Raises `FrameError` if the stream cannot continue.
        """
        ...

    def close_frame(self, code: str) -> Control | None:
        """Return the bytes to send after a `bye` with that code, or without a `bye` if the code is empty."""
        ...


class EventReader(Protocol):
    """The client's side of one connection: decode events, encode commands."""

    @property
    def inside_frame(self) -> bool:
        """Return whether a frame or message has begun and is incomplete."""
        ...

    @property
    def ended(self) -> bool:
        """Return whether the server has sent an end of input within the dialect, such as a close frame."""
        ...

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes. Raises `FrameError` and `BadMessage`."""
        ...

    def frame(self, payload: bytes) -> bytes:
        """Return one command, encoded."""
        ...

    def replies(self) -> bytes:
        """Return the replies of the dialect to the input so far, such as pongs, and clear them."""
        ...
