"""Who is who: a member is a token with a name, and sits in one or more seats, one for each session.

A seat's `owner` is whatever the server seats there (its session); the hub never looks into it. Its `prefix`
is that of its address, to which a new token is charged as well; empty where addresses are not limited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from trio_chat.hub.names import Name
    from trio_chat.hub.rates import Allowance
    from trio_chat.hub.rooms import Room

__all__ = ["Attachment", "Member"]

S = TypeVar("S")


class Member(Generic[S]):
    """`token` is the digest of a token, never the token. Seats are in the order of their coming.

    `allowance` is what its rates have left; it outlives the member.
    """

    __slots__ = ("allowance", "name", "seats", "token")

    def __init__(self, token: str, name: Name, allowance: Allowance) -> None:
        self.token = token
        self.name = name
        self.allowance = allowance
        self.seats: list[Attachment[S]] = []


class Attachment(Generic[S]):
    """One session's place in the hub: its member, and the rooms it is in, by key."""

    __slots__ = ("member", "prefix", "refused_until", "rooms", "session")

    def __init__(self, owner: S, member: Member[S], prefix: str) -> None:
        self.session = owner
        self.member = member
        self.prefix = prefix
        self.rooms: dict[str, Room[S]] = {}
        self.refused_until = 0.0
        """Until when messages of this session are refused, since one before them was."""
