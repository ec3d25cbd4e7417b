"""What an export is made of: JSON, an object a line, each with its `type`.

    {"type":"trio_chat_journal","version":1,"refs":true,"server_id":"c2VydmVyLWlk"}
    {"type":"room","room":"lobby","epoch":"PmQ5…","first":1,"head":2,"topic":""}
    {"type":"said","room":"lobby","seq":1,"at":1700000000000,"by":"ada","text":"hello"}
    {"type":"said","room":"lobby","seq":2,"at":1700000001000,"by":"bob","text":"hi"}
    {"type":"refs","refs":[["4f1c…9a r1",1]]}
    {"type":"end","rooms":1,"entries":2}

A room is followed by its entries, as on the wire, `first` to `head` without a hole; then, if the first line
says that there are `refs`, by who said what under which `ref`. The last line tells that nothing was cut
off. `server_id` is there in an export of everything, refs included, and only there: what such a text makes of
an empty file is the same server, as it answers a line that is sent again by the number that the line had.
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
    """A room, before its entries `first` to `head`; when there are none `first` is `head` + 1."""

    room: str
    epoch: str
    first: int
    head: int
    topic: str


class RefsLine(Struct, frozen=True, tag="refs"):
    """Some refs of the room, in the order of their keys: each the author's digest and `ref`, and a number."""

    refs: list[tuple[str, int]]


class EndLine(Struct, frozen=True, tag="end"):
    """The last line: how many there were."""

    rooms: int
    entries: int


Line = JournalLine | RoomLine | Said | TopicChanged | RefsLine | EndLine

decode_line = msgspec.json.Decoder(Line).decode
"""A line's object. Raises `ValueError`, and `RecursionError` for what is nested beyond measure."""

encode_line = msgspec.json.Encoder().encode
