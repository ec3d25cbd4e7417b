"""Reconnect: one connection after another, and the pauses between.

A nursery holds the tasks of a connection: the reader, the writer, the keepalive, and at first the task that
rejoins the rooms. Whatever ends the connection, the end of the reader is its end, and what follows is decided
there at once: the Chat has ended, or it reconnects.

An outage lasts until every room that can be rejoined is, over as many connections as that takes.
"""

from collections.abc import Awaitable, Callable
from copy import copy
from math import inf

import trio

from trio_chat.client.backoff import Backoff
from trio_chat.client.delays import reconnect_s
from trio_chat.client.events import Disconnected, Reconnected
from trio_chat.client.exceptions import one_line
from trio_chat.client.handshake import Handshake
from trio_chat.client.keepalive import keep_alive
from trio_chat.client.resume import Resumption
from trio_chat.client.sender import Sender
from trio_chat.client.server_change import forget_other_server, is_other_server
from trio_chat.client.session import ClientSession
from trio_chat.client.ungrouped import ungrouped
from trio_chat.errors import CannotConnect, ClientError, ConnectionLost, ProtocolError, Refused

__all__ = ["Reconnector"]

# After these codes `hello` is sent again later. Another refusal is about the name, and final.
_FOR_NOW = ("rate_limited", "unavailable")


class Reconnector:
    """Keep a Chat connected. `greet` makes the next connection and raises like `handshake.shake_hands`.

    With `backoff` None the first connection is the last.
    """

    def __init__(
        self,
        talk: ClientSession,
        greet: Callable[[], Awaitable[Handshake]],
        *,
        backoff: Backoff | None,
        patience_s: float,
        clock_s: Callable[[], float] | None,
    ) -> None:
        self._talk = talk
        self._greet = greet
        self._backoff = backoff
        self._patience_s = patience_s
        self._clock_s = clock_s
        self._reading = trio.CancelScope()
        self._patience = trio.CancelScope()
        self._overdue: ConnectionLost | None = None
        self._lost_at: float | None = None  # the start of the outage
        self._again_at = 0.0

    async def run(self, first: Handshake) -> None:
        """Serve one connection after another, `first` first, until the Chat has ended. Close each."""
        greeted: Handshake | None = first
        while greeted is not None:
            try:
                await self._visit(greeted, coming_back=greeted is not first)
            finally:
                greeted.connection.close()
            greeted = None if self._talk.ended is not None else await self._come_back()

    # --- a connection -------------------------------------------------------------------------------

    async def _visit(self, greeted: Handshake, *, coming_back: bool) -> None:
        with ungrouped():
            async with trio.open_nursery() as nursery:
                self._reading, self._overdue = trio.CancelScope(), None
                nursery.start_soon(greeted.connection.write)
                nursery.start_soon(self._keep_alive, greeted)
                if coming_back:
                    nursery.start_soon(self._come_in, greeted)
                # otherwise no request ever waits on the first connection
                elif self._talk.backlog.pacer.is_on:
                    nursery.start_soon(Sender(self._talk, greeted.connection).run)
                began = trio.current_time()
                why = await self._read(greeted)
                self._over(why, trio.current_time() - began)
                nursery.cancel_scope.cancel()

    async def _read(self, greeted: Handshake) -> ClientError:
        """Read until the end of the connection, and return the reason."""
        reception, brake = self._talk.reception, self._talk.brake
        why = reception.take(greeted.events)
        with self._reading:
            while why is None:
                await brake.wait()
                try:
                    events = await greeted.connection.receive()
                except ClientError as error:
                    return error
                why = reception.take(events)
        return why or self._overdue or ConnectionLost("connection lost")

    async def _keep_alive(self, greeted: Handshake) -> None:
        ping_s = greeted.welcome.ping_s
        self._give_up(await keep_alive(greeted.connection, self._talk.brake, ping_s, self._clock_s))

    async def _come_in(self, greeted: Handshake) -> None:
        with trio.move_on_at(self._patient_until) as self._patience:
            await Resumption(self._talk, greeted.connection, self._is_back).run()
        if self._patience.cancelled_caught:
            self._give_up(
                ConnectionLost("connection lost: the server did not let the client rejoin its rooms")
            )
        else:
            await Sender(self._talk, greeted.connection).run()

    def _give_up(self, why: ConnectionLost) -> None:
        self._overdue = why
        self._reading.cancel()

    # --- reconnecting -------------------------------------------------------------------------------

    def _over(self, why: ClientError, lasted_s: float) -> None:
        """Decide after a connection: end the Chat, or reconnect."""
        talk, backoff = self._talk, self._backoff
        if backoff is None or talk.is_leaving or not isinstance(why, ConnectionLost) or not why.reconnect:
            talk.end(why)
            return
        backoff.held(lasted_s)
        wait_s = backoff.next_s(reconnect_s(why.after_s))
        self._again_at = trio.current_time() + wait_s
        if self._lost_at is None:
            self._lost_at = trio.current_time()
            talk.lost(why, Disconnected(str(why), wait_s))
        else:
            talk.lost(why, None)

    def _is_back(self) -> None:
        assert self._lost_at is not None, "only after an outage"
        after_s = trio.current_time() - self._lost_at
        self._lost_at = None
        self._patience.deadline = inf
        self._talk.inbox.put(Reconnected(after_s), self._talk.reception.keeps)
        self._talk.reception.arrived.unpark_all()

    @property
    def _patient_until(self) -> float:
        assert self._lost_at is not None, "only during an outage"
        return self._lost_at + self._patience_s

    async def _come_back(self) -> Handshake | None:
        """Try until there is a connection; return None if the Chat has ended."""
        assert self._backoff is not None, "only with a back-off"
        error: ClientError | Refused | None = None
        end: ClientError | None = None
        with self._talk.absence, trio.move_on_at(self._patient_until):
            while end is None:
                await trio.sleep_until(self._again_at)
                try:
                    greeted = await self._greet()
                except (ClientError, Refused) as failure:
                    error, end = failure, _final(failure)
                    self._again_at = trio.current_time() + self._backoff.next_s(_earliest_s(failure))
                else:
                    if self._talk.ended is not None:
                        greeted.connection.close()
                        return None
                    if is_other_server(self._talk.welcome, greeted.welcome):
                        forget_other_server(self._talk.requests, self._talk.rooms)
                    self._talk.greeted(greeted.connection, greeted.welcome)
                    return greeted
        if end is None:  # after `quit` of the program this changes nothing
            detail = f"connection lost, and no reconnect within {self._patience_s:g} s"
            end = ConnectionLost(f"{detail}: {error}" if error else detail)
        self._talk.end(end)
        return None


def _final(error: ClientError | Refused) -> ClientError | None:
    """Return the error that ends the Chat after a failed handshake; None to try again."""
    match error:
        case Refused(code=code):
            if code in _FOR_NOW:
                return None
            return ConnectionLost(f"cannot reconnect: {error} ({one_line(code)})", code=code, reconnect=False)
        case ConnectionLost(code="version"):
            return ProtocolError(str(error))
        case ConnectionLost(reconnect=True) | CannotConnect():
            return None
        case _:
            return copy(error)


def _earliest_s(error: ClientError | Refused) -> int:
    match error:
        case ConnectionLost(after_s=after_s):
            return reconnect_s(after_s)
        case Refused(retry_after_s=int(after_s)):
            return reconnect_s(after_s)
        case _:
            return 0
