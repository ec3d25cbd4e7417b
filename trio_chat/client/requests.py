"""Requests: which command an answer belongs to, and what becomes of those that a lost connection left open.

Every command that is answered carries a `ref`, and its answer carries it back. A request whose caller
was cancelled stays until its answer has come: what the answer means for the room it speaks of is true
whether anybody waits for it or not.

A request outlives its connection. What was not answered is sent again on the next one, in the order of its
first sending: a `say` and a `topic` with the same `ref`, which the server's journal makes once; a question is
simply asked again. There are exceptions:

- who has stopped waiting wants nothing sent again;
- a `whisper` that was sent may have arrived, and the server does not know it again: that fails;
- what was open when a server ended the connection by `bye internal`, twice, may well be what ails the server.
  That fails, so that one message cannot keep a client from coming back for ever.

At most `OUTSTANDING` of a program's commands are open at a time. Who has another waits for a place, in turn.
"""

import secrets
from collections.abc import Callable, Iterator
from itertools import count

import trio
from trio.lowlevel import ParkingLot

from trio_chat.errors import ChatError, ConnectionLost
from trio_chat.wire.messages import Command, Event, Whisper

__all__ = ["OUTSTANDING", "Request", "Requests"]

OUTSTANDING = 1_000
_INTERNAL_MAX = 2


class Request:
    """A command on its way to its answer.

    `then` takes the answer of what the client itself asks and nobody awaits, where the answer stands in
    the stream. `is_sent`: on the connection there is. `failure` is why there will be no answer, where that
    is not the end of the Chat.
    """

    __slots__ = (
        "answer",
        "command",
        "done",
        "failure",
        "has_place",
        "internal",
        "is_given_up",
        "is_sent",
        "then",
    )

    def __init__(self, command: Command, *, then: Callable[[Event], None] | None = None) -> None:
        self.command = command
        self.then = then
        self.answer: Event | None = None
        self.failure: ChatError | None = None
        self.done = trio.Event()
        self.is_sent = False
        self.is_given_up = False
        self.has_place = False
        self.internal = 0  # how often the server ended a connection by its own fault while this was open

    @property
    def waits(self) -> bool:
        """Whether it is a program's and still to be sent."""
        return self.then is None and not self.is_sent and not self.is_given_up and not self.done.is_set()


class Requests:
    """The requests that have no answer yet, in the order in which they were made.

    The refs begin with `prefix`, by default something random, so that those of two runs with one token
    never meet: a `say` with a known ref is not said again.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix or secrets.token_urlsafe(6)
        self._numbers = count(1)
        # One ref may be asked with twice at a time: by who was cancelled and at once tries again.
        self._waiting: dict[str, list[Request]] = {}
        self._free = OUTSTANDING
        self._in_turn = ParkingLot()
        self._has_ended = False

    def __iter__(self) -> Iterator[Request]:
        for requests in self._waiting.values():
            yield from requests

    def new_ref(self) -> str:
        return f"{self._prefix}.{next(self._numbers)}"

    async def admit(self, request: Request) -> None:
        """Add a program's request, once there is a place for it; only if there is none, wait.

        Cancelled, it was not added. After the end, it is done without an answer.
        """
        if self._free:
            self._free -= 1
        else:
            await self._in_turn.park()  # woken, one has been given the place
        request.has_place = True
        if self._has_ended:
            self._drop(request)
        else:
            self.add(request)

    def add(self, request: Request) -> None:
        self._waiting.setdefault(request.command.ref, []).append(request)

    def find(self, ref: str) -> Request | None:
        """Return the request that an answer with this ref belongs to: the first that was sent."""
        requests = self._waiting.get(ref)
        if requests is None:
            return None
        return next((each for each in requests if each.is_sent or each.then is not None), requests[0])

    def take(self, ref: str) -> Request | None:
        """The request that an answer with this ref belongs to; its entry here ends."""
        request = self.find(ref)
        if request is None:
            return None
        requests = self._waiting[ref]
        requests.remove(request)
        if not requests:
            del self._waiting[ref]
        if request.has_place:
            self._release()
        return request

    def give_up(self, request: Request) -> None:
        """Its caller has stopped waiting. What was not sent yet is not sent any more."""
        request.is_given_up = True
        if not request.is_sent and not request.done.is_set():
            self._remove(request)

    def answer(self, request: Request, event: Event) -> None:
        """Answer a request that need not be sent."""
        request.answer = event
        self._remove(request)

    def fail(self, request: Request, failure: ChatError) -> None:
        """There will be no answer to this one, for this reason."""
        request.failure = failure
        self._remove(request)

    def lost(self, why: ConnectionLost) -> None:
        """The connection is gone: what is to be sent again has not been sent, and the rest ends here."""
        for request in list(self):
            sent, request.is_sent = request.is_sent, False
            if request.then is not None or request.is_given_up:
                self._remove(request)
            elif sent:
                request.internal += why.code == "internal"
                if isinstance(request.command, Whisper):
                    self.fail(request, ConnectionLost(f"{why}; the whisper may have arrived", code=why.code))
                elif request.internal >= _INTERNAL_MAX:
                    self.fail(request, ConnectionLost(f"{why}; twice over the same message", code=why.code))

    def end(self) -> None:
        """No more answers will come: everyone who waits goes on, without one."""
        self._has_ended = True
        for request in list(self):
            self._remove(request)

    def _remove(self, request: Request) -> None:
        requests = self._waiting[request.command.ref]
        requests.remove(request)
        if not requests:
            del self._waiting[request.command.ref]
        self._drop(request)

    def _drop(self, request: Request) -> None:
        if request.has_place:
            self._release()
        request.done.set()

    def _release(self) -> None:
        if self._in_turn:
            self._in_turn.unpark()
        else:
            self._free += 1
