"""One connection of an actor, which may pause reading."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import trio

from trio_chat.dialects.frames import FrameEvents
from trio_chat.errors import LinkBroken
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire import messages as m

__all__ = ["ActorConnection"]

SILENCE_S = 45.0  # after which a client gives up on its server; it pings more often


class ActorConnection:
    """A connection made and run by an actor. Sending never waits: bytes that the link does not take follow
    later."""

    def __init__(self, link: PipeLink, wakes_at: Callable[[], float]) -> None:
        """Pause reading until the time that `wakes_at` returns."""
        self.link = link
        self.heard_at = trio.current_time()
        self.unanswered: dict[str, list[float]] = {}
        """By `ref`: the time at which each unanswered command was sent."""
        self.unasked: list[str] = []
        """The refs of answers without a command, or of a second answer to one command."""
        self._wakes_at = wakes_at
        self._outbox = bytearray()
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()

    async def run(self, greeting: m.Command, see: Callable[[list[m.Event]], None]) -> None:
        """Send the greeting and pass events to `see`, until the connection ends or is dropped. Do not close
        it."""
        with self._scope:
            async with trio.open_nursery() as self._nursery:
                self.send(greeting)
                with suppress(LinkBroken, trio.ClosedResourceError):
                    await self._read(see)
                self._nursery.cancel_scope.cancel()

    def send(self, *commands: m.Command) -> None:
        waiting = bool(self._outbox)
        for command in commands:
            if command.ref and not isinstance(command, m.Typing):  # which has no answer
                self.unanswered.setdefault(command.ref, []).append(trio.current_time())
            self._outbox += FrameEvents.pack(command)
        if not waiting and self._push() and self._nursery is not None:
            self._nursery.start_soon(self._pour)

    def ping(self) -> None:
        """Send a ping, or disconnect from a server that has been silent for too long."""
        if trio.current_time() - self.heard_at > SILENCE_S:
            self.link.close()
        else:
            self.send(m.Ping())

    def drop(self) -> None:
        """Stop using the connection, without closing it."""
        self._scope.cancel()

    async def _read(self, see: Callable[[list[m.Event]], None]) -> None:
        events = FrameEvents()
        while True:
            # The pause may be extended or ended meanwhile.
            while (wakes_at := self._wakes_at()) and wakes_at > trio.current_time():  # noqa: ASYNC110
                await trio.sleep(min(wakes_at - trio.current_time(), 1.0))
            data = await self.link.receive_some()
            if not data:
                return
            self.heard_at = trio.current_time()
            seen = events.feed(data)
            self._count_answers(seen)
            see(seen)

    def _count_answers(self, events: list[m.Event]) -> None:
        """Match answers to commands: each command with a `ref` is answered once, also when it is repeated."""
        for event in events:
            if type(event) is m.Said or not (ref := getattr(event, "ref", "")):
                continue
            if times := self.unanswered.get(ref):
                times.pop(0)
                if not times:
                    del self.unanswered[ref]
            else:
                self.unasked.append(ref)

    def _push(self) -> bool:
        """Send the bytes that the link takes; return whether some are left."""
        try:
            del self._outbox[: self.link.send_nowait(bytes(self._outbox))]
        except LinkBroken:
            self._outbox.clear()  # the reading task gets the error
        return bool(self._outbox)

    async def _pour(self) -> None:
        with suppress(LinkBroken, trio.ClosedResourceError):
            while self._push():
                await self.link.wait_writable()
