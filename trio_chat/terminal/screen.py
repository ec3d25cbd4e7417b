"""The screen: what comes, and what was asked for, on standard output; talk on standard error.

As lines, or as JSON; escaped either way. Of what is shown by two tasks, nothing is torn apart: who holds
the screen (`async with screen.held:`) shows one thing before the other.
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
    """Where things are shown. `fail` is told when nobody can see them any more."""

    def __init__(
        self, output: Output, *, as_json: bool, fail: Callable[[ChatError | BrokenPipeError], None]
    ) -> None:
        self.held = trio.Lock()
        self._output = output
        self._as_json = as_json
        self._fail = fail

    async def events(self, events: Sequence[ClientEvent], *, me: str, room: str) -> None:
        """Show what came, to somebody of that name who is looking at that room."""
        if self._as_json:
            await self._data([show.as_json(event) for event in events])
        else:
            shown = [show.event_lines(event, me=me, room=room) for event in events]
            await self._data([line for lines in shown for line in lines])

    async def answer(self, event: Event, lines: list[str]) -> None:
        """Show what was asked for."""
        await self._data([show.as_json(event)] if self._as_json else lines)

    async def talk(self, text: str = "", end: str = "\n") -> None:
        """Say something that is ours; `note` is for what others have a word in."""
        await self._output.talk(text, end)

    async def note(self, text: str) -> None:
        await self._output.talk(f"-- {escape(text)}")

    async def _data(self, lines: list[str]) -> None:
        try:
            await self._output.data(lines)
        except BrokenPipeError as error:
            self._fail(error)
        except OSError as error:
            reason = "it is closed" if error.errno == errno.EBADF else error.strerror
            self._fail(OutputError(f"cannot write to standard output: {reason}"))
