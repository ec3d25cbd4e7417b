"""A connection of a `MemoryNetwork`: its two ends, and what can be done to it from outside."""

from collections.abc import Callable
from contextlib import suppress

from trio_chat.errors import LinkBroken
from trio_chat.testing.pipe import Note, PipeDirection, PipeLink

__all__ = ["MemoryConnection"]


class MemoryConnection:
    """One connection between two hosts, named after who dialled: `ada→server#1` is the first from ada to
    the server. Open until both programs have closed their ends, whatever the network did to it."""

    def __init__(
        self,
        name: str,
        from_host: str,
        to_host: str,
        buffer_bytes: int,
        note: Note | None,
        closed: Callable[["MemoryConnection"], None],
    ) -> None:
        self.name = name
        self.from_host = from_host
        self.to_host = to_host
        there = PipeDirection(buffer_bytes, name, from_host, to_host, note)
        back = PipeDirection(buffer_bytes, name, to_host, from_host, note)
        there.back, back.back = back, there
        self.ways = (there, back)
        self._closed = closed
        self.dialled = PipeLink(back, there, to_host, self._end_closed)
        """The end of the host that dialled."""
        self.accepted = PipeLink(there, back, from_host, self._end_closed)
        """The end of the host that listens."""

    def fin(self, host: str) -> None:
        """Say for `host` that no more will come; its program can read on, and not send. Where both ends
        are on one host, it is that which dialled. Without effect where it was said already."""
        if host not in (self.from_host, self.to_host):
            raise ValueError(f"{self.name} has no end at {host}")
        with suppress(LinkBroken):
            (self.dialled if host == self.from_host else self.accepted).end()

    def rst(self) -> None:
        """Reset it, for both ends at once; what nobody had read is forgotten."""
        self.dialled.reset()

    def left_behind(self) -> str:
        """Which ends are open, and how many bytes nobody has read, in one line."""
        ends = [
            host
            for host, end in ((self.from_host, self.dialled), (self.to_host, self.accepted))
            if not end.is_closed
        ]
        bytes_to = [
            f"{unread} bytes for {way.target} unread"
            for way in self.ways
            if not way.deaf and (unread := len(way.bytes) + (way.course.under_way_bytes if way.course else 0))
        ]
        return "; ".join([f"{self.name}: open at {' and '.join(ends)}", *bytes_to])

    def _end_closed(self) -> None:
        if self.dialled.is_closed and self.accepted.is_closed:
            self._closed(self)
