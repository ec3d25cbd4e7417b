"""Every message of the wire: the first file to read.

Commands go from a client to the server, events from the server to a client. Each is one JSON object
with a `type`; docs/protocol.md says what each one means, this file is its exact form.

Commands are strict: a field that is not named here is refused. Events are tolerant: what is not named
here is ignored, so that servers can grow without breaking clients. Numbers of both are whole, from 0 to
2**53 - 1, so that a client may add, multiply and show them without a check of its own. A time is at most
`MAX_AT`, so that a client may show it as a date.

An optional field is left out, never `null`. Here an absent text is `""` (which no optional text can
hold on the wire), and an absent number is `UNSET`, since 0 is a number.

The decoder checks types and lengths. It checks no patterns and no texts, which would cost more than
all the rest: names are judged where they are set (`hub/names.py`), texts where they are said.
Constructors check nothing. `gc=False`: messages hold no cycles, and the garbage collector need not
walk them.
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
UNLIMITED_PER_S = 1_000_000  # a rate that no client reaches: what a server without rates announces
MAX_NUMBER = 2**53 - 1  # what a browser's numbers can hold exactly

MAX_AT = 253_402_300_799_999  # the end of the year 9999, the last that every calendar of a client holds

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
    """The first command of a connection. `token` is who one is; without it the server makes one."""

    version: Version
    name: str
    token: Annotated[str, Meta(min_length=1, max_length=64)] = ""
    agent: Note = ""
    ref: Ref = ""


class Join(_Command, frozen=True):
    """Enter a room, with the newest `recent` entries, or all `after` a number of the same `epoch`; with both,
    the newest where there is no going on. Of either, `limit` at most."""

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
    """A page of a room's entries: those below `before`, or those above `after`, or the newest."""

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
    """What the server will take of one session: bytes, counts, and messages a second. The last two are 0 from
    a server that does not tell them, or has no rates."""

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
    """The answer to `join`. `first` is the oldest entry kept, `head` the newest committed."""

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
    """Who came and went since the last one; `more` when a list was cut. `members` is always right."""

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
    """A page of who is in a room. Unasked (no `ref`): the server makes good for a missed `presence`."""

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
    """The answer to `search`. With `more`, a search that is given its `next` goes on where it ends."""

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

    With `kept` true `history` still has them, with false nobody has.
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
