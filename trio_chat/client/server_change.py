"""Another server at the same address: what a Chat does not send there.

Pure. A Chat comes back to an address, and `welcome.server_id` says which server answers. What was waiting to
be said was written for the one before, so it is not said to another: its caller gets `ServerChanged`. The
rooms are joined anew, without a cursor, as the numbers and epochs of the one before mean nothing here.
Questions are asked again: their callers want to know how things are where the Chat is now.
"""

from trio_chat.client.requests import Request, Requests
from trio_chat.client.rooms import JoinedRooms
from trio_chat.errors import ServerChanged
from trio_chat.wire.messages import Say, Topic, Welcome, Whisper

__all__ = ["check_admitted", "forget_other_server", "is_other_server"]

_NOT_SENT = (
    "another server answers at this address now; what was written for the one before is not sent to it"
)


def is_other_server(before: Welcome, now: Welcome) -> bool:
    """Return whether the second welcome is from another server than the first.

    A server without an id is the one that was at its address before: an older server, which is being
    upgraded, has a journal in a file and no id yet, and of a journal in memory nothing tells one run from
    another.
    """
    if not before.server_id and not (before.kept == "memory" and now.server_id):
        return False
    return before.server_id != now.server_id


def forget_other_server(requests: Requests, rooms: JoinedRooms) -> None:
    """Fail what was written for the server before, and let each room begin anew."""
    for request in list(requests):
        _fail_if_written(requests, request)
    for membership in rooms:
        membership.epoch = ""


def check_admitted(requests: Requests, request: Request, before: Welcome, now: Welcome) -> None:
    """Fail a request that was made under one welcome and admitted under that of another server."""
    if is_other_server(before, now):
        _fail_if_written(requests, request)


def _fail_if_written(requests: Requests, request: Request) -> None:
    if isinstance(request.command, Say | Topic | Whisper) and request.waits:
        requests.fail(request, ServerChanged(_NOT_SENT))
