"""Dialects: how commands and events travel as bytes. Sans-IO, in pairs for the two ends.

A server's side of a connection is a `CommandReader`, one for each connection, and a `Packing`, one
for all of them: it turns the payloads of a batch into the bytes that every session of that dialect
is sent, made once and shared. `frames` is the dialect of docs/protocol.md.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from trio_chat.errors import BadMessage
from trio_chat.wire.messages import Command

__all__ = ["CommandReader", "Packing"]


class Packing(Protocol):
    """Payloads to the bytes of one dialect; without state."""

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

    def welcomed(self) -> None:
        """The peer has been welcomed and may send larger frames from here on."""
        ...

    def feed(self, data: bytes) -> Iterator[Command | BadMessage]:
        """The commands that `data` makes whole, one by one, as they are asked for.

        What is no command is given as the error that answers it. Take them all before feeding more.
        Raises `FrameError` where the stream cannot go on.
        """
        ...
