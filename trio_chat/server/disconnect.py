"""The reasons for which a session ends: its `bye`, and the `why` that other members get in `presence`."""

from msgspec import Struct

from trio_chat.wire.codec import encode
from trio_chat.wire.messages import UNSET, Bye

__all__ = ["CONNECTION_LOST", "Disconnect", "disconnect_for"]

# For these codes a client reconnects, with backoff. For all others it must not reconnect by itself.
_RECONNECT = {
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
# These end a session in order: its pending replies are sent before the `bye`.
_ORDERLY = {"quit", "draining"}


class Disconnect(Struct, frozen=True):
    """The reason for the end of a session.

    `bye` is the encoded message, or `None` when the connection is gone already; `code` is the code in it.
    """

    why: str
    bye: bytes | None
    orderly: bool
    code: str = ""


CONNECTION_LOST = Disconnect("lost", None, orderly=True)
"""The connection ended, or the peer's input did."""


def disconnect_for(code: str, detail: str, *, after_s: int | None = None, ref: str = "") -> Disconnect:
    """Return the disconnect for a code of `bye`."""
    wait = UNSET if after_s is None else after_s
    bye = Bye(code, detail, code in _RECONNECT, after_s=wait, ref=ref)
    return Disconnect(_WHY.get(code, "lost"), encode(bye), code in _ORDERLY, code)
