"""What stands behind `outbound.py`: whose way out it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trio_chat.server.stream import RoomStream

__all__ = ["NO_HANDLER", "OutboundHandler"]


class OutboundHandler(Protocol):
    """The session, as seen from what it is owed."""

    def fell_behind(self) -> None:
        """The socket takes no more for now: run `catch_up` in a task of its own."""
        ...

    def work_clock(self) -> float:
        """The clock that slices of work are measured with, in seconds."""
        ...

    def lost(self) -> None:
        """The connection broke under a send."""
        ...

    def members_page(self, stream: RoomStream) -> bytes:
        """The payload that makes good for presence notices missed in a room."""
        ...


class _NoHandler:
    """The owner of a session that has ended: does nothing."""

    def fell_behind(self) -> None:
        pass

    def work_clock(self) -> float:
        return 0.0

    def lost(self) -> None:
        pass

    def members_page(self, stream: RoomStream) -> bytes:
        return b""


NO_HANDLER: OutboundHandler = _NoHandler()
