"""Parse typed lines into actions.

A line is a message to the current room, unless it begins with a slash. Two slashes send a text that begins
with a slash. In a pipe every line is a message, exactly as it is (`as_text`).
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
/join ROOM       join a room, or switch to a room that you are in
/leave [ROOM]    leave the current room, or ROOM
/rooms           list the rooms that have members
/who             list the members of the current room
/msg NAME TEXT   send a private message
/me TEXT         send an action: /me waves
/nick NAME       change your name
/topic TEXT      set the topic of the current room
/history [N]     show N earlier lines of the current room; repeat it for still earlier lines
/search TEXT     search the rooms that you are in; /search alone shows more results
/quit [REASON]   disconnect; Ctrl-D does the same
//TEXT           send a text that begins with a slash"""

_MARKS = {"/join": "#", "/leave": "#", "/msg": "@", "/nick": "@"}

HISTORY_LINES = 20
HISTORY_LINES_MAX = 200  # a server returns no more in one reply


@dataclass(frozen=True, slots=True)
class SayLine:
    text: str
    action: bool = False


@dataclass(frozen=True, slots=True)
class JoinLine:
    room: str


@dataclass(frozen=True, slots=True)
class LeaveLine:
    """Leave `room`; empty means the current room."""

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
    """Show lines of the current room from before those that were shown."""

    lines: int = HISTORY_LINES


@dataclass(frozen=True, slots=True)
class SearchLine:
    """Search for `text`; empty means more results of the previous search."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class QuitLine:
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HelpLine:
    pass


@dataclass(frozen=True, slots=True)
class EmptyLine:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """An unknown or incomplete command; `why` can be shown to the user."""

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
    """Return the action that a line asks for; every line has an action."""
    if not line.strip():
        return EmptyLine()
    if line.startswith("//"):
        return SayLine(line[1:])
    if not line.startswith("/"):
        return SayLine(line)
    word, _, rest = line.partition(" ")
    return _command(word.lower(), rest.strip())


def as_text(line: str) -> SayLine | EmptyLine:
    """Return the action that sends a line literally, slash or not; a blank line sends nothing."""
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
            return InvalidLine(f"{word}: missing argument (/help)")
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
            if not text.strip():
                return InvalidLine(f"/msg {to}: missing text (/help)")
            return WhisperLine(to, text.strip())
        case _:
            return InvalidLine(
                f"unknown command: {word} (/help, or {word.replace('/', '//', 1)} to send it as text)"
            )


def without_mark(name: str, mark: str) -> str:
    """Return a name without the mark that other chats put before it: `#` for a room, `@` for a person.

    Names in trio-chat never begin with these marks.
    """
    has_mark = mark and name.startswith(mark) and name[1:2].strip()
    return name[1:] if has_mark else name


def _history(count: str) -> Action:
    if not count:
        return HistoryLine()
    if re.fullmatch("[0-9]{1,3}", count) and 0 < int(count) <= HISTORY_LINES_MAX:
        return HistoryLine(int(count))
    return InvalidLine(f"invalid /history: got {count!r}, expected 1 to {HISTORY_LINES_MAX} (/help)")


def split_text(text: str, bytes_max: int) -> Iterator[str]:
    """Yield `text` in pieces of at most `bytes_max` bytes of UTF-8, cut only between characters.

    The joined pieces are the whole text. A character longer than `bytes_max` is a piece of its own.
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
