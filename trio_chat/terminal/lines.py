"""The line client: what is typed goes out in order, what comes is shown.

Two tasks for a Chat: one shows what comes, the other obeys what is typed, one line after the other, each
waited for. So order is kept without further thought; and so is every line: a `say` that the server will
not take just now is said again, with its ref, until it is; and what could not be said when it all ended
is shown. At the end of the input everything was acked, and goodbye can be said.

The first Ctrl-C (or SIGTERM, or the end of the terminal) ends the typing and says goodbye; the second
waits for nothing.
"""

import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import count
from typing import Protocol, TypeVar, assert_never

import trio

from trio_chat.client import Chat, Incoming, connect
from trio_chat.errors import ChatError, ClientError, Refused
from trio_chat.terminal import commands, show
from trio_chat.terminal.escape import escape
from trio_chat.terminal.standard import Input, Output
from trio_chat.terminal.target import Target
from trio_chat.wire.messages import Event, Members, RoomsPage

__all__ = ["LineClient", "run"]

RECENT = 20
GOODBYE_S = 5
NAMES_TRIED = 9
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FOR_NOW = {"rate_limited", "unavailable"}

T = TypeVar("T")


class Connect(Protocol):
    """`trio_chat.client.connect`, or what stands in for it."""

    def __call__(self, host: str, port: int, *, name: str) -> AbstractAsyncContextManager[Chat]: ...


async def run(target: Target, rooms: Sequence[str], *, as_json: bool) -> None:
    """Chat on standard input and output until the input ends, or somebody ends it.

    Raises `ChatError` when there is no server, when it will not have us, or when it is gone, and
    BrokenPipeError when nobody reads standard output any more.
    """
    lines = LineClient(Input(0), Output(1, 2), as_json=as_json, interactive=os.isatty(0))
    await lines.run(target, rooms)


class LineClient:
    """One run of the line client."""

    def __init__(
        self, typed: Input, output: Output, *, as_json: bool, interactive: bool, connect: Connect = connect
    ) -> None:
        self._typed = typed
        self._output = output
        self._as_json = as_json
        self._interactive = interactive
        self._connect = connect
        self._rooms: list[str] = []  # as the server writes them; the last is the current one
        self._showing = trio.Lock()
        self._line = ""  # in hand, and not said yet
        self._reason = ""
        self._patient = False
        self._failed: ChatError | BrokenPipeError | None = None
        self._typing: trio.CancelScope | None = None  # once there is a Chat to type into
        self._interrupted = False

    async def run(self, target: Target, rooms: Sequence[str]) -> None:
        """As the function `run`. Cancelled, it closes the connection without a goodbye."""
        # A signal that is ignored is ignored on purpose, by nohup or by a shell's `&`.
        heeded = [each for each in SIGNALS if signal.getsignal(each) != signal.SIG_IGN]
        with trio.open_signal_receiver(*heeded) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._heed, signals, nursery.cancel_scope)
                try:
                    await self._enter(target, rooms)
                except ChatError as error:
                    self._failed = error
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

    # --- coming in ----------------------------------------------------------------------------------

    async def _enter(self, target: Target, rooms: Sequence[str]) -> None:
        wanted = name = target.name
        for tries in count(2):
            try:
                async with self._connect(target.host, target.port, name=name) as chat:
                    await self._welcome(target, chat, name == wanted)
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
        await self._output.talk(f"-- {escape(str(refusal))}")
        name = ""
        while not name:
            await self._output.talk("another name: ", end="")
            line = await self._typed.line()
            if line is None:
                raise refusal
            name = line.strip()
        return name

    async def _welcome(self, target: Target, chat: Chat, as_wanted: bool) -> None:
        if self._interactive:
            await self._output.talk(
                f"-- connected to {target.host}:{target.port} as {escape(chat.name)};"
                f" what is said is kept {show.kept(chat.welcome.kept)} (/help)"
            )
        elif not as_wanted:
            await self._output.talk(f"-- you are {escape(chat.name)} here")

    # --- chatting -----------------------------------------------------------------------------------

    async def _talk(self, chat: Chat, rooms: Sequence[str]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show, chat)
            with trio.CancelScope() as self._typing:
                try:
                    for room in rooms:
                        await self._join(chat, room)
                except ChatError as error:
                    self._failed = error
                else:
                    await self._obey_lines(chat)
            if self._typing.cancelled_caught and self._interactive:
                await self._output.talk("")  # what comes now does not belong behind a half-typed line
            await self._show_unsaid()
            with trio.move_on_after(GOODBYE_S) as goodbye:
                await chat.quit(self._reason)
            if goodbye.cancelled_caught:
                nursery.cancel_scope.cancel()

    async def _show(self, chat: Chat) -> None:
        """Show what comes until the end, and note what went wrong; there is no more typing after it."""
        try:
            async for events in chat.batches():
                async with self._showing:
                    await self._show_events(chat, events)
        except (ClientError, BrokenPipeError) as error:
            self._failed = error
        except OSError as error:
            self._failed = ChatError(f"cannot write to standard output: {error.strerror}")
        finally:
            if self._typing is not None:
                self._typing.cancel()

    async def _show_events(self, chat: Chat, events: Sequence[Incoming]) -> None:
        if self._as_json:
            await self._output.data([show.as_json(event) for event in events])
        else:
            room = self._rooms[-1] if self._rooms else ""
            shown = [show.event_lines(event, me=chat.name, room=room) for event in events]
            await self._output.data([line for lines in shown for line in lines])

    async def _show_answer(self, event: Event, lines: list[str]) -> None:
        await self._output.data([show.as_json(event)] if self._as_json else lines)

    async def _obey_lines(self, chat: Chat) -> None:
        while (line := await self._typed.line()) is not None:
            self._line = line
            try:
                if await self._obey(chat, commands.parse(line)):
                    return
            except Refused as refusal:
                # With the text, where there is one: what the server will not have need not be typed anew.
                await self._output.talk(f"-- {escape(str(refusal))}; not done: {escape(self._line)}")
            except ClientError:
                return  # as the task that shows will say
            self._line = ""

    async def _show_unsaid(self) -> None:
        """What was typed, or piped, and not said: in full to who has typed it."""
        unsaid = [line for line in (self._line, *self._typed.waiting) if line.strip()]
        if self._interactive:
            for line in unsaid:
                await self._output.talk(f"-- perhaps not said: {escape(line)}")
        elif unsaid:
            lines = f"{len(unsaid)} lines, the first of them" if len(unsaid) > 1 else "1 line"
            await self._output.talk(f"-- perhaps not said: {lines}: {escape(unsaid[0])[:60]}")

    # --- obeying ------------------------------------------------------------------------------------

    async def _obey(self, chat: Chat, action: commands.Action) -> bool:
        """Do what was asked for; true when that was to leave."""
        match action:
            case commands.Say(text, is_action):
                await self._say(chat, text, is_action)
            case commands.Tell(to, text):
                for piece in self._pieces(chat, text):
                    await self._insist(partial(chat.whisper, to, piece))
            case commands.Join(room):
                await self._join(chat, room)
            case commands.Leave(room):
                await self._leave(chat, room)
            case commands.Rooms():
                rooms = await self._insist(chat.rooms)
                await self._show_answer(RoomsPage(rooms, more=False), show.rooms_lines(rooms))
            case commands.Who():
                if room := await self._current():
                    names = await self._insist(partial(chat.who, room))
                    members = Members(room, names, len(names), more=False)
                    await self._show_answer(members, show.who_lines(names, len(names)))
            case commands.Topic(text):
                if room := await self._current():
                    await self._insist(partial(chat.topic, room, text))
            case commands.Nick(name):
                name = await self._insist(partial(chat.rename, name))
                await self._output.talk(f"-- you are {escape(name)} now")
            case commands.Help():
                await self._output.talk(commands.HELP)
            case commands.Unclear(why):
                await self._output.talk(f"-- {escape(why)}")
            case commands.Quit(reason):
                self._line, self._reason = "", reason[:128]
                return True
            case commands.Nothing():
                pass
            case _:
                assert_never(action)
        return False

    async def _say(self, chat: Chat, text: str, action: bool) -> None:
        if not (room := await self._current()):
            return
        for piece in self._pieces(chat, text):
            ref = secrets.token_urlsafe(12)
            await self._insist(partial(chat.say, room, piece, action, ref))

    @staticmethod
    def _pieces(chat: Chat, text: str) -> Sequence[str]:
        return list(commands.split_text(text, chat.welcome.limits.text_bytes))

    async def _join(self, chat: Chat, room: str) -> None:
        """Enter a room, or go back to one that we are in."""
        known = next((each for each in self._rooms if each.casefold() == room.casefold()), "")
        if known:
            self._rooms.remove(known)
            self._rooms.append(known)
            await self._output.talk(f"-- in {escape(known)} again")
            return
        await self._insist(partial(self._enter_room, chat, room))

    async def _enter_room(self, chat: Chat, room: str) -> None:
        async with self._showing:  # a room is announced before what is said in it
            joined = await chat.join(room, RECENT)
            self._rooms.append(joined.room)
            await self._show_answer(joined, show.room_lines(joined))

    async def _leave(self, chat: Chat, room: str) -> None:
        room = room or await self._current()
        if room:
            await self._insist(partial(chat.leave, room))
            self._rooms = [each for each in self._rooms if each.casefold() != room.casefold()]
            await self._output.talk(f"-- left {escape(room)}")

    async def _current(self) -> str:
        if not self._rooms:
            await self._output.talk(f"-- you are in no room (/join ROOM); not done: {escape(self._line)}")
            return ""
        return self._rooms[-1]

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until the server does not say "not now" any more."""
        while True:
            try:
                return await ask()
            except Refused as refusal:
                if refusal.code not in _FOR_NOW:
                    raise
                if not self._patient:
                    self._patient = True
                    await self._output.talk(f"-- {escape(str(refusal))}; it is done as soon as it can be")
                await trio.sleep(refusal.retry_after_s or 1)
