"""Read standard input as lines, and write standard output and standard error.

Reads and writes run in Trio's worker threads, since both may block, for example on a terminal stopped with
Ctrl-S or on a pager. The event loop keeps running meanwhile, and pings are answered. The threads use the raw
descriptors: a thread abandoned in `os.read` does no harm, but a thread inside `sys.stdin` holds a lock that
the interpreter needs at exit.
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
# One read may exceed these two bounds; further data stays in the terminal or the pipe.
BUFFERED_LINES_MAX = 1000
BUFFERED_CHARACTERS_MAX = 1 << 20
LINE_CHARACTERS_MAX = 65_536  # a text has at most 4,096 bytes, so such a line is split anyway


class LineSplitter:
    """Splits bytes into lines. The chunks may end anywhere. Pure.

    Bytes that are not UTF-8 become U+FFFD, and a byte order mark at the start is removed. The last line need
    not have a line end. A line of more than 65,536 characters continues as another line, so that an input
    without line ends cannot fill the memory. If lines may be commands (`has_commands`), a continuation that
    begins with a slash gets a second slash, so that it is sent as text.
    """

    def __init__(self, *, has_commands: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._has_commands = has_commands
        self._parts: list[str] = []
        self._characters = 0

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that are complete with `data`."""
        *ends, rest = self._decoder.decode(data).split("\n")
        lines: list[str] = []
        for end in ends:
            self._add(end, lines)
            lines.append(self._take())
        self._add(rest, lines)
        return lines

    def end(self) -> list[str]:
        """Return the last line if it had no line end."""
        lines: list[str] = []
        self._add(self._decoder.decode(b"", final=True), lines)
        return [*lines, self._take()] if self._parts else lines

    def _add(self, text: str, lines: list[str]) -> None:
        """Add to the current line; append it to `lines` each time it reaches its maximum."""
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
    """Lines from a descriptor. The task `read` buffers a bounded number of them for `next_line`."""

    def __init__(self, fd: int, *, has_commands: bool = False) -> None:
        self.error: OSError | None = None
        self._fd = fd
        self._splitter = LineSplitter(has_commands=has_commands)
        self._lines: deque[str] = deque()
        self._characters = 0  # in `_lines`
        self._ended = False
        self._started = trio.Event()
        self._line_taken = ParkingLot()
        self._lines_arrived = ParkingLot()

    @property
    def has_ended(self) -> bool:
        """Whether the input has ended; `error` is the reason if reading failed."""
        return self._ended

    @property
    def pending(self) -> list[str]:
        """The buffered lines, which `next_line` has not returned yet."""
        return list(self._lines)

    async def read(self) -> None:
        """Read until the input ends. Cancelling loses the data of a read in progress.

        Reading begins with the first call of `next_line`, since an input that is not used here may be meant
        for the next program.
        """
        await self._started.wait()
        while not self._ended:
            if len(self._lines) >= BUFFERED_LINES_MAX or self._characters >= BUFFERED_CHARACTERS_MAX:
                await self._line_taken.park()
                continue
            data = await self._receive()
            lines = self._splitter.feed(data) if data else self._splitter.end()
            self._lines += lines
            self._characters += sum(map(len, lines))
            self._ended = not data
            self._lines_arrived.unpark_all()

    async def next_line(self) -> str | None:
        """Wait for the next line and return it; None at the end. Cancelling loses nothing."""
        self._started.set()
        await trio.lowlevel.checkpoint()
        while not self._lines and not self._ended:
            await self._lines_arrived.park()
        self._line_taken.unpark_all()
        if not self._lines:
            return None
        line = self._lines.popleft()
        self._characters -= len(line)
        return line

    def discard(self) -> None:
        """Drop the lines that are `pending`."""
        self._lines.clear()
        self._characters = 0
        self._line_taken.unpark_all()

    async def wait_until_buffered(self, matches: Callable[[str], bool]) -> None:
        """Wait until a pending line matches."""
        await trio.lowlevel.checkpoint()
        while not any(matches(line) for line in self._lines):
            await self._lines_arrived.park()

    async def _receive(self) -> bytes:
        """Wait for data and return it; empty at the end of the input."""
        try:
            return await trio.to_thread.run_sync(os.read, self._fd, READ_BYTES, abandon_on_cancel=True)
        except BlockingIOError:  # another program on the same terminal has made it non-blocking
            await trio.lowlevel.wait_readable(self._fd)
            return await self._receive()
        except OSError as error:  # the terminal is closed, or the file cannot be read
            self.error = error
            return b""


class Output:
    """Writes data to standard output and messages to standard error."""

    def __init__(self, data_fd: int, message_fd: int) -> None:
        self._data_fd = data_fd
        self._message_fd = message_fd

    async def write_data(self, lines: list[str]) -> None:
        """Write lines and wait until they are written. Raises OSError, also for a closed pipe."""
        if lines:
            await self._write(self._data_fd, "".join(f"{line}\n" for line in lines))

    async def write_message(self, text: str, end: str = "\n") -> None:
        """Write a message and wait until it is written. A failed write is ignored."""
        with suppress(OSError):
            await self._write(self._message_fd, text + end)

    @staticmethod
    async def _write(fd: int, text: str) -> None:
        await trio.to_thread.run_sync(partial(_write_all, fd, text.encode()), abandon_on_cancel=True)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            select.select([], [fd], [])
