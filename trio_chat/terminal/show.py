"""Format events as lines of text or of JSON.

    12:03 ada: hello
    12:04 * ada waves
    -- bob joined (3 here)
    -- bob left (lost)
    [garden] 12:05 eve: shall we?
    [garden] 2026-11-20 12:05 eve: shall we?     from history or search, with the day

All text from a peer passes through `escape`. The further lines of a text are indented, so that they cannot
be mistaken for a line by another author.
"""

import time
from typing import assert_never

from trio_chat.client import ClientEvent, Disconnected, Reconnected
from trio_chat.terminal.escape import escape, escape_json
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import (
    Departure,
    Error,
    Event,
    Found,
    Gap,
    HistoryPage,
    Members,
    Named,
    Presence,
    Room,
    RoomListing,
    Said,
    TopicChanged,
    TypingNotice,
    Whispered,
)

__all__ = [
    "as_json",
    "clock",
    "event_lines",
    "history_lines",
    "retention",
    "room_lines",
    "rooms_lines",
    "search_lines",
    "who_lines",
]

_INDENT = " " * 6


def event_lines(event: ClientEvent, *, me: str = "", room: str = "") -> list[str]:
    """Return the lines for an event; an event that needs no line returns an empty list.

    `me` is the user's own name, whose presence changes are not shown. Lines of the current `room` are shown
    without the name of the room.
    """
    match event:
        case Said() | TopicChanged():
            lines = _entry(event, clock(event.at))
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
        case Disconnected():
            return [f"-- {escape(event.why)}; reconnecting"]
        case Reconnected():
            return [f"-- reconnected after {_duration(event.after_s)}"]
        case Room(resumed=True):
            return []
        case Room():
            return [f"{_room_summary(event.room, event.members, event.topic)} (its earlier history is gone)"]
        case TypingNotice():
            return []
        case _:
            assert_never(event)
    return lines if event.room == room else _with_room(event.room, lines)


def room_lines(room: Room) -> list[str]:
    """Return the lines for a room that was joined."""
    return [_room_summary(room.room, room.members, room.topic)]


def who_lines(names: list[str], count: int) -> list[str]:
    more = f" and {count - len(names)} more" if count > len(names) else ""
    return [f"-- here: {', '.join(escape(name) for name in names)}{more} ({count} here)"]


def rooms_lines(rooms: list[RoomListing]) -> list[str]:
    if not rooms:
        return ["-- no room has members"]
    return [_room_summary(each.room, each.members, each.topic) for each in rooms]


def history_lines(page: HistoryPage) -> list[str]:
    """Return the lines for a page of history, and whether there are earlier lines."""
    lines = [line for entry in page.entries for line in _entry(entry, _day_and_clock(entry.at))]
    more = "there is more (/history)" if page.more else "nothing earlier is kept"
    return [*lines, f"-- {_lines(len(page.entries))} of {escape(page.room)}; {more}"]


def search_lines(found: Found) -> list[str]:
    """Return the lines for a page of search results, newest last, and whether there may be more."""
    lines = [
        line
        for entry in reversed(found.entries)
        for line in _with_room(entry.room, _entry(entry, _day_and_clock(entry.at)))
    ]
    count = _lines(len(found.entries)) if found.entries else "nothing"
    return [*lines, f"-- {count} found{'; there may be more (/search)' if found.more else ''}"]


def retention(kept: str) -> str:
    """Return how long messages are kept, as words that follow "messages are kept"."""
    if kept[:1].isdecimal():  # a duration, possibly with more text
        return f"for {escape(kept)}"
    return {"memory": "in memory", "forever": "forever"}.get(kept) or f"in part: {escape(kept)}"


def as_json(event: Event | Disconnected | Reconnected) -> str:
    """Return the event as JSON on one line, in the form that it has on the wire."""
    return escape_json(encode(event).decode())


def clock(at: int) -> str:
    """Return the local time as HH:MM; `--:--` for a time beyond what a calendar can hold."""
    return _time("%H:%M", at) or "--:--"


def _day_and_clock(at: int) -> str:
    return _time("%Y-%m-%d %H:%M", at) or "---------- --:--"


def _time(form: str, at: int) -> str:
    try:
        return time.strftime(form, time.localtime(at / 1000))
    except (OverflowError, OSError, ValueError):
        return ""


def _entry(entry: Said | TopicChanged, when: str) -> list[str]:
    by = escape(entry.by)
    match entry:
        case Said() if entry.action:
            return _text(f"{when} * {by} ", entry.text)
        case Said():
            return _text(f"{when} {by}: ", entry.text)
        case TopicChanged():
            return _text(f"{when} -- {by} set the topic: ", entry.text)
        case _:
            assert_never(entry)


def _with_room(room: str, lines: list[str]) -> list[str]:
    return [f"[{escape(room)}] {line}" for line in lines]


def _lines(count: int) -> str:
    return f"{count or 'no'} line{'s' if count != 1 else ''}"


def _text(head: str, text: str) -> list[str]:
    first, *others = text.split("\n")
    return [head + _line(first), *(_INDENT + _line(line) for line in others)]


def _line(text: str) -> str:
    return "    ".join(escape(part) for part in text.split("\t"))


def _flat(text: str) -> str:
    return _line(text.replace("\n", " "))


def _room_summary(room: str, members: int, topic: str) -> str:
    about = f", about: {_flat(topic)}" if topic else ""
    return f"-- {escape(room)}: {members} here{about}"


def _duration(seconds: float) -> str:
    for unit_s, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


def _presence(event: Presence, me: str) -> list[str]:
    here = f" ({event.members} here)"
    lines = []
    if joined := [name for name in event.joined if name != me]:
        lines.append(f"-- {', '.join(escape(name) for name in joined)} joined{here}")
    for why, names in _by_reason(event.left, me).items():
        lines.append(f"-- {', '.join(names)} left{why}{here if not why else ''}")
    lines += [f"-- {escape(each.name)} is {escape(each.to)} now" for each in event.renamed]
    if event.more:
        lines.append(f"-- more members joined or left{here}")
    return lines


def _by_reason(left: list[Departure], me: str) -> dict[str, list[str]]:
    """Group the names of members that left by the reason to show; `me` is left out."""
    reasons: dict[str, list[str]] = {}
    for each in left:
        if each.name != me:
            why = "" if each.why in ("left", "quit") else f" ({escape(each.why)})"
            reasons.setdefault(why, []).append(escape(each.name))
    return reasons


def _gap(gap: Gap) -> str:
    lines = _lines(max(gap.next - gap.after - 1, 0))
    return f"-- {lines} not shown here" if gap.kept else f"-- {lines} no longer kept"
