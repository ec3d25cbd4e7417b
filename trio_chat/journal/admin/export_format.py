"""The format of an export: JSON lines, one object per line, each with a `type`.

    {"type":"trio_chat_journal","version":1,"refs":true,"server_id":"c2VydmVyLWlk"}
    {"type":"room","room":"lobby","epoch":"PmQ5…","first":1,"head":2,"topic":""}
    {"type":"said","room":"lobby","seq":1,"at":1700000000000,"by":"ada","text":"hello"}
    {"type":"said","room":"lobby","seq":2,"at":1700000001000,"by":"bob","text":"hi"}
    {"type":"refs","refs":[["4f1c…9a r1",1]]}
    {"type":"end","rooms":1,"entries":2}

The room line is followed by the entries `first` to `head` in the wire's format, without a gap. If the first
line has `refs`, the room's refs follow: the author's digest with the `ref`, and the entry's number. The last
line shows that nothing was cut off. Only a complete export with refs has the `server_id`: an empty journal
that imports it becomes the same server, since it acknowledges a retried line with the line's old number.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from trio_chat.wire.messages import Said, TopicChanged

__all__ = ["VERSION", "EndLine", "JournalLine", "Line", "RefsLine", "RoomLine", "decode_line", "encode_line"]

VERSION = 1


class JournalLine(Struct, frozen=True, omit_defaults=True, tag="trio_chat_journal"):
    """The first line."""

    version: int
    refs: bool
    server_id: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{0,64}$")] = ""


class RoomLine(Struct, frozen=True, tag="room"):
    """A room, before its entries `first` to `head`; in a room without entries `first` is `head` + 1."""

    room: str
    epoch: str
    first: int
    head: int
    topic: str


class RefsLine(Struct, frozen=True, tag="refs"):
    """Some refs of the room, ordered by key: each has the author's digest with the `ref`, and a number."""

    refs: list[tuple[str, int]]


class EndLine(Struct, frozen=True, tag="end"):
    """The last line: the numbers of rooms and entries."""

    rooms: int
    entries: int


Line = JournalLine | RoomLine | Said | TopicChanged | RefsLine | EndLine

decode_line = msgspec.json.Decoder(Line).decode
"""Return the object of a line. Raises `ValueError`, and `RecursionError` for a line nested too deeply."""

encode_line = msgspec.json.Encoder().encode
