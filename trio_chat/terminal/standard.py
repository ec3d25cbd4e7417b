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
AHEAD_CHARACTERS = 1 << 20
LINE_CHARACTERS_MAX = 65_536  # a text has 4,096 bytes: so long a line is cut into many in any case


class LineSplitter:
    """Bytes to lines, however they were cut. Pure.

    What is not UTF-8 becomes U+FFFD, and a byte order mark in front is left out. A last line that does not
    end is a line all the same. A line of more than 65,536 characters goes on as another line: an input
    without line ends must not fill the memory. Where lines may be commands (`has_commands`), a rest that
    begins with a slash gets a second slash, so that it is said.
    """

    def __init__(self, *, has_commands: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._has_commands = has_commands
        self._parts: list[str] = []
        self._characters = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` ends."""
        *ends, rest = self._decoder.decode(data).split("\n")
        lines: list[str] = []
        for end in ends:
            self._add(end, lines)
            lines.append(self._take())
        self._add(rest, lines)
        return lines

    def end(self) -> list[str]:
        """The line that was not ended, if there is one."""
        lines: list[str] = []
        self._add(self._decoder.decode(b"", final=True), lines)
        return [*lines, self._take()] if self._parts else lines

    def _add(self, text: str, lines: list[str]) -> None:
        """Add to the line that has begun; give the part of it that is too long to `lines`."""
        at = 0
        while len(text) - at > (space := LINE_CHARACTERS_MAX - self._characters):
            self._parts.append(text[at : at + space])
            lines.append("".join(self._parts))
            self._parts, self._characters = [], 0
            at += space
            if self._has_commands and text[at] == "/":
                self._parts, self._characters = ["/"], 1
        if rest := text[at:]:
            self._parts.append(rest)
            self._characters += len(rest)

    def _take(self) -> str:
        line = "".join(self._parts).removesuffix("\r")
        self._parts, self._characters = [], 0
        return line


class Input:
    """Lines from a descriptor, which `read` takes from it, somewhat ahead of who takes them from here."""

    def __init__(self, fd: int, *, has_commands: bool = False) -> None:
        self.error: OSError | None = None
        self._fd = fd
        self._splitter = LineSplitter(has_commands=has_commands)
        self._lines: deque[str] = deque()
        self._characters = 0  # of those lines
        self._ended = False
        self._wanted = trio.Event()
        self._taken = ParkingLot()
        self._news = ParkingLot()

    @property
    def has_ended(self) -> bool:
        """Whether all there is has been read; `error` is why there is no more, if reading failed."""
        return self._ended

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
            if len(self._lines) >= LINES_AHEAD or self._characters >= AHEAD_CHARACTERS:
                await self._taken.park()
                continue
            data = await self._receive()
            lines = self._splitter.feed(data) if data else self._splitter.end()
            self._lines += lines
            self._characters += sum(map(len, lines))
            self._ended = not data
            self._news.unpark_all()

    async def line(self) -> str | None:
        """Wait for the next line; None at the end. Cancelling loses nothing."""
        self._wanted.set()
        await trio.lowlevel.checkpoint()
        while not self._lines and not self._ended:
            await self._news.park()
        self._taken.unpark_all()
        if not self._lines:
            return None
        line = self._lines.popleft()
        self._characters -= len(line)
        return line

    def discard(self) -> None:
        """Forget the lines that are `waiting`."""
        self._lines.clear()
        self._characters = 0
        self._taken.unpark_all()

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
        except OSError as error:  # the terminal is gone, or there is no reading from that file
            self.error = error
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
