"""Connections that send part of a handshake and then disconnect."""

from contextlib import suppress

import trio

from trio_chat.contract import BreachKind, Judge
from trio_chat.dialects.frames import FrameEvents
from trio_chat.errors import CannotConnect, LinkBroken
from trio_chat.testing.chat.plan import SERVER, Knock
from trio_chat.testing.network import MemoryNetwork
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire.messages import Error, Event, Hello, Join, Welcome

__all__ = ["AbortedHandshakes"]

PORCH = "porch"  # no member is in this room, so no member counts the strangers


class AbortedHandshakes:
    """Strangers that share a few names, each with its own token: the server must free a name as soon as its
    holder disconnects, and not give it to another connection before."""

    def __init__(self, network: MemoryNetwork, judge: Judge) -> None:
        self.names: set[str] = set()
        self._network = network
        self._judge = judge
        self._holders: dict[str, int] = {}  # by name: how many were welcomed and have not begun to go
        self._count = 0

    async def knock(self, step: Knock) -> None:
        """Connect, send part of the handshake, and disconnect."""
        self.names.add(step.user)
        self._count += 1
        token = f"stranger-{self._count}".ljust(22, "-")
        frames = FrameEvents.pack(Hello(version=1, name=step.user, token=token)) + FrameEvents.pack(
            Join(PORCH)
        )
        try:
            link = await self._network.dial(step.user, SERVER)
        except CannotConnect:
            return
        assert isinstance(link, PipeLink)
        holds = False
        try:
            with suppress(LinkBroken), trio.move_on_after(step.after_s):
                link.send_nowait(frames[: int(len(frames) * step.sends)])
                events = FrameEvents()
                while data := await link.receive_some():
                    holds = self._hear(step.user, events.feed(data)) or holds
        finally:
            self._holders[step.user] = self._holders.get(step.user, 0) - holds
            link.close()

    def _hear(self, name: str, events: list[Event]) -> bool:
        for event in events:
            if isinstance(event, Welcome):
                self._holders[name] = self._holders.get(name, 0) + 1
                if self._holders[name] > 1:
                    words = f"two are called {name} at a time"
                    self._judge.findings.add(BreachKind.PRESENCE, PORCH, name, words)
                return True
            if isinstance(event, Error) and event.code not in ("name_taken", "bad_message", "unavailable"):
                words = f"a stranger was refused: {event.code}, {event.detail}"
                self._judge.findings.add(BreachKind.ENDED, PORCH, name, words)
        return False
