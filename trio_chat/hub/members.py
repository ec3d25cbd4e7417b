"""Who is who: a member is a token with a name, and sits in one or more seats, one for each session.

A seat's `owner` is whatever the server seats there (its session); the hub never looks into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from trio_chat.hub.names import Name
    from trio_chat.hub.rates import Bucket
    from trio_chat.hub.rooms import Room

__all__ = ["Member", "Seat"]

S = TypeVar("S")


class Member(Generic[S]):
    """`token` is the digest of a token, never the token. Seats are in the order of their coming.

    The buckets of its rates are made when first asked for: most sessions listen.
    """

    __slots__ = ("buckets", "name", "seats", "token")

    def __init__(self, token: str, name: Name) -> None:
        self.token = token
        self.name = name
        self.seats: dict[Seat[S], None] = {}
        self.buckets: dict[str, Bucket] | None = None


class Seat(Generic[S]):
    """One session's place in the hub: its member, and the rooms it is in, by key."""

    __slots__ = ("member", "owner", "rooms")

    def __init__(self, owner: S, member: Member[S]) -> None:
        self.owner = owner
        self.member = member
        self.rooms: dict[str, Room[S]] = {}
