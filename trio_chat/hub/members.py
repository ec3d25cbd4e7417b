"""Members and their attachments: a member is a token with a name, and has an attachment for each session.

The hub never looks into an attachment's `session`. Its `prefix` is that of the session's address, to which a
new token is charged as well; it is empty if addresses are not limited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from trio_chat.hub.names import Name
    from trio_chat.hub.rates import Allowance
    from trio_chat.hub.rooms import RoomMembers

__all__ = ["Attachment", "Member"]

S = TypeVar("S")


class Member(Generic[S]):
    """A named member. `token` is the digest of a token, never the token; the oldest attachment is first.

    `allowance` is the rest of the member's rates; it outlives the member.
    """

    __slots__ = ("allowance", "attachments", "name", "token")

    def __init__(self, token: str, name: Name, allowance: Allowance) -> None:
        self.token = token
        self.name = name
        self.allowance = allowance
        self.attachments: list[Attachment[S]] = []


class Attachment(Generic[S]):
    """The state of one session in the hub: its member, and its rooms by key."""

    __slots__ = ("member", "prefix", "refused_until", "rooms", "session")

    def __init__(self, session: S, member: Member[S], prefix: str) -> None:
        self.session = session
        self.member = member
        self.prefix = prefix
        self.rooms: dict[str, RoomMembers[S]] = {}
        self.refused_until = 0.0
        """Messages of this session are refused until then, because an earlier message was refused."""
