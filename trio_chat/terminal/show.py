"""What came, as lines of text or of JSON.

    12:03 ada: hello
    12:04 * ada waves
    -- bob joined (3 here)
    -- bob left (lost)
    [garden] 12:05 eve: shall we?

Nothing that came from a peer is shown but through `escape`. A text of several lines goes on indented, so
that its lines cannot be taken for somebody else's.
"""

import time
from typing import assert_never

from trio_chat.client import Incoming
from trio_chat.terminal.escape import escape, escape_json
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import (
    Departure,
    Error,
    Event,
    Gap,
    Members,
    Named,
    Presence,
    Retitled,
    Room,
    RoomListing,
    Said,
    TypingNotice,
    Whispered,
)

__all__ = ["as_json", "clock", "event_lines", "kept", "room_lines", "rooms_lines", "who_lines"]

_INDENT = " " * 6


def event_lines(event: Incoming, *, me: str = "", room: str = "") -> list[str]:
    """The lines for what came unasked; none for what is not worth one.

    `me` is one's own name, whose comings and goings are no news; `room` the current room, whose lines
    are not marked with it.
    """
    match event:
        case Said(text=text) if event.action:
            lines = _text(f"{clock(event.at)} * {escape(event.by)} ", text)
        case Said(text=text):
            lines = _text(f"{clock(event.at)} {escape(event.by)}: ", text)
        case Retitled(text=text):
            lines = _text(f"{clock(event.at)} -- {escape(event.by)} set the topic: ", text)
        case Presence():
            lines = _presence(event, me)
        case Whispered() if event.by == me and event.to != me:
            return _text(f"{clock(event.at)} you whisper to {escape(event.to)}: ", event.text)
        case Whispered():
            return _text(f"{clock(event.at)} {escape(event.by)} whispers: ", event.text)
        case Named():
            return [f"-- you are {escape(event.name)} now"]
        case Members():
            lines = who_lines(event.names, event.count)
        case Gap():
            lines = [_gap(event)]
        case Error():
            return [f"-- {escape(event.detail)} ({escape(event.code)})"]
        case TypingNotice():
            return []
        case _:
            assert_never(event)
    return lines if event.room == room else [f"[{escape(event.room)}] {line}" for line in lines]


def room_lines(room: Room) -> list[str]:
    """The lines for a room that was joined."""
    return [_about(room.room, room.members, room.topic)]


def who_lines(names: list[str], count: int) -> list[str]:
    more = f" and {count - len(names)} more" if count > len(names) else ""
    return [f"-- here: {', '.join(escape(name) for name in names)}{more} ({count} here)"]


def rooms_lines(rooms: list[RoomListing]) -> list[str]:
    if not rooms:
        return ["-- nobody is in any room"]
    return [_about(each.room, each.members, each.topic) for each in rooms]


def kept(kept: str) -> str:
    """What a welcome says happens to what is said, to go on after "is kept"."""
    return {"memory": "in memory", "forever": "forever"}.get(kept) or f"for {escape(kept)}"


def as_json(event: Event) -> str:
    """The event as the wire has it, on one line."""
    return escape_json(encode(event).decode())


def clock(at: int) -> str:
    """HH:MM where we are. A server's numbers are not bounded by what a calendar can hold."""
    try:
        return time.strftime("%H:%M", time.localtime(at / 1000))
    except (OverflowError, OSError, ValueError):
        return "--:--"


def _text(head: str, text: str) -> list[str]:
    first, *others = text.split("\n")
    return [head + _line(first), *(_INDENT + _line(line) for line in others)]


def _line(text: str) -> str:
    return "    ".join(escape(part) for part in text.split("\t"))


def _flat(text: str) -> str:
    return _line(text.replace("\n", " "))


def _about(room: str, members: int, topic: str) -> str:
    about = f", about: {_flat(topic)}" if topic else ""
    return f"-- {escape(room)}: {members} here{about}"


def _presence(event: Presence, me: str) -> list[str]:
    here = f" ({event.members} here)"
    lines = []
    if joined := [name for name in event.joined if name != me]:
        lines.append(f"-- {', '.join(escape(name) for name in joined)} joined{here}")
    for why, names in _by_reason(event.left, me).items():
        lines.append(f"-- {', '.join(names)} left{why}{here if not why else ''}")
    lines += [f"-- {escape(each.name)} is {escape(each.to)} now" for each in event.renamed]
    if event.more:
        lines.append(f"-- others came and went{here}")
    return lines


def _by_reason(left: list[Departure], me: str) -> dict[str, list[str]]:
    """Who left, by what is worth saying of why."""
    reasons: dict[str, list[str]] = {}
    for each in left:
        if each.name != me:
            why = "" if each.why in ("left", "quit") else f" ({escape(each.why)})"
            reasons.setdefault(why, []).append(escape(each.name))
    return reasons


def _gap(gap: Gap) -> str:
    count = gap.next - gap.after - 1
    lines = f"{count} line{'s' if count != 1 else ''}"
    return f"-- {lines} not shown here" if gap.kept else f"-- {lines} no longer kept"
