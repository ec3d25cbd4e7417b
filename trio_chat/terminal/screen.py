"""Show events and replies on standard output, and messages to the user on standard error.

Output is lines of text or JSON, escaped in both forms. Two tasks may show things at once: a task that must
not be interrupted between two of its outputs holds `screen.lock`.
"""

import errno
from collections.abc import Callable, Sequence

import trio

from trio_chat.client import ClientEvent
from trio_chat.errors import ChatError, OutputError
from trio_chat.terminal import show
from trio_chat.terminal.escape import escape
from trio_chat.terminal.standard import Output
from trio_chat.wire.messages import Event

__all__ = ["Screen"]


class Screen:
    """Writes to an `Output`. Calls `fail` when standard output can no longer be written."""

    def __init__(
        self, output: Output, *, as_json: bool, fail: Callable[[ChatError | BrokenPipeError], None]
    ) -> None:
        self.lock = trio.Lock()
        self._output = output
        self._as_json = as_json
        self._fail = fail

    async def show_events(self, events: Sequence[ClientEvent], *, me: str, room: str) -> None:
        """Show events to the user whose name is `me` and whose current room is `room`."""
        if self._as_json:
            await self._data([show.as_json(event) for event in events])
        else:
            shown = [show.event_lines(event, me=me, room=room) for event in events]
            await self._data([line for lines in shown for line in lines])

    async def show_reply(self, event: Event, lines: list[str]) -> None:
        """Show the reply to a command: `lines`, or `event` as JSON."""
        await self._data([show.as_json(event)] if self._as_json else lines)

    async def message(self, text: str = "", end: str = "\n") -> None:
        """Write to standard error as it is; use `note` for text that contains data from peers."""
        await self._output.write_message(text, end)

    async def note(self, text: str) -> None:
        """Write a line to standard error, escaped and marked with `--`."""
        await self._output.write_message(f"-- {escape(text)}")

    async def _data(self, lines: list[str]) -> None:
        try:
            await self._output.write_data(lines)
        except BrokenPipeError as error:
            self._fail(error)
        except OSError as error:
            reason = "it is closed" if error.errno == errno.EBADF else error.strerror
            self._fail(OutputError(f"cannot write to standard output: {reason}"))
