"""Another server at the same address: what a Chat does not send to it.

Pure. A Chat reconnects to an address, and `welcome.server_id` tells which server answers. Waiting messages
were written for the old server, so they are not sent: their callers get `ServerChanged`. The rooms are joined
without a cursor, because the old numbers and epochs mean nothing here. Queries are sent again.
"""

from trio_chat.client.requests import Request, Requests
from trio_chat.client.rooms import JoinedRooms
from trio_chat.errors import ServerChanged
from trio_chat.wire.messages import Say, Topic, Welcome, Whisper

__all__ = ["check_admitted", "forget_other_server", "is_other_server"]

_NOT_SENT = "another server answers at this address now; messages written for the old one are not sent to it"


def is_other_server(before: Welcome, now: Welcome) -> bool:
    """Return whether the second welcome is from another server than the first.

    A server without an id counts as the same: an older server that is being upgraded has a journal in a file
    and no id yet, and runs with a journal in memory cannot be told apart.
    """
    if not before.server_id and not (before.kept == "memory" and now.server_id):
        return False
    return before.server_id != now.server_id


def forget_other_server(requests: Requests, rooms: JoinedRooms) -> None:
    """Fail the requests that were written for the other server, and let each room begin again."""
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
