"""What was typed, as an action.

A line is said in the current room, unless it begins with a slash. Two slashes say a text that begins
with one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "HELP",
    "Action",
    "Help",
    "Join",
    "Leave",
    "Nick",
    "Nothing",
    "Quit",
    "Rooms",
    "Say",
    "Tell",
    "Topic",
    "Unclear",
    "Who",
    "parse",
    "split_text",
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
/quit [REASON]   leave; so does Ctrl-D
//TEXT           say a text that begins with a slash"""


@dataclass(frozen=True, slots=True)
class Say:
    text: str
    action: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    room: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Without a room, the current one."""

    room: str = ""


@dataclass(frozen=True, slots=True)
class Rooms:
    pass


@dataclass(frozen=True, slots=True)
class Who:
    pass


@dataclass(frozen=True, slots=True)
class Tell:
    to: str
    text: str


@dataclass(frozen=True, slots=True)
class Nick:
    name: str


@dataclass(frozen=True, slots=True)
class Topic:
    text: str


@dataclass(frozen=True, slots=True)
class Quit:
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Help:
    pass


@dataclass(frozen=True, slots=True)
class Nothing:
    """An empty line."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """No command of ours, or one that lacks something; `why` is fit to be shown."""

    why: str


Action = Say | Join | Leave | Rooms | Who | Tell | Nick | Topic | Quit | Help | Nothing | Unclear


def parse(line: str) -> Action:
    """The action that a line asks for; every line has one."""
    if not line.strip():
        return Nothing()
    if line.startswith("//"):
        return Say(line[1:])
    if not line.startswith("/"):
        return Say(line)
    word, _, rest = line.partition(" ")
    return _command(word.lower(), rest.strip())


def _command(word: str, rest: str) -> Action:
    match word, rest:
        case "/help", _:
            return Help()
        case "/quit", reason:
            return Quit(reason)
        case "/rooms", _:
            return Rooms()
        case "/who", _:
            return Who()
        case "/leave", room:
            return Leave(room)
        case (("/join" | "/msg" | "/me" | "/nick" | "/topic"), ""):
            return Unclear(f"{word} what? (/help)")
        case "/join", room:
            return Join(room)
        case "/me", text:
            return Say(text, action=True)
        case "/nick", name:
            return Nick(name)
        case "/topic", text:
            return Topic(text)
        case "/msg", rest:
            to, _, text = rest.partition(" ")
            return Tell(to, text.strip()) if text.strip() else Unclear(f"/msg {to} what? (/help)")
        case _:
            return Unclear(f"no such command: {word} (/help, or {word.replace('/', '//', 1)} to say it)")


def split_text(text: str, bytes_max: int) -> Iterator[str]:
    """`text` in pieces of at most `bytes_max` bytes of UTF-8, cut between characters and nowhere else.

    Nothing is lost: the pieces joined are the text.
    """
    data = text.encode()
    at = 0
    while len(data) - at > bytes_max:
        end = at + bytes_max
        while end > at and data[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        yield data[at:end].decode()
        at = end
    yield data[at:].decode()
