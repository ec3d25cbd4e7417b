"""Run the line client: send typed lines in order, and show events.

Two tasks share a Chat. One shows events, the other passes typed lines to the command runner one by one. When
the input ends, every line has been acked, and the client quits. If the client ends in another way, it shows
the lines that were not sent.

The Chat reconnects after a lost connection. Lines typed meanwhile wait, and are then sent in order: at a
terminal without a time limit, in a pipe for up to five minutes.

Lines typed for one server are never sent to another server that answers after an outage. They are shown
instead, and in a pipe the client ends.

In a pipe every line is sent literally, and the client ends when all lines are acked. Without an input to
read (see `input_kind.py`) it shows its rooms until a signal.

The first Ctrl-C, SIGTERM or SIGHUP ends the input and quits; the second ends the client at once.
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
from trio_chat.terminal.command_runner import CommandRunner
from trio_chat.terminal.commands import Action, EmptyLine, QuitLine, as_text, parse
from trio_chat.terminal.escape import escape
from trio_chat.terminal.input_kind import InputKind, input_kind
from trio_chat.terminal.plain_text import plain_text
from trio_chat.terminal.screen import Screen
from trio_chat.terminal.standard import Input, Output
from trio_chat.terminal.target import Target
from trio_chat.terminal.tokens import TokenFile

__all__ = ["LineClient", "run"]

QUIT_S = 5
TOKEN_FILE_S = 3
PIPE_RECONNECT_S = 300  # how long an outage may last in a pipe
OTHER_SERVER = "another server answers at this address now: new lines are sent to it"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ConnectTo(Protocol):
    """`trio_chat.client.connect`, or a replacement in tests."""

    def __call__(
        self, host: str, port: int, *, name: str, token: str, patience_s: float
    ) -> AbstractAsyncContextManager[Chat]: ...


# Without pacing in the client: the command runner retries refused commands, and tells the user why.
_CONNECT: ConnectTo = partial(connect, pace=False)


async def run(
    target: Target,
    rooms: Sequence[str],
    tokens: TokenFile | None,
    *,
    as_json: bool,
    has_commands: bool = False,
) -> None:
    """Chat on standard input and output until the input ends, or /quit or a signal ends it.

    `tokens` identify the user; without them the user is new. In a pipe, lines are commands only with
    `has_commands`. Raises `ChatError` when there is no server, the server refuses the client, the connection
    is lost for good, or a piped line was not sent. Raises BrokenPipeError when standard output is closed.
    """
    kind = input_kind(0)
    input = Input(0, has_commands=has_commands or kind is InputKind.TERMINAL)
    client = LineClient(
        input, Output(1, 2), tokens, as_json=as_json, input_kind=kind, has_commands=has_commands
    )
    await client.run(target, rooms)


class LineClient:
    """One run of the line client."""

    def __init__(
        self,
        input: Input,
        output: Output,
        tokens: TokenFile | None,
        *,
        as_json: bool,
        input_kind: InputKind,
        has_commands: bool = False,
        connect: ConnectTo = _CONNECT,
    ) -> None:
        self._input = input
        self._tokens = tokens
        self._screen = Screen(output, as_json=as_json, fail=self._fail)
        self._is_pipe = input_kind is InputKind.LINES
        self._interactive = input_kind is InputKind.TERMINAL
        self._parse: Callable[[str], Action] = parse
        if self._is_pipe:
            self._parse = _parse_commands if has_commands else _parse_text
        self._patience_s = PIPE_RECONNECT_S if self._is_pipe else inf
        self._connect = connect
        self._error: ChatError | BrokenPipeError | None = None
        self._input_scope: trio.CancelScope | None = None  # set once there is a Chat that takes lines
        self._interrupted = False
        self._has_read_input = False  # whether a line was ever waited for
        self._is_idle = False  # whether it waits for the next line
        self._disconnected = trio.Event()  # set during an outage
        self._has_announced_wait = False  # whether a message about this outage was shown

    async def run(self, target: Target, rooms: Sequence[str]) -> None:
        """Run as the function `run` does. Cancelling closes the connection without a quit."""
        # An ignored signal was ignored on purpose, by nohup or by a shell's `&`.
        handled = [each for each in SIGNALS if signal.getsignal(each) != signal.SIG_IGN]
        with trio.open_signal_receiver(*handled) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._handle_signals, signals, nursery.cancel_scope)
                nursery.start_soon(self._input.read)
                try:
                    await self._connect_and_chat(target, rooms)
                except ChatError as error:
                    self._fail(error)
                nursery.cancel_scope.cancel()
        if self._error is None and self._is_pipe and not self._has_read_input:
            raise ChatError("interrupted before any line was sent; standard input was not read")
        if self._error is not None:
            raise self._error

    async def _handle_signals(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for _ in signals:
            if self._input_scope is None or self._interrupted:
                scope.cancel()
            else:
                # A closing terminal sends SIGHUP and also ends the input; together they are one interrupt.
                self._input_scope.cancel()
                self._interrupted = True

    def _fail(self, error: ChatError | BrokenPipeError) -> None:
        """Record the first error, and end the input."""
        self._error = self._error or error
        if self._input_scope is not None:
            self._input_scope.cancel()

    # --- connecting ----------------------------------------------------------------------------------

    async def _connect_and_chat(self, target: Target, rooms: Sequence[str]) -> None:
        name = target.name
        while True:
            try:
                token = await self._find_token(target, name)
                async with self._connect(
                    target.host, target.port, name=name, token=token, patience_s=self._patience_s
                ) as chat:
                    await self._show_connected(target, chat, name)
                    await self._chat_until_end(chat, rooms)
                    return
            except Refused as refusal:
                if refusal.code not in ("bad_name", "name_taken"):
                    raise
                if not self._interactive:  # a guessed name could belong to another person
                    hint = f"; choose another: trio-chat join NAME@{target.address}"
                    raise Refused(refusal.code, f"{refusal}{hint}", field=refusal.field) from refusal
                name = await self._ask_for_name(refusal)

    async def _ask_for_name(self, refusal: Refused) -> str:
        """Show why a name was refused, and ask for another."""
        await self._screen.note(str(refusal))
        name = ""
        while not name:
            await self._screen.message("another name: ", end="")
            line = await self._input.next_line()
            if line is None:
                raise refusal
            name = line.strip()
        return name

    async def _find_token(self, target: Target, name: str) -> str:
        """Return the token for a name; empty, which means a new user, if the file cannot be used."""
        if self._tokens is None:
            return ""
        where = target.address
        find = partial(self._tokens.find, f"{where.host}:{where.port}", name)
        why = f"the disk did not respond within {TOKEN_FILE_S} s"
        with trio.move_on_after(TOKEN_FILE_S):
            try:
                return await trio.to_thread.run_sync(find, abandon_on_cancel=True)
            except OSError as error:
                why = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        await self._screen.note(f"cannot remember your identity: {why}")
        return ""

    async def _show_connected(self, target: Target, chat: Chat, name: str) -> None:
        """Show the server and the user's name, which may differ from `name`: a user keeps a name in use."""
        if self._interactive:
            kept = show.retention(chat.welcome.kept)
            await self._screen.note(
                f"connected to {target.address} as {chat.name}; messages are kept {kept} (/help)"
            )
        if chat.name != (name if self._interactive else target.name):
            await self._screen.note(f"your name here is {chat.name}")

    # --- chatting -----------------------------------------------------------------------------------

    async def _chat_until_end(self, chat: Chat, rooms: Sequence[str]) -> None:
        runner = CommandRunner(chat, self._screen)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show_events, chat, runner)
            unsent: list[str] = []
            try:
                with trio.CancelScope() as self._input_scope:
                    await self._run_lines_or_quit(runner, rooms)
            finally:  # also after a second signal
                unsent = self._report_unsent(runner)
            if self._input_scope.cancelled_caught and self._interactive:
                await self._screen.message()  # begin a new line after a half-typed one
            await self._show_unsent(unsent)
            with trio.move_on_after(QUIT_S) as quit_scope:
                await chat.quit(runner.reason)
            if quit_scope.cancelled_caught:
                nursery.cancel_scope.cancel()

    async def _show_events(self, chat: Chat, runner: CommandRunner) -> None:
        try:
            async for events in chat.batches():
                runner.note_shown(events)
                async with self._screen.lock:
                    await self._screen.show_events(events, me=chat.name, room=runner.room)
                for event in events:
                    if isinstance(event, Disconnected):
                        self._disconnected.set()
                        await self._announce_wait(runner)
                    elif isinstance(event, Reconnected):
                        self._disconnected, self._has_announced_wait = trio.Event(), False
                        if self._interactive and self._is_idle and runner.has_other_server:
                            await self._accept_server(runner)
        except ClientError as error:
            self._fail(error)

    async def _run_lines_or_quit(self, runner: CommandRunner, rooms: Sequence[str]) -> None:
        async with trio.open_nursery() as nursery:
            if self._interactive:
                nursery.start_soon(self._quit_during_outage, nursery.cancel_scope)
            await self._run_lines(runner, rooms)
            nursery.cancel_scope.cancel()

    async def _quit_during_outage(self, scope: trio.CancelScope) -> None:
        """Execute a typed /quit at once during an outage. (In a pipe all lines before it are sent first.)"""
        while not scope.cancel_called:
            await self._disconnected.wait()
            await self._input.wait_until_buffered(lambda line: isinstance(self._parse(line), QuitLine))
            if self._disconnected.is_set():
                scope.cancel()

    async def _run_lines(self, runner: CommandRunner, rooms: Sequence[str]) -> None:
        try:
            for room in rooms:
                await runner.join(room)
            if not (self._interactive or self._is_pipe):
                await self._screen.note("no input to read; showing the rooms until a signal")
                await trio.sleep_forever()
            while (line := await self._next_line()) is not None:
                runner.line = line
                await self._announce_wait(runner)
                try:
                    if await runner.execute(line, self._parse):
                        return
                except ServerChanged:
                    if self._is_pipe:
                        raise
                    await self._accept_server(runner)
            if self._is_pipe and (error := self._input.error):
                raise ChatError(f"cannot read standard input: {error.strerror}")
        except ChatError as error:
            self._fail(error)

    async def _accept_server(self, runner: CommandRunner) -> None:
        """Show the unsent lines, which were typed for another server; send further lines to this one."""
        unsent = self._unsent_lines(runner)
        self._input.discard()
        runner.accept_server()
        await self._screen.note(OTHER_SERVER)
        await self._show_unsent(unsent)

    async def _next_line(self) -> str | None:
        self._has_read_input = self._is_idle = True
        line = await self._input.next_line()
        self._is_idle = False
        return line

    async def _announce_wait(self, runner: CommandRunner) -> None:
        """In a pipe, say once in each outage that lines are waiting."""
        if (
            self._is_pipe
            and self._disconnected.is_set()
            and not self._is_idle
            and not self._has_announced_wait
        ):
            self._has_announced_wait = True
            count = len(self._unsent_lines(runner))
            more = "" if self._input.has_ended else " or more"
            waiting = f"{_lines(count)}{more} waiting" if count else "waiting to join a room"
            await self._screen.note(f"connection lost: {waiting} for up to {PIPE_RECONNECT_S} s")

    def _unsent_lines(self, runner: CommandRunner) -> list[str]:
        """Return the lines that were read but not sent."""
        typed = (runner.line, *self._input.pending)
        return [line for line in typed if not isinstance(self._parse(line), QuitLine | EmptyLine)]

    def _report_unsent(self, runner: CommandRunner) -> list[str]:
        """Return the lines that were not sent. In a pipe, record unsent and refused lines as an error."""
        unsent = self._unsent_lines(runner)
        if self._is_pipe and (count := len(unsent) + runner.failures):
            self._fail(ChatError(f"{_lines(count)} {'was' if count == 1 else 'were'} not sent"))
        return unsent

    async def _show_unsent(self, unsent: list[str]) -> None:
        """Show the unsent lines: all of them at a terminal, the first one in a pipe."""
        if self._interactive:
            for line in unsent:
                await self._screen.note(f"may not have been sent: {line}")
        elif unsent:
            lines = f"{len(unsent)} lines, the first of them" if len(unsent) > 1 else "1 line"
            await self._screen.note(f"may not have been sent: {lines}: {escape(unsent[0])[:60]}")


def _parse_text(line: str) -> Action:
    return as_text(plain_text(line))


def _parse_commands(line: str) -> Action:
    return parse(plain_text(line))


def _lines(count: int) -> str:
    return f"{count} line{'s' if count != 1 else ''}"
