"""Standard input as lines; standard output and error.

Both go through Trio's worker threads, since both may block: a terminal that is stopped with Ctrl-S, a
pager that nobody scrolls. The loop goes on meanwhile, and so do the pings. The threads read and write
the bare descriptors: one that is left behind in `os.read` harms nobody, where one that is inside
`sys.stdin` holds a lock that the interpreter wants when it ends.
"""

import codecs
import os
import select
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio
from trio.lowlevel import ParkingLot

__all__ = ["Input", "LineSplitter", "Output"]

READ_BYTES = 65_536
LINES_AHEAD = 1000  # and what one read brings; where they are not taken, the terminal or the pipe keeps more


class LineSplitter:
    """Bytes to lines, of any length, however they were cut. Pure.

    What is not UTF-8 becomes U+FFFD. A last line that does not end is a line all the same.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._parts: list[str] = []

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` ends."""
        *ends, rest = self._decoder.decode(data).split("\n")
        lines = []
        for end in ends:
            lines.append("".join((*self._parts, end)).removesuffix("\r"))
            self._parts.clear()
        if rest:
            self._parts.append(rest)
        return lines

    def end(self) -> list[str]:
        """The line that was not ended, if there is one."""
        rest = "".join(self._parts) + self._decoder.decode(b"", final=True)
        self._parts.clear()
        return [rest.removesuffix("\r")] if rest else []


class Input:
    """Lines from a descriptor, which `read` takes from it, somewhat ahead of who takes them from here."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._splitter = LineSplitter()
        self._lines: deque[str] = deque()
        self._ended = False
        self._wanted = trio.Event()
        self._taken = ParkingLot()
        self._news = ParkingLot()

    @property
    def waiting(self) -> list[str]:
        """The lines that were read and nobody has taken."""
        return list(self._lines)

    async def read(self) -> None:
        """The task that reads, until the input ends; cancelling it loses what comes meanwhile.

        It begins when a line is first waited for: what is not wanted here may be by the next program.
        """
        await self._wanted.wait()
        while not self._ended:
            if len(self._lines) >= LINES_AHEAD:
                await self._taken.park()
                continue
            data = await self._receive()
            self._lines += self._splitter.feed(data)
            if not data:
                self._lines += self._splitter.end()
                self._ended = True
            self._news.unpark_all()

    async def line(self) -> str | None:
        """Wait for the next line; None at the end. Cancelling loses nothing."""
        self._wanted.set()
        await trio.lowlevel.checkpoint()
        while not self._lines and not self._ended:
            await self._news.park()
        self._taken.unpark_all()
        return self._lines.popleft() if self._lines else None

    async def ahead(self, looked_for: Callable[[str], bool]) -> None:
        """Wait until such a line has been read that nobody has taken yet."""
        await trio.lowlevel.checkpoint()
        while not any(looked_for(line) for line in self._lines):
            await self._news.park()

    async def _receive(self) -> bytes:
        """What there is, or nothing at the end."""
        try:
            return await trio.to_thread.run_sync(os.read, self._fd, READ_BYTES, abandon_on_cancel=True)
        except BlockingIOError:  # whoever shares the terminal has left it non-blocking
            await trio.lowlevel.wait_readable(self._fd)
            return await self._receive()
        except OSError:  # the terminal is gone
            return b""


class Output:
    """Where lines go: `data` to be read by people or programs, `talk` about it to people."""

    def __init__(self, data_fd: int, talk_fd: int) -> None:
        self._data_fd = data_fd
        self._talk_fd = talk_fd

    async def data(self, lines: list[str]) -> None:
        """Write lines, and wait until they are out. Raises OSError when nobody reads them any more."""
        if lines:
            await self._write(self._data_fd, "".join(f"{line}\n" for line in lines))

    async def talk(self, text: str, end: str = "\n") -> None:
        """Write a line of talk, and wait until it is out, or nobody reads it."""
        with suppress(OSError):
            await self._write(self._talk_fd, text + end)

    @staticmethod
    async def _write(fd: int, text: str) -> None:
        await trio.to_thread.run_sync(partial(_write_all, fd, text.encode()), abandon_on_cancel=True)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            select.select([], [fd], [])
