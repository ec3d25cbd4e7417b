"""Requests: which command an answer belongs to.

Every command that is answered carries a `ref`, and its answer carries it back. A request whose caller
was cancelled stays until its answer has come: what the answer means for the room it speaks of is true
whether anybody waits for it or not.
"""

import secrets
from itertools import count

import trio

from trio_chat.wire.messages import Command, Event

__all__ = ["Request", "Requests"]


class Request:
    """A command on its way to its answer. `catching_up` marks the inbox's question, which nobody awaits."""

    __slots__ = ("answer", "catching_up", "command", "done")

    def __init__(self, command: Command, *, catching_up: bool = False) -> None:
        self.command = command
        self.catching_up = catching_up
        self.answer: Event | None = None
        self.done = trio.Event()


class Requests:
    """The requests of one connection that have no answer yet.

    The refs begin with `prefix`, by default something random, so that those of two runs with one token
    never meet: a `say` with a known ref is not said again.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix or secrets.token_urlsafe(6)
        self._numbers = count(1)
        # One ref may be asked with twice at a time: by who was cancelled and at once tries again.
        self._waiting: dict[str, list[Request]] = {}

    def new_ref(self) -> str:
        return f"{self._prefix}.{next(self._numbers)}"

    def add(self, request: Request) -> None:
        self._waiting.setdefault(request.command.ref, []).append(request)

    def take(self, ref: str) -> Request | None:
        """The request that an answer with this ref belongs to; its entry here ends."""
        requests = self._waiting.get(ref)
        if requests is None:
            return None
        request = requests.pop(0)
        if not requests:
            del self._waiting[ref]
        return request

    def end(self) -> None:
        """No more answers will come: everyone who waits goes on, without one."""
        for requests in self._waiting.values():
            for request in requests:
                request.done.set()
        self._waiting.clear()
