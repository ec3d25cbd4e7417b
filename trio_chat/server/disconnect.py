"""How a session ends: what it is told (`bye`), and what others are told (`why` in `presence`)."""

from msgspec import Struct

from trio_chat.wire.codec import encode
from trio_chat.wire.messages import UNSET, Bye

__all__ = ["LOST", "Disconnect", "disconnect_for"]

# Come back, with back-off. All others: do not come back by yourself.
_COME_BACK = {
    "hello_timeout",
    "frame_timeout",
    "ping_timeout",
    "slow_reader",
    "too_many_connections",
    "rate_limited",
    "draining",
    "internal",
}
_WHY = {
    "quit": "quit",
    "ping_timeout": "timeout",
    "replaced": "replaced",
    "kicked": "kicked",
    "banned": "kicked",
    "slow_reader": "slow",
    "draining": "draining",
    "internal": "internal",
}
# These end a session in good order: what it is owed in answers goes out before the `bye`.
_ORDERLY = {"quit", "draining"}


class Disconnect(Struct, frozen=True):
    """`bye` is the payload that says it, `None` when there is nobody left to be told; `code` is its code."""

    why: str
    bye: bytes | None
    orderly: bool
    code: str = ""


LOST = Disconnect("lost", None, orderly=True)
"""The connection ended, or the peer's input did."""


def disconnect_for(code: str, detail: str, *, after_s: int | None = None, ref: str = "") -> Disconnect:
    """The parting for a code of `bye`."""
    wait = UNSET if after_s is None else after_s
    bye = Bye(code, detail, code in _COME_BACK, after_s=wait, ref=ref)
    return Disconnect(_WHY.get(code, "lost"), encode(bye), code in _ORDERLY, code)
