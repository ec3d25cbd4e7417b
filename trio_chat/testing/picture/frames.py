"""Decode the bytes of a connection by their position in the stream, so that any piece can be described."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec import UNSET

from trio_chat.errors import BadMessage, FrameError
from trio_chat.wire import messages as m
from trio_chat.wire.codec import decode_command, decode_event
from trio_chat.wire.framing import FrameReader

__all__ = ["Frame", "Said", "Stream"]

TEXT_MAX = 28
_ALIVE = (m.Ping, m.Pong)
_LIGHT = (m.Ping, m.Pong, m.Hello, m.Welcome, m.Bye)
_TALK = (m.Say, m.Said, m.TopicChanged, m.HistoryPage)
_TROUBLE = (m.Error, m.Bye, m.Gap)
_ANSWERS = (m.Ack, m.Members, m.RoomsPage, m.Found, m.Named, m.Who, m.Rooms, m.History, m.Search)

Said = tuple[str, int]
"""An entry: its room and number."""


@dataclass(frozen=True)
class Frame:
    """One frame, from its first byte to behind its last. `sort` is one of talk, answer, alive, trouble and
    presence, or unknown; `said` the entry that it shows. A `light` frame is independent of other frames."""

    start: int
    end: int
    sort: str
    words: str
    said: Said | None = None
    like: str = ""
    light: bool = False


class Stream:
    """The frames that one host sent on one connection."""

    def __init__(self, data: bytes, *, is_servers: bool) -> None:
        self.frames = list(_frames(data, is_servers))
        self._ends = [frame.end for frame in self.frames]

    def within(self, start: int, end: int) -> list[Frame]:
        """Return the frames that have a byte between two positions."""
        found = []
        for frame in self.frames[bisect_right(self._ends, start) :]:
            if frame.start >= end:
                break
            found.append(frame)
        return found

    def words(self, start: int, end: int) -> str:
        """Describe the frames between two positions in a few words."""
        frames = self.within(start, end)
        parts = [*_joined(frames)]
        known = frames[-1].end if frames else start
        if known < end and not frames:
            parts.append(f"{end - start} bytes")
        if frames and frames[0].start < start:
            parts[0] = f"… {parts[0]}"
        if known > end:
            parts[-1] += " …"
        return ", ".join(parts)


def _frames(data: bytes, is_servers: bool) -> Iterator[Frame]:
    at = 0
    reader = FrameReader()
    try:
        for payload in reader.feed(data):
            start, at = at, at + 4 + len(payload)
            try:
                message = decode_event(payload) if is_servers else decode_command(payload)
            except BadMessage:
                message = None
            if message is None:
                yield Frame(start, at, "trouble", "no message")
            else:
                said = (message.room, message.seq) if isinstance(message, m.Said | m.TopicChanged) else None
                like = f"{type(message).__name__} {getattr(message, 'room', '')}"
                light = isinstance(message, _LIGHT)
                yield Frame(start, at, _sort(message), _words(message), said, like, light)
    except FrameError as error:
        yield Frame(at, len(data), "trouble", str(error))
        return
    if at < len(data):
        yield Frame(at, len(data) + 1, "unknown", "a part of a frame")


def _sort(message: m.Command | m.Event) -> str:
    for sort, kinds in (("talk", _TALK), ("answer", _ANSWERS), ("alive", _ALIVE), ("trouble", _TROUBLE)):
        if isinstance(message, kinds):
            return sort
    return "presence"


def _words(message: m.Command | m.Event) -> str:
    match message:
        case m.Say():
            return f"say {message.room} “{_short(message.text)}”"
        case m.Said() | m.TopicChanged():
            return f"said {message.room} {message.seq}"
        case m.Ack():
            return f"ack {message.room} {message.seq}" if message.seq is not UNSET else f"ack {message.ref}"
        case m.Join():
            since = f" after {message.after}" if message.after is not UNSET else ""
            return f"join {message.room}{since}"
        case m.Room():
            return f"room {message.room}, head {message.head}"
        case m.Presence():
            here = [f"+{name}" for name in message.joined] + [f"−{each.name}" for each in message.left]
            return f"presence {message.room} {' '.join(here[:6])}{' …' if here[6:] else ''}"
        case m.Error() | m.Bye():
            return f"{type(message).__name__.lower()} {message.code}"
        case m.Gap():
            return f"gap {message.room} {message.after}–{message.next}"
    room = getattr(message, "room", "")
    return f"{type(message).__name__.lower()} {room}".strip()


def _joined(frames: list[Frame]) -> Iterator[str]:
    """Yield the words of each frame, with consecutive entries joined."""
    at = 0
    while at < len(frames):
        first = last = frames[at]
        count = 1
        while at + count < len(frames) and _follows(last, frames[at + count]):
            last = frames[at + count]
            count += 1
        at += count
        if count == 1:
            yield first.words
        elif first.said and last.said:
            yield f"{first.words}–{last.said[1]}"
        else:
            yield f"{first.words} and {count - 1} more"


def _follows(one: Frame, other: Frame) -> bool:
    if one.said and other.said:
        return other.said == (one.said[0], one.said[1] + 1)
    return bool(one.like) and one.like == other.like


def _short(text: str) -> str:
    text = text.rstrip(".").strip()
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"
