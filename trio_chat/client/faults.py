"""What a server says against us, as the errors that a program meets."""

from trio_chat.errors import ConnectionLost, Refused, ServerFault
from trio_chat.wire.messages import Bye, Error, Event, UnsetType

__all__ = ["lost", "nonsense", "refused", "unfitting"]


def lost(bye: Bye) -> ConnectionLost:
    after_s = 0 if isinstance(bye.after_s, UnsetType) else bye.after_s
    detail = f"the server ended the connection: {_one_line(bye.detail)} ({_one_line(bye.code)})"
    return ConnectionLost(detail, code=bye.code, reconnect=bye.reconnect, after_s=after_s)


def refused(error: Error) -> Refused:
    after_s = None if isinstance(error.retry_after_s, UnsetType) else error.retry_after_s
    return Refused(error.code, _one_line(error.detail), field=error.field, retry_after_s=after_s)


def unfitting(event: Event) -> ServerFault:
    return nonsense(f"{type(event).__name__.lower()} is no answer to that")


def nonsense(detail: str) -> ServerFault:
    return ServerFault(f"what the server says makes no sense: {_one_line(detail)}")


def _one_line(text: str) -> str:
    """A peer's text for the message of an error: what does not print is no part of a line."""
    return "".join(char if char.isprintable() else "?" for char in text)
