"""Send waiting requests: in their order, each when its room is joined and the pacer allows it.

Messages keep their order, whatever room they are for, since they share one rate. Messages of a room keep
their order with `join` and `leave` of that room. Queries wait for no message, but for a room that is not
rejoined yet. `quit` waits for all commands that the pacer delays.
"""

from dataclasses import dataclass, field
from math import inf

import trio

from trio_chat.client.connection import Connection
from trio_chat.client.pacer import RateKind, kind_of
from trio_chat.client.requests import Request
from trio_chat.client.rooms import room_of
from trio_chat.client.session import ClientSession
from trio_chat.errors import Refused
from trio_chat.wire.messages import Command, Quit

__all__ = ["Sender"]


@dataclass
class _Held:
    """The commands that a pass over the requests has delayed so far."""

    away: set[str] = field(default_factory=set)
    """Rooms that are not rejoined: every command about them waits."""
    rooms: set[str] = field(default_factory=set)
    """Rooms with a message, a `join` or a `leave` that waits for the pacer: later ones wait behind it."""
    kinds: set[RateKind] = field(default_factory=set)


class Sender:
    """Send waiting requests on one connection. `again_at` is when the pacer may allow more."""

    def __init__(self, talk: ClientSession, connection: Connection) -> None:
        self.again_at = inf
        self._talk = talk
        self._connection = connection

    async def run(self) -> None:
        """Send waiting requests until the connection breaks. Cancelling leaves the others waiting."""
        backlog = self._talk.backlog
        while not self._connection.is_broken:
            changed = backlog.renew()
            await self.send_waiting()
            backlog.exists = any(request.waits for request in self._talk.requests)
            with trio.move_on_at(self.again_at):
                await changed.wait()

    async def send_waiting(self) -> None:
        """Send all requests that may be sent now; wait only for space in the connection."""
        self.again_at = inf
        held = _Held()
        for request in list(self._talk.requests):
            if not self._may_send(request, held):
                continue
            if self._connection.crowded:
                await self._connection.space()
                if not self._may_send(request, held):
                    continue
            self._send(request)

    def _may_send(self, request: Request, held: _Held) -> bool:
        return request.waits and not self._is_held(request.command, held)

    def _is_held(self, command: Command, held: _Held) -> bool:
        """Return whether a command must wait, and note which later commands must wait behind it."""
        rooms = self._talk.rooms
        room = room_of(command)
        if room in held.away or rooms.holds(room):
            held.away.add(room or "")
            return True
        kind = kind_of(command)
        if kind is None:
            return isinstance(command, Quit) and bool(held.kinds)
        membership = rooms.get(room) if room else None
        name = membership.name if membership else room
        is_ordered = kind != "questions" and name is not None
        if is_ordered and name in held.rooms:
            return True
        if kind not in held.kinds:
            now = trio.current_time()
            wait_s = self._talk.backlog.pacer.wait_s(command, now)
            if not wait_s:
                return False
            self.again_at = min(self.again_at, now + wait_s)
        held.kinds.add(kind)
        if is_ordered and name is not None:
            held.rooms.add(name)
        return True

    def _send(self, request: Request) -> None:
        try:
            frame = self._connection.pack(request.command)
        except Refused as refusal:  # the limit of another server may be lower
            self._talk.requests.fail(request, refusal)
        else:
            if self._connection.send_nowait(frame):
                self._talk.backlog.count(request)
