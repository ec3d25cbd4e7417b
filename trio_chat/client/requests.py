"""Requests: which command an answer belongs to, and what happens to open ones when a connection is lost.

Every command with an answer carries a `ref`, and its answer repeats it. A request of a cancelled caller stays
until its answer has arrived, because the answer still changes the state of its room.

A request outlives its connection. A request without an answer is sent again on the next connection, in the
order of the first sending: the server stores a `say` or `topic` with the same `ref` once, and a query is
simply repeated. There are exceptions:

- a request of a cancelled caller is not sent again;
- a `whisper` that was sent may have arrived, and the server does not recognise it: it fails;
- a request that was open when the server ended a connection by `bye internal`, twice, may be the cause. It
fails, so
  that one message cannot prevent a client from reconnecting for ever.

At most `OUTSTANDING` commands of a program are open at a time. Further callers wait for a place, in order.
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
    """A command that waits for its answer.

    `then` takes the answer of the client's own queries, at its position in the stream. `is_sent` is true if
    it was sent on the present connection. `failure` is the reason why no answer will come, unless the Chat
    has ended.
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
        self.internal = 0  # how often the server ended a connection with `internal` while this was open

    @property
    def waits(self) -> bool:
        """Whether it is a request of the program that is still to be sent."""
        return self.then is None and not self.is_sent and not self.is_given_up and not self.done.is_set()


class Requests:
    """The requests without an answer, in the order of their creation.

    The refs begin with `prefix`, random by default, so that two runs with one token never share a ref: the
    server stores a `say` with a known ref only once.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix or secrets.token_urlsafe(6)
        self._numbers = count(1)
        # One ref may be used twice at a time: by a cancelled call and its repetition.
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
        """Add a request of the program; wait only if there is no place for it.

        A cancelled call adds nothing. After the end, the request is done without an answer.
        """
        if self._free:
            self._free -= 1
        else:
            await self._in_turn.park()  # `_release` has passed its place on
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
        """Remove and return the request that an answer with this ref belongs to."""
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
        """Note that the caller was cancelled. An unsent request is removed."""
        request.is_given_up = True
        if not request.is_sent and not request.done.is_set():
            self._remove(request)

    def answer(self, request: Request, event: Event) -> None:
        """Answer a request that need not be sent."""
        request.answer = event
        self._remove(request)

    def fail(self, request: Request, failure: ChatError) -> None:
        """End a request with an error."""
        request.failure = failure
        self._remove(request)

    def lost(self, why: ConnectionLost) -> None:
        """Note that the connection is lost: requests become unsent again, or fail."""
        for request in list(self):
            sent, request.is_sent = request.is_sent, False
            if request.then is not None or request.is_given_up:
                self._remove(request)
            elif sent:
                request.internal += why.code == "internal"
                if isinstance(request.command, Whisper):
                    self.fail(request, ConnectionLost(f"{why}; the whisper may have arrived", code=why.code))
                elif request.internal >= _INTERNAL_MAX:
                    self.fail(request, ConnectionLost(f"{why}; twice with the same message", code=why.code))

    def end(self) -> None:
        """Note that no more answers will come, and wake all callers."""
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
