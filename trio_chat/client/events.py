"""The events that a program receives: from the server, or from the client about its connection."""

from msgspec import Struct

from trio_chat.wire.messages import (
    Error,
    Gap,
    Members,
    Named,
    Presence,
    Room,
    Said,
    TopicChanged,
    TypingNotice,
    Whispered,
)

__all__ = ["ClientEvent", "Disconnected", "Reconnected"]


class Disconnected(Struct, frozen=True, gc=False, tag_field="type", tag="outage"):
    """The connection was lost, and the Chat reconnects; the next try is in `again_s` seconds.

    There is one for each outage, however many tries it takes. Calls wait meanwhile.
    """

    why: str
    again_s: float


class Reconnected(Struct, frozen=True, gc=False, tag_field="type", tag="back"):
    """Reconnected after `after_s` seconds; every room that could be rejoined was."""

    after_s: float


ClientEvent = (
    Said
    | TopicChanged
    | Presence
    | TypingNotice
    | Whispered
    | Named
    | Members
    | Gap
    | Error
    | Room
    | Disconnected
    | Reconnected
)
"""An event for the program. A `Room` means that a rejoined room has another history, whose numbers begin
again. An `Error` may name a room that could not be rejoined."""
