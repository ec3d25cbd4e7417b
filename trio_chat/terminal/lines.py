"""The line client: what is typed goes out in order, what comes is shown.

Two tasks for a Chat: one shows what comes, the other hands the speaker what is typed, line by line. At the
end of the input everything was acked, and goodbye can be said; what could not be said when it all ended
some other way is shown.

A connection that is lost comes back by itself. What is typed meanwhile waits, and is said then, in order; at
a terminal for ever, in a pipe for five minutes.

What was typed for one server is not said to another that answers after an outage: it is shown instead, and
a pipe ends.

In a pipe every line is said literally, and the run ends when all are acked. Without an input to read it
follows its rooms (`input_kind.py` says when that is).

The first Ctrl-C (or SIGTERM, or the end of the terminal) ends the typing and says goodbye; the second
waits for nothing.
"""

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from math import inf
from typing import Protocol

import trio

from trio_chat.client import Chat, Disconnected, Reconnected, connect
from trio_chat.errors import ChatError, ClientError, Refused, ServerChanged
from trio_chat.terminal import show
from trio_chat.terminal.commands import Action, EmptyLine, QuitLine, as_text, parse
from trio_chat.terminal.escape import escape
from trio_chat.terminal.input_kind import InputKind, input_kind
from trio_chat.terminal.plain_text import plain_text
from trio_chat.terminal.screen import Screen
from trio_chat.terminal.speaker import Speaker
from trio_chat.terminal.standard import Input, Output
from trio_chat.terminal.target import Target
from trio_chat.terminal.tokens import TokenFile

__all__ = ["LineClient", "run"]

GOODBYE_S = 5
DISK_S = 3
PATIENCE_S = 300  # with an outage, where nobody is there to see it
MOVED = "another server answers at this address now: what is typed from now on is said there"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ConnectTo(Protocol):
    """`trio_chat.client.connect`, or what stands in for it."""

    def __call__(
        self, host: str, port: int, *, name: str, token: str, patience_s: float
    ) -> AbstractAsyncContextManager[Chat]: ...


_CONNECT: ConnectTo = partial(
    connect, pace=False
)  # the speaker repeats what is refused, and says why it waits


async def run(
    target: Target,
    rooms: Sequence[str],
    tokens: TokenFile | None,
    *,
    as_json: bool,
    has_commands: bool = False,
) -> None:
    """Chat on standard input and output until the input ends, or somebody ends it.

    One is who the tokens say, or without them somebody new. In a pipe lines are commands only if it
    `has_commands`. Raises `ChatError` when there is no server, when it will not have us, when it is gone, or
    when a piped line was not said, and BrokenPipeError when nobody reads standard output any more.
    """
    kind = input_kind(0)
    typed = Input(0, has_commands=has_commands or kind is InputKind.TERMINAL)
    lines = LineClient(
        typed, Output(1, 2), tokens, as_json=as_json, input_kind=kind, has_commands=has_commands
    )
    await lines.run(target, rooms)


class LineClient:
    """One run of the line client."""

    def __init__(
        self,
        typed: Input,
        output: Output,
        tokens: TokenFile | None,
        *,
        as_json: bool,
        input_kind: InputKind,
        has_commands: bool = False,
        connect: ConnectTo = _CONNECT,
    ) -> None:
        self._typed = typed
        self._tokens = tokens
        self._screen = Screen(output, as_json=as_json, fail=self._fail)
        self._is_pipe = input_kind is InputKind.LINES
        self._interactive = input_kind is InputKind.TERMINAL
        self._parse: Callable[[str], Action] = parse
        if self._is_pipe:
            self._parse = _parse_plain if has_commands else _say_plain
        self._patience_s = PATIENCE_S if self._is_pipe else inf
        self._connect = connect
        self._failed: ChatError | BrokenPipeError | None = None
        self._typing: trio.CancelScope | None = None  # once there is a Chat to type into
        self._interrupted = False
        self._has_begun = False  # to take lines from the input
        self._is_idle = False  # waiting for the next line
        self._away = trio.Event()  # set for as long as an outage lasts
        self._has_told_wait = False  # in this outage

    async def run(self, target: Target, rooms: Sequence[str]) -> None:
        """As the function `run`. Cancelled, it closes the connection without a goodbye."""
        # A signal that is ignored is ignored on purpose, by nohup or by a shell's `&`.
        heeded = [each for each in SIGNALS if signal.getsignal(each) != signal.SIG_IGN]
        with trio.open_signal_receiver(*heeded) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._heed, signals, nursery.cancel_scope)
                nursery.start_soon(self._typed.read)
                try:
                    await self._enter(target, rooms)
                except ChatError as error:
                    self._fail(error)
                nursery.cancel_scope.cancel()
        if self._failed is None and self._is_pipe and not self._has_begun:
            raise ChatError("interrupted before any line was said: standard input was not read")
        if self._failed is not None:
            raise self._failed

    async def _heed(self, signals: AsyncIterator[int], everything: trio.CancelScope) -> None:
        async for _ in signals:
            if self._typing is None or self._interrupted:
                everything.cancel()
            else:
                # Perhaps in vain: a terminal that goes away ends the input too. Then this is not the second.
                self._typing.cancel()
                self._interrupted = True

    def _fail(self, error: ChatError | BrokenPipeError) -> None:
        """Note what went wrong first; there is no more typing after it."""
        self._failed = self._failed or error
        if self._typing is not None:
            self._typing.cancel()

    # --- coming in ----------------------------------------------------------------------------------

    async def _enter(self, target: Target, rooms: Sequence[str]) -> None:
        name = target.name
        while True:
            try:
                token = await self._token(target, name)
                async with self._connect(
                    target.host, target.port, name=name, token=token, patience_s=self._patience_s
                ) as chat:
                    await self._welcome(target, chat, name)
                    await self._talk(chat, rooms)
                    return
            except Refused as refusal:
                if refusal.code not in ("bad_name", "name_taken"):
                    raise
                if not self._interactive:  # another name might be taken for another person's
                    hint = f"; choose another: trio-chat join NAME@{target.address}"
                    raise Refused(refusal.code, f"{refusal}{hint}", field=refusal.field) from refusal
                name = await self._other_name(refusal)

    async def _other_name(self, refusal: Refused) -> str:
        """Ask for another name to try."""
        await self._screen.note(str(refusal))
        name = ""
        while not name:
            await self._screen.talk("another name: ", end="")
            line = await self._typed.line()
            if line is None:
                raise refusal
            name = line.strip()
        return name

    async def _token(self, target: Target, name: str) -> str:
        """Who is to be called that; empty, which makes one somebody new, where it cannot be remembered."""
        if self._tokens is None:
            return ""
        where = target.address
        find = partial(self._tokens.find, f"{where.host}:{where.port}", name)
        why = "the disk does not answer"
        with trio.move_on_after(DISK_S):
            try:
                return await trio.to_thread.run_sync(find, abandon_on_cancel=True)
            except OSError as error:
                why = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        await self._screen.note(f"who you are is not remembered: {why}")
        return ""

    async def _welcome(self, target: Target, chat: Chat, name: str) -> None:
        """Say where one is, and who: a name of one's own that is in use there goes before the one given."""
        if self._interactive:
            kept = show.kept(chat.welcome.kept)
            await self._screen.note(
                f"connected to {target.address} as {chat.name}; what is said is kept {kept} (/help)"
            )
        if chat.name != (name if self._interactive else target.name):
            await self._screen.note(f"you are {chat.name} here")

    # --- chatting -----------------------------------------------------------------------------------

    async def _talk(self, chat: Chat, rooms: Sequence[str]) -> None:
        speaker = Speaker(chat, self._screen)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show, chat, speaker)
            unsaid: list[str] = []
            try:
                with trio.CancelScope() as self._typing:
                    await self._speak_or_quit(speaker, rooms)
            finally:  # also when a second signal has ended everything
                unsaid = self._settle(speaker)
            if self._typing.cancelled_caught and self._interactive:
                await self._screen.talk()  # what comes now does not belong behind a half-typed line
            await self._show_unsaid(unsaid)
            with trio.move_on_after(GOODBYE_S) as goodbye:
                await chat.quit(speaker.reason)
            if goodbye.cancelled_caught:
                nursery.cancel_scope.cancel()

    async def _show(self, chat: Chat, speaker: Speaker) -> None:
        try:
            async for events in chat.batches():
                speaker.saw(events)
                async with self._screen.held:
                    await self._screen.events(events, me=chat.name, room=speaker.room)
                for event in events:
                    if isinstance(event, Disconnected):
                        self._away.set()
                        await self._tell_wait(speaker)
                    elif isinstance(event, Reconnected):
                        self._away, self._has_told_wait = trio.Event(), False
                        if self._interactive and self._is_idle and speaker.has_other_server:
                            await self._accept_server(speaker)
        except ClientError as error:
            self._fail(error)

    async def _speak_or_quit(self, speaker: Speaker, rooms: Sequence[str]) -> None:
        async with trio.open_nursery() as nursery:
            if self._interactive:
                nursery.start_soon(self._heed_quit, nursery.cancel_scope)
            await self._speak(speaker, rooms)
            nursery.cancel_scope.cancel()

    async def _heed_quit(self, speaking: trio.CancelScope) -> None:
        """In an outage /quit waits for nothing that was typed before it. (In a pipe all is said first.)"""
        while not speaking.cancel_called:
            await self._away.wait()
            await self._typed.ahead(lambda line: isinstance(self._parse(line), QuitLine))
            if self._away.is_set():
                speaking.cancel()

    async def _speak(self, speaker: Speaker, rooms: Sequence[str]) -> None:
        try:
            for room in rooms:
                await speaker.join(room)
            if not (self._interactive or self._is_pipe):
                await self._screen.note("no input to read; following until a signal")
                await trio.sleep_forever()
            while (line := await self._next_line()) is not None:
                speaker.line = line
                await self._tell_wait(speaker)
                try:
                    if await speaker.obey(line, self._parse):
                        return
                except ServerChanged:
                    if self._is_pipe:
                        raise
                    await self._accept_server(speaker)
            if self._is_pipe and (error := self._typed.error):
                raise ChatError(f"cannot read standard input: {error.strerror}")
        except ChatError as error:
            self._fail(error)

    async def _accept_server(self, speaker: Speaker) -> None:
        """Show what was typed for another server, and not said there; what is typed next is for this one."""
        unsaid = self._unsaid(speaker)
        self._typed.discard()
        speaker.accept_server()
        await self._screen.note(MOVED)
        await self._show_unsaid(unsaid)

    async def _next_line(self) -> str | None:
        self._has_begun = self._is_idle = True
        line = await self._typed.line()
        self._is_idle = False
        return line

    async def _tell_wait(self, speaker: Speaker) -> None:
        """In a pipe say, once in an outage, what a line waits for."""
        if self._is_pipe and self._away.is_set() and not self._is_idle and not self._has_told_wait:
            self._has_told_wait = True
            count = len(self._unsaid(speaker))
            more = "" if self._typed.has_ended else " or more"
            lines = f"{_lines(count)}{more} to be said" if count else "its room"
            await self._screen.note(f"the server is away: {lines} waiting for up to {PATIENCE_S} s")

    def _unsaid(self, speaker: Speaker) -> list[str]:
        """Return the lines that were read and not said."""
        typed = (speaker.line, *self._typed.waiting)
        return [line for line in typed if not isinstance(self._parse(line), QuitLine | EmptyLine)]

    def _settle(self, speaker: Speaker) -> list[str]:
        """Return the lines that were not said; in a pipe they are a failure, as are those refused."""
        unsaid = self._unsaid(speaker)
        if self._is_pipe and (count := len(unsaid) + speaker.undone):
            self._fail(ChatError(f"{_lines(count)} {'was' if count == 1 else 'were'} not said"))
        return unsaid

    async def _show_unsaid(self, unsaid: list[str]) -> None:
        """What was typed, or piped, and not said: in full to who has typed it."""
        if self._interactive:
            for line in unsaid:
                await self._screen.note(f"perhaps not said: {line}")
        elif unsaid:
            lines = f"{len(unsaid)} lines, the first of them" if len(unsaid) > 1 else "1 line"
            await self._screen.note(f"perhaps not said: {lines}: {escape(unsaid[0])[:60]}")


def _say_plain(line: str) -> Action:
    return as_text(plain_text(line))


def _parse_plain(line: str) -> Action:
    return parse(plain_text(line))


def _lines(count: int) -> str:
    return f"{count} line{'s' if count != 1 else ''}"
