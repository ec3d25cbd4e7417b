"""Errors for programs, made from the events of a server."""

from trio_chat.client.delays import RECONNECT_S_MAX
from trio_chat.errors import ConnectionLost, ProtocolError, Refused
from trio_chat.wire.messages import UNSET, Bye, Error, Event, UnsetType

__all__ = ["connection_lost", "one_line", "protocol_error", "refused", "unexpected_event"]

LINE_CHARACTERS_MAX = 500  # a detail may be as long as a frame, and is shown on one line


def connection_lost(bye: Bye) -> ConnectionLost:
    after_s = 0 if bye.after_s is UNSET else bye.after_s
    detail = f"the server ended the connection: {one_line(bye.detail)} ({one_line(bye.code)})"
    if after_s > RECONNECT_S_MAX:
        detail += f"; it asks for a pause of {after_s} s, the client waits {RECONNECT_S_MAX} s"
    return ConnectionLost(detail, code=bye.code, reconnect=bye.reconnect, after_s=after_s)


def refused(error: Error) -> Refused:
    after_s = None if isinstance(error.retry_after_s, UnsetType) else error.retry_after_s
    return Refused(error.code, one_line(error.detail), field=error.field, retry_after_s=after_s)


def unexpected_event(event: Event) -> ProtocolError:
    return protocol_error(f"unexpected answer: {type(event).__name__.lower()}")


def protocol_error(detail: str) -> ProtocolError:
    return ProtocolError(f"invalid data from the server: {one_line(detail)}")


def one_line(text: str) -> str:
    """Return a peer's text as a part of one line: `?` for characters that do not print, cut at 500."""
    if len(text) > LINE_CHARACTERS_MAX:
        text = text[: LINE_CHARACTERS_MAX - 1] + "…"
    return "".join(char if char.isprintable() else "?" for char in text)
