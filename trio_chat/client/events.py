"""What a program is told without having asked: by the server, or by the client about its connection."""

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
    """The connection was lost, and the Chat goes on: the next try to come back is in `again_s` seconds.

    There is one for each outage, however many tries it takes. What is said meanwhile waits.
    """

    why: str
    again_s: float


class Reconnected(Struct, frozen=True, gc=False, tag_field="type", tag="back"):
    """The outage is over, and so long it was: one is in all rooms again that would have one."""

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
"""What a program is told without having asked. A `Room` comes when one is back in a room whose history is
another one than before: its numbers begin anew. An `Error` may be about a room that one could not come back
to, and names it."""
