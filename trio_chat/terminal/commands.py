"""What was typed, as an action.

A line is said in the current room, unless it begins with a slash. Two slashes say a text that begins
with one. In a pipe every line is said as it is (`as_text`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "HELP",
    "Action",
    "EmptyLine",
    "HelpLine",
    "HistoryLine",
    "InvalidLine",
    "JoinLine",
    "LeaveLine",
    "NickLine",
    "QuitLine",
    "RoomsLine",
    "SayLine",
    "SearchLine",
    "TopicLine",
    "WhisperLine",
    "WhoLine",
    "as_text",
    "parse",
    "split_text",
    "without_mark",
]

HELP = """\
/join ROOM       enter a room, or go back to one you are in
/leave [ROOM]    leave the current room, or another
/rooms           the rooms with somebody in them
/who             who is in the current room
/msg NAME TEXT   say something to one person only
/me TEXT         /me waves
/nick NAME       take another name
/topic TEXT      say what the current room is about
/history [N]     N earlier lines of the current room; again, and they are earlier still
/search TEXT     what was said with TEXT in it, in the rooms you are in; /search alone goes on
/quit [REASON]   leave; so does Ctrl-D
//TEXT           say a text that begins with a slash"""

_MARKS = {"/join": "#", "/leave": "#", "/msg": "@", "/nick": "@"}

HISTORY_LINES = 20
HISTORY_LINES_MAX = 200  # what a server gives in one answer


@dataclass(frozen=True, slots=True)
class SayLine:
    text: str
    action: bool = False


@dataclass(frozen=True, slots=True)
class JoinLine:
    room: str


@dataclass(frozen=True, slots=True)
class LeaveLine:
    """Without a room, the current one."""

    room: str = ""


@dataclass(frozen=True, slots=True)
class RoomsLine:
    pass


@dataclass(frozen=True, slots=True)
class WhoLine:
    pass


@dataclass(frozen=True, slots=True)
class WhisperLine:
    to: str
    text: str


@dataclass(frozen=True, slots=True)
class NickLine:
    name: str


@dataclass(frozen=True, slots=True)
class TopicLine:
    text: str


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """Earlier lines of the current room than those that were shown."""

    lines: int = HISTORY_LINES


@dataclass(frozen=True, slots=True)
class SearchLine:
    """Without a text, what the search before has left."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class QuitLine:
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HelpLine:
    pass


@dataclass(frozen=True, slots=True)
class EmptyLine:
    """An empty line."""


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """No command of ours, or one that lacks something; `why` is fit to be shown."""

    why: str


Action = (
    SayLine
    | JoinLine
    | LeaveLine
    | RoomsLine
    | WhoLine
    | WhisperLine
    | NickLine
    | TopicLine
    | HistoryLine
    | SearchLine
    | QuitLine
    | HelpLine
    | EmptyLine
    | InvalidLine
)


def parse(line: str) -> Action:
    """The action that a line asks for; every line has one."""
    if not line.strip():
        return EmptyLine()
    if line.startswith("//"):
        return SayLine(line[1:])
    if not line.startswith("/"):
        return SayLine(line)
    word, _, rest = line.partition(" ")
    return _command(word.lower(), rest.strip())


def as_text(line: str) -> SayLine | EmptyLine:
    """Return the action that says a line literally, slash or not; a blank line has nothing to say."""
    return SayLine(line) if line.strip() else EmptyLine()


def _command(word: str, rest: str) -> Action:
    rest = without_mark(rest, _MARKS.get(word, ""))
    match word, rest:
        case "/help", _:
            return HelpLine()
        case "/quit", reason:
            return QuitLine(reason)
        case "/rooms", _:
            return RoomsLine()
        case "/who", _:
            return WhoLine()
        case "/leave", room:
            return LeaveLine(room)
        case "/history", count:
            return _history(count)
        case (("/join" | "/msg" | "/me" | "/nick" | "/topic"), ""):
            return InvalidLine(f"{word} what? (/help)")
        case "/join", room:
            return JoinLine(room)
        case "/me", text:
            return SayLine(text, action=True)
        case "/nick", name:
            return NickLine(name)
        case "/topic", text:
            return TopicLine(text)
        case "/search", text:
            return SearchLine(text)
        case "/msg", rest:
            to, _, text = rest.partition(" ")
            return WhisperLine(to, text.strip()) if text.strip() else InvalidLine(f"/msg {to} what? (/help)")
        case _:
            return InvalidLine(f"no such command: {word} (/help, or {word.replace('/', '//', 1)} to say it)")


def without_mark(name: str, mark: str) -> str:
    """Return a name without the mark that other chats put in front: `#` of a room, `@` of a person.

    No name of ours begins with one.
    """
    has_mark = mark and name.startswith(mark) and name[1:2].strip()
    return name[1:] if has_mark else name


def _history(count: str) -> Action:
    if not count:
        return HistoryLine()
    if re.fullmatch("[0-9]{1,3}", count) and 0 < int(count) <= HISTORY_LINES_MAX:
        return HistoryLine(int(count))
    return InvalidLine(f"/history takes a number from 1 to {HISTORY_LINES_MAX} (/help)")


def split_text(text: str, bytes_max: int) -> Iterator[str]:
    """`text` in pieces of at most `bytes_max` bytes of UTF-8, cut between characters and nowhere else.

    Nothing is lost: the pieces joined are the text. A character beyond `bytes_max` is a piece of its own.
    """
    data = text.encode()
    at = 0
    while len(data) - at > bytes_max:
        end = at + bytes_max
        while end > at and data[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        if end <= at:
            end = at + 1
            while end < len(data) and data[end] & 0xC0 == 0x80:
                end += 1
        yield data[at:end].decode()
        at = end
    if at < len(data) or not data:
        yield data[at:].decode()
