"""The line client: what is typed goes out in order, what comes is shown.

Two tasks for a Chat: one shows what comes, the other hands the speaker what is typed, line by line. At the
end of the input everything was acked, and goodbye can be said; what could not be said when it all ended
some other way is shown.

A connection that is lost comes back by itself. What is typed meanwhile waits, and is said then, in order; at
a terminal for ever, in a pipe for five minutes.

The first Ctrl-C (or SIGTERM, or the end of the terminal) ends the typing and says goodbye; the second
waits for nothing.
"""

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import count
from math import inf
from typing import Protocol

import trio

from trio_chat.client import Back, Chat, Outage, connect
from trio_chat.errors import ChatError, ClientError, Refused
from trio_chat.terminal import show
from trio_chat.terminal.commands import Quit, parse
from trio_chat.terminal.escape import escape
from trio_chat.terminal.screen import Screen
from trio_chat.terminal.speaker import Speaker
from trio_chat.terminal.standard import Input, Output
from trio_chat.terminal.target import Target
from trio_chat.terminal.tokens import Tokens

__all__ = ["LineClient", "run"]

GOODBYE_S = 5
DISK_S = 3
NAMES_TRIED = 9
PATIENCE_S = 300  # with an outage, where nobody is there to see it
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Connect(Protocol):
    """`trio_chat.client.connect`, or what stands in for it."""

    def __call__(
        self, host: str, port: int, *, name: str, token: str, patience_s: float
    ) -> AbstractAsyncContextManager[Chat]: ...


_CONNECT: Connect = partial(connect, pace=False)  # the speaker repeats what is refused, and says why it waits


async def run(target: Target, rooms: Sequence[str], tokens: Tokens | None, *, as_json: bool) -> None:
    """Chat on standard input and output until the input ends, or somebody ends it.

    One is who the tokens say, or without them somebody new. Raises `ChatError` when there is no server, when
    it will not have us, or when it is gone, and BrokenPipeError when nobody reads standard output any more.
    """
    lines = LineClient(Input(0), Output(1, 2), tokens, as_json=as_json, interactive=os.isatty(0))
    await lines.run(target, rooms)


class LineClient:
    """One run of the line client."""

    def __init__(
        self,
        typed: Input,
        output: Output,
        tokens: Tokens | None,
        *,
        as_json: bool,
        interactive: bool,
        connect: Connect = _CONNECT,
    ) -> None:
        self._typed = typed
        self._tokens = tokens
        self._screen = Screen(output, as_json=as_json, fail=self._fail)
        self._interactive = interactive
        self._patience_s = inf if interactive else PATIENCE_S
        self._connect = connect
        self._failed: ChatError | BrokenPipeError | None = None
        self._typing: trio.CancelScope | None = None  # once there is a Chat to type into
        self._interrupted = False
        self._away = trio.Event()  # set for as long as an outage lasts

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
        wanted = name = target.name
        for tries in count(2):
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
                name = await self._other_name(wanted, tries, refusal)

    async def _other_name(self, wanted: str, tries: int, refusal: Refused) -> str:
        """Another name to try.

        Somebody at a terminal is asked. In a pipe nobody can be, and what is piped should not be lost
        because its owner is in the chat already: a number is added to a name that is taken.
        """
        if not self._interactive:
            if refusal.code == "bad_name" or tries > NAMES_TRIED:
                raise refusal
            return f"{wanted[:29]}_{tries}"
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
            with trio.CancelScope() as self._typing:
                await self._speak_or_quit(speaker, rooms)
            if self._typing.cancelled_caught and self._interactive:
                await self._screen.talk()  # what comes now does not belong behind a half-typed line
            await self._show_unsaid(speaker)
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
                    if isinstance(event, Outage):
                        self._away.set()
                    elif isinstance(event, Back):
                        self._away = trio.Event()
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
            await self._typed.ahead(_is_quit)
            if self._away.is_set():
                speaking.cancel()

    async def _speak(self, speaker: Speaker, rooms: Sequence[str]) -> None:
        try:
            for room in rooms:
                await speaker.join(room)
            while (line := await self._typed.line()) is not None:
                if await speaker.obey(line):
                    return
        except ChatError as error:
            self._fail(error)

    async def _show_unsaid(self, speaker: Speaker) -> None:
        """What was typed, or piped, and not said: in full to who has typed it."""
        typed = (speaker.line, *self._typed.waiting)
        unsaid = [line for line in typed if line.strip() and not _is_quit(line)]
        if self._interactive:
            for line in unsaid:
                await self._screen.note(f"perhaps not said: {line}")
        elif unsaid:
            lines = f"{len(unsaid)} lines, the first of them" if len(unsaid) > 1 else "1 line"
            await self._screen.note(f"perhaps not said: {lines}: {escape(unsaid[0])[:60]}")


def _is_quit(line: str) -> bool:
    return isinstance(parse(line), Quit)
