"""Every message of the wire: the first file to read.

Commands go from a client to the server, events from the server to a client. Each is one JSON object
with a `type`. docs/protocol.md explains each message; this file defines its exact form.

Commands are strict: an unknown field is refused. Events are tolerant: an unknown field is ignored, so that a
newer server does not break older clients. All numbers are integers from 0 to 2**53 - 1, so that a client may
add, multiply and show them without checks. A time is at most `MAX_AT`, so that a client may show it as a
date.

An absent optional field is left out, never `null`. In Python an absent text is `""` (an optional text on the
wire is never empty), and an absent number is `UNSET`, since 0 is a valid number.

The decoder checks types and lengths. It checks no patterns, which would cost more than the rest of the
decoding: names are checked in `hub/names.py`, texts where the server handles the command. Constructors check
nothing. `gc=False`: messages contain no reference cycles, so the garbage collector can skip them.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "MAX_AT",
    "MAX_NUMBER",
    "UNLIMITED_PER_S",
    "UNSET",
    "VERSION",
    "Ack",
    "Bye",
    "Command",
    "Departure",
    "Entry",
    "Error",
    "Event",
    "Found",
    "Gap",
    "Hello",
    "History",
    "HistoryPage",
    "Join",
    "Leave",
    "Members",
    "Named",
    "Ping",
    "Pong",
    "Presence",
    "Quit",
    "Rename",
    "Renaming",
    "Room",
    "RoomListing",
    "Rooms",
    "RoomsPage",
    "Said",
    "Say",
    "Search",
    "ServerLimits",
    "Topic",
    "TopicChanged",
    "Typing",
    "TypingNotice",
    "UnsetType",
    "Welcome",
    "Whisper",
    "Whispered",
    "Who",
]

VERSION = 1
UNLIMITED_PER_S = 1_000_000  # announced by a server without rate limits; no client reaches it
MAX_NUMBER = 2**53 - 1  # the largest integer that JavaScript represents exactly

MAX_AT = 253_402_300_799_999  # the end of the year 9999, the last year that all date libraries support

Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Time = Annotated[int, Meta(ge=0, le=MAX_AT)]
Version = Annotated[int, Meta(ge=VERSION, le=VERSION)]
Ref = Annotated[str, Meta(min_length=1, max_length=64)]
Note = Annotated[str, Meta(min_length=1, max_length=128)]
Cursor = Annotated[str, Meta(min_length=1, max_length=256)]

# --- commands ---------------------------------------------------------------------------------------


class _Command(
    Struct,
    frozen=True,
    gc=False,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="type",
    tag=str.lower,
):
    pass


class Hello(_Command, frozen=True, kw_only=True):
    """The first command of a connection. `token` identifies the member; without it the server issues a
    token."""

    version: Version
    name: str
    token: Annotated[str, Meta(min_length=1, max_length=64)] = ""
    agent: Note = ""
    ref: Ref = ""


class Join(_Command, frozen=True):
    """Enter a room and receive at most `limit` entries of it.

    `recent` asks for the newest entries, `after` for all entries after that number of the same `epoch`. With
    both, the newest entries are sent if the client cannot resume after `after`.
    """

    room: str
    recent: Annotated[int, Meta(ge=0, le=200)] | UnsetType = UNSET
    after: Number | UnsetType = UNSET
    epoch: Ref = ""
    ref: Ref = ""
    limit: Annotated[int, Meta(ge=1, le=200)] | UnsetType = UNSET


class Leave(_Command, frozen=True):
    room: str
    ref: Ref = ""


class Say(_Command, frozen=True):
    """Say `text` in a room; `action` marks a /me."""

    room: str
    text: str
    action: bool = False
    ref: Ref = ""


class Topic(_Command, frozen=True):
    room: str
    text: str
    ref: Ref = ""


class Whisper(_Command, frozen=True):
    to: str
    text: str
    ref: Ref = ""


class Rename(_Command, frozen=True):
    name: str
    ref: Ref = ""


class Who(_Command, frozen=True):
    room: str
    after: Cursor = ""
    ref: Ref = ""


class Rooms(_Command, frozen=True):
    after: Cursor = ""
    ref: Ref = ""


class History(_Command, frozen=True):
    """Request a page of a room's entries: those before `before`, those after `after`, or the newest."""

    room: str
    before: Number | UnsetType = UNSET
    after: Number | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=200)] = 200
    ref: Ref = ""


class Search(_Command, frozen=True):
    text: str
    room: Cursor = ""
    before: Number | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=100)] = 100
    ref: Ref = ""
    next: Cursor = ""


class Typing(_Command, frozen=True):
    room: str
    ref: Ref = ""


class Ping(_Command, frozen=True):
    n: Number | UnsetType = UNSET
    ref: Ref = ""


class Quit(_Command, frozen=True):
    reason: Note = ""
    ref: Ref = ""


Command = (
    Say
    | Ping
    | Join
    | Leave
    | Hello
    | Topic
    | Whisper
    | Rename
    | Who
    | Rooms
    | History
    | Search
    | Typing
    | Quit
)

# --- events -----------------------------------------------------------------------------------------


class _Event(Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag=str.lower):
    pass


class _Part(Struct, frozen=True, gc=False, omit_defaults=True):
    """An object inside an event; it has no type of its own."""


class ServerLimits(_Part, frozen=True):
    """The limits of one session: bytes, counts, and messages a second.

    `talk_bytes_burst` and `talk_bytes_per_s` are 0 from a server that does not announce them or has no rates.
    """

    frame_bytes: int
    text_bytes: int
    rooms: int
    talk_burst: int
    talk_per_s: int
    talk_bytes_burst: int = 0
    talk_bytes_per_s: int = 0


class Welcome(_Event, frozen=True, kw_only=True):
    version: Number
    name: str
    session: Number
    token: str
    server: str
    server_id: str = ""
    features: list[str]
    kept: str
    ping_s: Number
    limits: ServerLimits
    ref: str = ""


class Room(_Event, frozen=True, kw_only=True):
    """The reply to `join`. `first` is the oldest stored entry, `head` the newest committed entry."""

    room: str
    epoch: str
    resumed: bool
    first: Number
    head: Number
    members: Number
    topic: str
    ref: str = ""


class Said(_Event, frozen=True):
    """An entry: `by` said `text`. `at` is in milliseconds since 1970 by the server's clock."""

    room: str
    seq: Number
    at: Time
    by: str
    text: str
    action: bool = False


class TopicChanged(_Event, frozen=True, tag="retitled"):
    """An entry: `by` set the room's topic to `text`."""

    room: str
    seq: Number
    at: Time
    by: str
    text: str


class Departure(_Part, frozen=True):
    name: str
    why: str


class Renaming(_Part, frozen=True):
    name: str
    to: str


class Presence(_Event, frozen=True):
    """The members that joined, left or changed names since the previous `presence`.

    `more` says that a list was shortened. `members` is the current number of members in any case.
    """

    room: str
    members: Number
    joined: list[str] = []
    left: list[Departure] = []
    renamed: list[Renaming] = []
    more: bool = False


class TypingNotice(_Event, frozen=True, tag="typing"):
    room: str
    by: str


class Ack(_Event, frozen=True):
    ref: str
    room: str = ""
    seq: Number | UnsetType = UNSET


class Members(_Event, frozen=True):
    """A page of the members of a room.

    Without a `ref` it is no reply: the server sends it in place of `presence` events that were dropped.
    """

    room: str
    names: list[str]
    count: Number
    more: bool
    ref: str = ""


class RoomListing(_Part, frozen=True):
    room: str
    members: Number
    topic: str


class RoomsPage(_Event, frozen=True, tag="rooms"):
    rooms: list[RoomListing]
    more: bool
    ref: str = ""


class HistoryPage(_Event, frozen=True, tag="history"):
    room: str
    entries: "list[Said | TopicChanged]"
    more: bool
    ref: str = ""


class Found(_Event, frozen=True):
    """The reply to `search`. With `more`, a search with its `next` returns the following entries."""

    entries: "list[Said | TopicChanged]"
    more: bool
    ref: str = ""
    next: str = ""


class Named(_Event, frozen=True):
    name: str
    ref: str = ""


class Whispered(_Event, frozen=True):
    by: str
    to: str
    text: str
    at: Time


class Pong(_Event, frozen=True):
    n: Number | UnsetType = UNSET
    ref: str = ""


class Gap(_Event, frozen=True):
    """The entries between `after` and `next`, both excluded, are not part of this replay.

    If `kept` is true, `history` returns them. If it is false, they no longer exist.
    """

    room: str
    after: Number
    next: Number
    kept: bool


class Error(_Event, frozen=True):
    code: str
    detail: str
    field: str = ""
    retry_after_s: Number | UnsetType = UNSET
    ref: str = ""


class Bye(_Event, frozen=True):
    """Always the last frame before the server closes."""

    code: str
    detail: str
    reconnect: bool
    after_s: Number | UnsetType = UNSET
    ref: str = ""


Entry = Said | TopicChanged

Event = (
    Said
    | TopicChanged
    | Ack
    | Presence
    | Welcome
    | Room
    | TypingNotice
    | Members
    | RoomsPage
    | HistoryPage
    | Found
    | Named
    | Whispered
    | Pong
    | Gap
    | Error
    | Bye
)
