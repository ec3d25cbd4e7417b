"""The speaker: does what was typed, one line after the other.

Each line is waited for before the next, so order is kept without further thought; and so is every line:
what the server will not take just now is asked for again, a `say` with its ref, until it is taken. An outage
is one more thing that a line waits for.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar, assert_never

import trio

from trio_chat.client import Chat, ClientEvent
from trio_chat.client.delays import retry_s
from trio_chat.client.server_change import is_other_server
from trio_chat.errors import ConnectionLost, Refused, ServerChanged
from trio_chat.terminal import commands, show
from trio_chat.terminal.screen import Screen
from trio_chat.wire.messages import Found, Members, Room, RoomsPage, Said, TopicChanged

__all__ = ["Speaker"]

RECENT = 20
_TOO_FAST = frozenset({"rate_limited"})
_FOR_NOW = _TOO_FAST | {"unavailable"}

T = TypeVar("T")


class Speaker:
    """Speaks in a Chat. `line` is what is in hand and not done yet; `reason` why one leaves; `undone` counts
    the lines that were not done, each of which was shown."""

    def __init__(self, chat: Chat, screen: Screen) -> None:
        self.line = ""
        self.reason = ""
        self.undone = 0
        self._chat = chat
        self._screen = screen
        self._rooms: list[str] = []  # as the server writes them; the last is the current one
        self._oldest: dict[str, int] = {}  # the number of the oldest entry shown, of each of them
        self._sought, self._found = "", Found([], more=False)
        self._told_to_wait = False
        self._welcome = chat.welcome  # of the server that the lines are for

    @property
    def room(self) -> str:
        """The current room; empty without one."""
        return self._rooms[-1] if self._rooms else ""

    async def obey(self, line: str, parse: Callable[[str], commands.Action] = commands.parse) -> bool:
        """Do what a line says, and wait until it is done; true when that is to leave.

        What is refused is shown with the line: it need not be typed anew. Cancelled, the line is still in
        hand, and so it is when another server answers, until `accept_server`. Raises `ClientError`.
        """
        self.line = line
        leaving = False
        try:
            leaving = await self._do(parse(line))
        except Refused as refusal:
            await self._not_done(f"{refusal}; not done: {line}")
        except ServerChanged:
            raise
        except ConnectionLost as lost:
            # Of this command it is not known whether it was done, and a Chat does not do it again. Any other
            # question says whether the Chat goes on: it waits for the end of an outage, or raises.
            await self._chat.ping()
            await self._not_done(f"{lost}; perhaps not said: {line}")
        self.line = ""
        return leaving

    @property
    def has_other_server(self) -> bool:
        """Whether another server answers now than the one that the lines are for."""
        return is_other_server(self._welcome, self._chat.welcome)

    def accept_server(self) -> None:
        """Take further lines for the server that answers now. The line in hand is given up."""
        self.line = ""
        self._welcome = self._chat.welcome

    def saw(self, events: Sequence[ClientEvent]) -> None:
        """Note what is shown unasked: after an outage, perhaps the newest lines of another history."""
        for event in events:
            match event:
                case Said(room=room, seq=seq) | TopicChanged(room=room, seq=seq):
                    if seq < self._oldest.get(room, 0):
                        self._oldest[room] = seq
                case Room():
                    for room in self._oldest:
                        if room.casefold() == event.room.casefold():  # perhaps written otherwise since
                            self._oldest[room] = event.head + 1
                case _:
                    pass

    async def join(self, room: str) -> None:
        """Enter a room, or go back to one that we are in. Raises `Refused` and `ClientError`."""
        known = next((each for each in self._rooms if each.casefold() == room.casefold()), "")
        if known:
            self._rooms.remove(known)
            self._rooms.append(known)
            await self._screen.note(f"in {known} again")
        else:
            await self._insist(partial(self._enter, room))

    async def _do(self, action: commands.Action) -> bool:
        chat, screen = self._chat, self._screen
        match action:
            case commands.SayLine(text, is_action):
                await self._say(text, is_action)
            case commands.WhisperLine(to, text):
                for piece in self._pieces(text):
                    await self._insist(partial(chat.whisper, to, piece))
            case commands.JoinLine(room):
                await self.join(room)
            case commands.LeaveLine(room):
                await self._leave(room)
            case commands.RoomsLine():
                rooms = await self._insist(chat.rooms)
                await screen.answer(RoomsPage(rooms, more=False), show.rooms_lines(rooms))
            case commands.WhoLine():
                if room := await self._current():
                    names = await self._ask(room, partial(chat.who, room))
                    members = Members(room, names, len(names), more=False)
                    await screen.answer(members, show.who_lines(names, len(names)))
            case commands.TopicLine(text):
                if room := await self._current():
                    await self._ask(room, partial(chat.topic, room, text))
            case commands.HistoryLine(lines):
                if room := await self._current():
                    await self._history(room, lines)
            case commands.SearchLine(text):
                await self._search(text)
            case commands.NickLine(name):
                name = await self._insist(partial(chat.rename, name))
                await screen.note(f"you are {name} now")
            case commands.HelpLine():
                await screen.talk(commands.HELP)
            case commands.InvalidLine(why):
                await self._not_done(why)
            case commands.QuitLine(reason):
                self.reason = reason[:128]
                return True
            case commands.EmptyLine():
                pass
            case _:
                assert_never(action)
        return False

    async def _say(self, text: str, action: bool) -> None:
        if room := await self._current():
            for piece in self._pieces(text):
                ref = secrets.token_urlsafe(12)
                await self._ask(room, partial(self._chat.say, room, piece, action, ref))

    def _pieces(self, text: str) -> list[str]:
        return list(commands.split_text(text, self._chat.welcome.limits.text_bytes))

    async def _enter(self, room: str) -> None:
        async with self._screen.held:  # a room is announced before what is said in it
            joined = await self._chat.join(room, RECENT)
            self._rooms.append(joined.room)
            self._oldest[joined.room] = max(joined.head - RECENT, joined.first - 1) + 1
            await self._screen.answer(joined, show.room_lines(joined))

    async def _history(self, room: str, lines: int) -> None:
        ask = partial(self._chat.history, room, before=self._oldest[room], limit=lines)
        page = await self._ask(room, ask, _TOO_FAST)
        if page.entries:
            self._oldest[room] = page.entries[0].seq
        await self._screen.answer(page, show.history_lines(page))

    async def _search(self, text: str) -> None:
        if "search" not in self._chat.welcome.features:
            await self._not_done(f"this server does not search; not done: {self.line}")
            return
        if not text and not self._found.more:
            await self._not_done(f"nothing to go on with (/search TEXT); not done: {self.line}")
            return
        text, next = (text, "") if text else (self._sought, self._found.next)
        self._found = await self._insist(partial(self._chat.search, text, next=next), _TOO_FAST)
        self._sought = text
        await self._screen.answer(self._found, show.found_lines(self._found))

    async def _leave(self, room: str) -> None:
        if room := room or await self._current():
            await self._ask(room, partial(self._chat.leave, room))
            self._forget(room)
            await self._screen.note(f"left {room}")

    def _forget(self, room: str) -> None:
        self._rooms = [each for each in self._rooms if each.casefold() != room.casefold()]
        self._oldest = {each: self._oldest[each] for each in self._rooms}

    async def _current(self) -> str:
        if not self.room:
            await self._not_done(f"you are in no room (/join ROOM); not done: {self.line}")
        return self.room

    async def _not_done(self, why: str) -> None:
        self.undone += 1
        await self._screen.note(why)

    async def _ask(self, room: str, ask: Callable[[], Awaitable[T]], not_now: frozenset[str] = _FOR_NOW) -> T:
        """Insist on something about a room, in which one is no more when one was not let back into it."""
        try:
            return await self._insist(ask, not_now)
        except Refused as refusal:
            if refusal.code == "not_in_room":
                self._forget(room)
            raise

    async def _insist(self, ask: Callable[[], Awaitable[T]], not_now: frozenset[str] = _FOR_NOW) -> T:
        """Ask until the server does not say "not now" any more.

        A look at the past is worth no wait for a journal that cannot be read: what is said next is behind it.
        What a line asks of one server is not asked of another: raises `ServerChanged`.
        """
        while True:
            if self.line and self.has_other_server:
                raise ServerChanged("another server answers at this address now")
            try:
                return await ask()
            except Refused as refusal:
                if refusal.code not in not_now:
                    raise
                wait_s = retry_s(refusal.retry_after_s)
                if not self._told_to_wait:
                    self._told_to_wait = True
                    await self._screen.note(f"{refusal}; {_when(refusal, wait_s)}")
                await trio.sleep(wait_s)


def _when(refusal: Refused, wait_s: int) -> str:
    """Return when a refused command is repeated, in words."""
    asked_s = refusal.retry_after_s or 0
    if asked_s > wait_s:
        return f"the server asks for {asked_s} s, it is tried again every {wait_s} s"
    return "it is done as soon as it can be"
