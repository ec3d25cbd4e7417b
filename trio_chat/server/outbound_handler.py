"""The interface through which an outbound queue calls its session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trio_chat.server.stream import RoomStream

__all__ = ["NO_HANDLER", "OutboundHandler"]


class OutboundHandler(Protocol):
    """The session, as its outbound queue sees it."""

    def start_writer(self) -> None:
        """Run `catch_up` in a task of its own: the socket takes no more for now."""
        ...

    def work_clock(self) -> float:
        """Return the time that measures slices of work, in seconds."""
        ...

    def connection_lost(self) -> None:
        """Handle a connection that broke during a send."""
        ...

    def members_page(self, stream: RoomStream) -> bytes:
        """Return the payload that replaces missed presence notices of a room: its list of members."""
        ...


class _NoHandler:
    """The handler of a session that has ended. It does nothing."""

    def start_writer(self) -> None:
        pass

    def work_clock(self) -> float:
        return 0.0

    def connection_lost(self) -> None:
        pass

    def members_page(self, stream: RoomStream) -> bytes:
        return b""


NO_HANDLER: OutboundHandler = _NoHandler()
