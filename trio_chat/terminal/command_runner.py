"""Execute typed lines one at a time.

Each line is finished before the next begins, which keeps their order. No line is dropped: a command that the
server refuses temporarily is retried until it is accepted, a `say` with the same ref. During an outage the
current line waits for the reconnect.
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

__all__ = ["CommandRunner"]

RECENT = 20
_RATE_LIMITED = frozenset({"rate_limited"})
_RETRYABLE = _RATE_LIMITED | {"unavailable"}

T = TypeVar("T")


class CommandRunner:
    """Executes lines in a Chat.

    `line` is the line that is being executed; `reason` is the text of /quit; `failures` counts the lines
    that failed, each of which was shown to the user.
    """

    def __init__(self, chat: Chat, screen: Screen) -> None:
        self.line = ""
        self.reason = ""
        self.failures = 0
        self._chat = chat
        self._screen = screen
        self._rooms: list[str] = []  # as the server spells them; the last is the current room
        self._oldest_shown: dict[str, int] = {}  # for each room, the number of the oldest entry shown
        self._search_text, self._search_page = "", Found([], more=False)
        self._has_announced_retry = False
        self._welcome = chat.welcome  # of the server for which the lines were typed

    @property
    def room(self) -> str:
        """The current room; empty if there is none."""
        return self._rooms[-1] if self._rooms else ""

    async def execute(self, line: str, parse: Callable[[str], commands.Action] = commands.parse) -> bool:
        """Execute a line and wait until it is done. Return true if it was /quit.

        A refusal is shown with the line, so that the user can copy it. After a cancellation, or when another
        server answers, `line` still holds the line; `accept_server` clears it. Raises `ClientError`.
        """
        self.line = line
        is_quit = False
        try:
            is_quit = await self._run_action(parse(line))
        except Refused as refusal:
            await self._report_failure(f"{refusal}; not done: {line}")
        except ServerChanged:
            raise
        except ConnectionLost as lost:
            # It is unknown whether this command was executed, so the Chat does not repeat it. The ping waits
            # for the end of the outage, or raises if the Chat has ended.
            await self._chat.ping()
            await self._report_failure(f"{lost}; may not have been sent: {line}")
        self.line = ""
        return is_quit

    @property
    def has_other_server(self) -> bool:
        """Whether the lines were typed for another server than the one that answers now."""
        return is_other_server(self._welcome, self._chat.welcome)

    def accept_server(self) -> None:
        """Send further lines to the server that answers now. Drops the current line."""
        self.line = ""
        self._welcome = self._chat.welcome

    def note_shown(self, events: Sequence[ClientEvent]) -> None:
        """Update the oldest entry shown; after an outage the shown entries may be of a new history."""
        for event in events:
            match event:
                case Said(room=room, seq=seq) | TopicChanged(room=room, seq=seq):
                    if seq < self._oldest_shown.get(room, 0):
                        self._oldest_shown[room] = seq
                case Room():
                    for room in self._oldest_shown:
                        if room.casefold() == event.room.casefold():  # the spelling may have changed
                            self._oldest_shown[room] = event.head + 1
                case _:
                    pass

    async def join(self, room: str) -> None:
        """Join a room, or make a joined room current. Raises `Refused` and `ClientError`."""
        known = next((each for each in self._rooms if each.casefold() == room.casefold()), "")
        if known:
            self._rooms.remove(known)
            self._rooms.append(known)
            await self._screen.note(f"current room: {known}")
        else:
            await self._retry(partial(self._join, room))

    async def _run_action(self, action: commands.Action) -> bool:
        chat, screen = self._chat, self._screen
        match action:
            case commands.SayLine(text, is_action):
                await self._say(text, is_action)
            case commands.WhisperLine(to, text):
                for piece in self._pieces(text):
                    await self._retry(partial(chat.whisper, to, piece))
            case commands.JoinLine(room):
                await self.join(room)
            case commands.LeaveLine(room):
                await self._leave(room)
            case commands.RoomsLine():
                rooms = await self._retry(chat.rooms)
                await screen.show_reply(RoomsPage(rooms, more=False), show.rooms_lines(rooms))
            case commands.WhoLine():
                if room := await self._current_room():
                    names = await self._retry_in_room(room, partial(chat.who, room))
                    members = Members(room, names, len(names), more=False)
                    await screen.show_reply(members, show.who_lines(names, len(names)))
            case commands.TopicLine(text):
                if room := await self._current_room():
                    await self._retry_in_room(room, partial(chat.topic, room, text))
            case commands.HistoryLine(lines):
                if room := await self._current_room():
                    await self._history(room, lines)
            case commands.SearchLine(text):
                await self._search(text)
            case commands.NickLine(name):
                name = await self._retry(partial(chat.rename, name))
                await screen.note(f"you are {name} now")
            case commands.HelpLine():
                await screen.message(commands.HELP)
            case commands.InvalidLine(why):
                await self._report_failure(why)
            case commands.QuitLine(reason):
                self.reason = reason[:128]
                return True
            case commands.EmptyLine():
                pass
            case _:
                assert_never(action)
        return False

    async def _say(self, text: str, action: bool) -> None:
        if room := await self._current_room():
            for piece in self._pieces(text):
                ref = secrets.token_urlsafe(12)
                await self._retry_in_room(room, partial(self._chat.say, room, piece, action, ref))

    def _pieces(self, text: str) -> list[str]:
        return list(commands.split_text(text, self._chat.welcome.limits.text_bytes))

    async def _join(self, room: str) -> None:
        async with self._screen.lock:  # the room must be shown before its first events
            joined = await self._chat.join(room, RECENT)
            self._rooms.append(joined.room)
            self._oldest_shown[joined.room] = max(joined.head - RECENT, joined.first - 1) + 1
            await self._screen.show_reply(joined, show.room_lines(joined))

    async def _history(self, room: str, lines: int) -> None:
        ask = partial(self._chat.history, room, before=self._oldest_shown[room], limit=lines)
        page = await self._retry_in_room(room, ask, _RATE_LIMITED)
        if page.entries:
            self._oldest_shown[room] = page.entries[0].seq
        await self._screen.show_reply(page, show.history_lines(page))

    async def _search(self, text: str) -> None:
        if "search" not in self._chat.welcome.features:
            await self._report_failure(f"this server has no search; not done: {self.line}")
            return
        if not text and not self._search_page.more:
            await self._report_failure(f"no more search results (/search TEXT); not done: {self.line}")
            return
        text, next = (text, "") if text else (self._search_text, self._search_page.next)
        self._search_page = await self._retry(partial(self._chat.search, text, next=next), _RATE_LIMITED)
        self._search_text = text
        await self._screen.show_reply(self._search_page, show.search_lines(self._search_page))

    async def _leave(self, room: str) -> None:
        if room := room or await self._current_room():
            await self._retry_in_room(room, partial(self._chat.leave, room))
            self._remove_room(room)
            await self._screen.note(f"left {room}")

    def _remove_room(self, room: str) -> None:
        self._rooms = [each for each in self._rooms if each.casefold() != room.casefold()]
        self._oldest_shown = {each: self._oldest_shown[each] for each in self._rooms}

    async def _current_room(self) -> str:
        if not self.room:
            await self._report_failure(f"you are in no room (/join ROOM); not done: {self.line}")
        return self.room

    async def _report_failure(self, why: str) -> None:
        self.failures += 1
        await self._screen.note(why)

    async def _retry_in_room(
        self, room: str, ask: Callable[[], Awaitable[T]], retryable: frozenset[str] = _RETRYABLE
    ) -> T:
        """Retry a command for a room; forget the room if it could not be rejoined after an outage."""
        try:
            return await self._retry(ask, retryable)
        except Refused as refusal:
            if refusal.code == "not_in_room":
                self._remove_room(room)
            raise

    async def _retry(self, ask: Callable[[], Awaitable[T]], retryable: frozenset[str] = _RETRYABLE) -> T:
        """Run a command, and retry it while the server refuses it with one of the `retryable` codes.

        History and search are not retried while the journal is unavailable, since the next lines wait
        behind them. Raises `ServerChanged` rather than send a line to a server it was not typed for.
        """
        while True:
            if self.line and self.has_other_server:
                raise ServerChanged("another server answers at this address now")
            try:
                return await ask()
            except Refused as refusal:
                if refusal.code not in retryable:
                    raise
                wait_s = retry_s(refusal.retry_after_s)
                if not self._has_announced_retry:
                    self._has_announced_retry = True
                    await self._screen.note(f"{refusal}; {_retry_notice(refusal, wait_s)}")
                await trio.sleep(wait_s)


def _retry_notice(refusal: Refused, wait_s: int) -> str:
    """Return a text that says when a refused command is retried."""
    asked_s = refusal.retry_after_s or 0
    if asked_s > wait_s:
        return f"the server asks to wait {asked_s} s; retrying every {wait_s} s"
    return "retrying until it is accepted"
