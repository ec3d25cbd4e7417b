"""Checks of `welcome`, `room` and `named`, whose values a client uses for the whole connection.

Pure. The codec has checked the types; these functions refuse values with which a client cannot work.
"""

from trio_chat.client.exceptions import protocol_error
from trio_chat.wire.messages import MAX_NUMBER, Named, Room, Welcome

__all__ = ["FRAME_BYTES_MIN", "check_named", "check_room", "check_welcome"]

FRAME_BYTES_MIN = 1_024  # the client's own commands fit: the longest, `join`, has three texts of at most 64
NAME_CHARACTERS_MAX = 256  # eight times the limit of docs/protocol.md
TOKEN_CHARACTERS_MAX = 64
EPOCH_CHARACTERS_MAX = 64
SERVER_ID_CHARACTERS_MAX = 64


def check_welcome(welcome: Welcome) -> None:
    """Raise `ProtocolError` for a welcome with which a client cannot work, naming the field."""
    limits = welcome.limits
    for field, least in (
        ("frame_bytes", FRAME_BYTES_MIN),
        ("text_bytes", 1),
        ("rooms", 1),
        ("talk_burst", 1),
        ("talk_per_s", 1),
    ):
        value = getattr(limits, field)
        if not least <= value <= MAX_NUMBER:
            raise protocol_error(
                f"a welcome with limits.{field} {_shown(value)}, less than {least} or too large"
            )
    _check_length("welcome", "name", welcome.name, NAME_CHARACTERS_MAX)
    _check_length("welcome", "token", welcome.token, TOKEN_CHARACTERS_MAX)
    if welcome.server_id:
        _check_length("welcome", "server_id", welcome.server_id, SERVER_ID_CHARACTERS_MAX)


def check_room(room: Room) -> None:
    """Raise `ProtocolError` for an answer to `join` whose name and epoch no later `join` can repeat."""
    _check_length("room", "room", room.room, NAME_CHARACTERS_MAX)
    _check_length("room", "epoch", room.epoch, EPOCH_CHARACTERS_MAX)


def check_named(named: Named) -> None:
    """Raise `ProtocolError` for a name that no later `hello` can repeat."""
    _check_length("named", "name", named.name, NAME_CHARACTERS_MAX)


def _check_length(event: str, field: str, value: str, most: int) -> None:
    if not 1 <= len(value) <= most:
        raise protocol_error(f"a {event} with a {field} of {len(value)} characters, not 1 to {most}")


def _shown(value: int) -> str:
    """Return a number as text; Python might refuse to convert a very large one."""
    return str(value) if abs(value) <= MAX_NUMBER else "beyond 2**53"
