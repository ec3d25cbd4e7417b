"""The connections of one member in a simulated chat: it connects, reads or pauses, disconnects, reconnects.

One task per actor reads; a step of the plan is carried out at once, by the task that performs the plan.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

import trio

from trio_chat.contract import BreachKind, Judge
from trio_chat.errors import CannotConnect, LinkBroken
from trio_chat.testing.chat.line import ActorConnection
from trio_chat.testing.chat.member import SimulatedMember
from trio_chat.testing.chat.plan import SERVER, Way
from trio_chat.testing.network import MemoryNetwork
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire.messages import Hello

__all__ = ["Actor", "ActorContext"]

AWAY_S = 1.0
RETRY_S = 1.0
NOTICED_MAX_S = 130.0  # by then a server has noticed that a connection is half-open: it waits for 60 s


class ActorContext(Protocol):
    """The parts of the simulation that an actor uses."""

    @property
    def network(self) -> MemoryNetwork: ...

    @property
    def judge(self) -> Judge: ...

    def is_known(self, name: str) -> bool:
        """Return whether the server still counts a member of that name as present."""
        ...


class Actor:
    """`steady` while it has never paused, left or been disconnected; `is_over` when it will not reconnect."""

    def __init__(self, scene: ActorContext, name: str, *, exposed: bool) -> None:
        """Set `exposed` if the actions of others may disconnect it."""
        self.name = name
        self.member = SimulatedMember(scene.judge, name, exposed=exposed)
        self.is_over = False
        self.steady = not exposed
        self._scene = scene
        self._line: ActorConnection | None = None
        self._wakes_at = 0.0
        self._way: Way | None = None
        self._away_s = AWAY_S
        self._hasty = False

    def is_settled_since(self, begun: float) -> bool:
        """Return whether it is connected, waits for no answer, and has received something since `begun`."""
        line = self._line
        if line is None or line.heard_at < begun or line.unanswered:
            return False
        return self.member.is_here and self.member.is_idle

    @property
    def waits_s(self) -> float:
        """Return for how long it has been waiting for an answer on the current connection."""
        if self._line is None or not self._line.unanswered:
            return 0.0
        (since, *_), *_ = self._line.unanswered.values()
        return trio.current_time() - since

    # --- steps of the plan -----------------------------------------------------------------------------

    def doze(self, lasts_s: float) -> None:
        """Read nothing for a while."""
        self.steady = False
        self.member.has_slept = True
        self._wakes_at = max(self._wakes_at, trio.current_time() + lasts_s)

    def wake(self) -> None:
        self._wakes_at = 0.0

    def go(self, way: Way, away_s: float = 0.0, *, hasty: bool = False) -> None:
        """End the connection, if there is one; see `plan.Go`."""
        line = self._line
        if line is None or self._way is not None or not self.member.is_here:
            return
        self.steady = False
        self._way, self._away_s, self._hasty = way, away_s, hasty
        self.member.goes(way)
        match way:
            case "quit":
                self.member.quit()
            case "fin":
                with suppress(LinkBroken):
                    line.link.end()
            case "rst":
                line.link.reset()
            case "vanish":
                line.drop()

    def ping(self) -> None:
        if self._line is not None:
            self._line.ping()

    # --- connections -----------------------------------------------------------------------------------

    async def live(self) -> None:
        """Connect, read, disconnect and reconnect, until it is over; then close half-open connections."""
        dropped: list[PipeLink] = []
        try:
            while not self.is_over:
                link = await self._dial()
                if link is None:
                    continue
                dropped.append(link)
                await self._converse(link)
                if self._way != "vanish":
                    link.close()
                    dropped.remove(link)
                if self.member.went():
                    self.steady = False
                if not self.is_over:
                    await self._stay_away()
        finally:
            for link in dropped:
                link.close()

    async def _dial(self) -> PipeLink | None:
        try:
            link = await self._scene.network.dial(self.name, SERVER)
        except CannotConnect:
            await trio.sleep(RETRY_S)
            return None
        assert isinstance(link, PipeLink)
        if self.is_over:  # meanwhile
            link.close()
            return None
        return link

    async def _converse(self, link: PipeLink) -> None:
        line = self._line = ActorConnection(link, lambda: self._wakes_at)
        self.member.bye = ""
        self.member.send = line.send
        hello = Hello(version=1, name=self.name, token=f"{self.name}-and-a-token-of-its-own")
        try:
            await line.run(hello, self.member.see)
        finally:
            self._line = None
        for ref in line.unasked:
            self.member.breach(BreachKind.ACK, "", f"{self.name} was answered {ref} once more than it asked")

    async def _stay_away(self) -> None:
        await trio.sleep(self._away_s)
        known = self._scene.is_known(self.name)
        if self._hasty:
            # The session that was cut off may still be open: then the member leaves when that session ends.
            self.member.exposed = self.member.exposed or known
        elif known:
            await self._be_forgotten()
        self.member.comes_back(unnoticed=self._hasty)
        self._way, self._away_s, self._hasty = None, AWAY_S, False

    async def _be_forgotten(self) -> None:
        with trio.move_on_after(NOTICED_MAX_S) as patience:
            while self._scene.is_known(self.name):  # noqa: ASYNC110  # the server sends no event
                await trio.sleep(AWAY_S)
        if patience.cancelled_caught:
            words = f"{self.name} is not forgotten though it went long ago"
            self.member.breach(BreachKind.ENDED, "", words)
        await trio.sleep(AWAY_S)  # until the others have received it, too
