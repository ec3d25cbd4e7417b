"""A connection of a `MemoryNetwork`: its two ends, and the faults that can be injected into it."""

from collections.abc import Callable
from contextlib import suppress

from trio_chat.errors import LinkBroken
from trio_chat.testing.pipe import Note, PipeDirection, PipeLink

__all__ = ["MemoryConnection"]


class MemoryConnection:
    """One connection between two hosts, named after the host that dialled: `ada→server#1` is the first from
    ada to the server. Open until both programs have closed their ends, whatever the network did to it."""

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
        """Send a FIN for `host`; its program can still read, but not send. If both ends are on one host, the
        end that dialled sends it. Without effect after an earlier FIN."""
        if host not in (self.from_host, self.to_host):
            raise ValueError(f"{self.name} has no end at {host}")
        with suppress(LinkBroken):
            (self.dialled if host == self.from_host else self.accepted).end()

    def rst(self) -> None:
        """Reset the connection for both ends at once; unread bytes are discarded."""
        self.dialled.reset()

    def left_behind(self) -> str:
        """Return in one line the ends that are open and the number of unread bytes."""
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
