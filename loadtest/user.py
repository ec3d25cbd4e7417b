"""One user: a `Chat` on a connection of its own, whose every event is shown to the judge.

Its life is one task: come, hear, go when ordered to, stay away for a second, come back with token and
cursor. What it says runs in tasks of its visit, since an open model does not wait for answers; what a
broken connection left unanswered is said again on the next visit with the same ref, and must be there
once.
"""

from contextlib import suppress
from dataclasses import dataclass

import trio

from loadtest.recorder import Recorder
from loadtest.scenario import WAYS
from loadtest.stats import Stats, ticks
from loadtest.transport import DialLine, Transport
from trio_chat.client import Chat, Link, connect
from trio_chat.contract import BreachKind, Judge, Visit
from trio_chat.errors import ChatError, ClientError, ConnectionLost, Refused

__all__ = ["AWAY_S", "User", "World"]

AWAY_S = 1.0
GOODBYE_S = 10.0
ENTER_S = 15.0
LINGER_S = 0.25  # after leaving at the end: to see whether anything still comes
# So large that the judge sees what the server sends, and not what the client asks for again.
INBOX_EVENTS = 65_536


@dataclass
class World:
    """What all users share."""

    host: str
    port: int
    dial: DialLine
    judge: Judge
    stats: Stats
    tag: str
    """Begins the refs of this run, so that they are no other's."""


class User:
    """`is_here` says whether it may be asked to say something; `is_over` that it will not come back."""

    def __init__(self, world: World, name: str, room: str) -> None:
        self.name = name
        self.room = room
        self.is_here = False
        self.is_over = False
        self.failed: ChatError | None = None
        self.came = trio.Event()
        self._world = world
        self._token = ""
        self._epoch = ""
        self._cursor: int | None = None
        self._unanswered: dict[str, str] = {}  # by ref
        self._is_kept = False
        self._order = ""
        self._ear = Recorder(world.judge, world.stats, name, room)
        self._hearing = trio.CancelScope()
        self._line: Transport
        self._chat: Chat
        self._stay: Visit
        self._visit: trio.Nursery

    @property
    def is_kept(self) -> bool:
        """Whether the server's journal has something that this user said, as far as is known."""
        return self._is_kept or bool(self._unanswered)

    # --- asked by the runner --------------------------------------------------------------------------

    def go(self, way: str) -> None:
        """Go, by one of the ways, and come back; or for good, by the way `end`."""
        self.is_here = False
        self._order = way
        self._hearing.cancel()

    def say(self, number: int, text: str, due: int) -> None:
        """Begin to say something that is due now, or was at that tick."""
        world = self._world
        world.judge.says(self.room, self.name, text, due)
        world.stats.sent += 1
        ref = f"{world.tag}.{number}"
        self._unanswered[ref] = text
        self._visit.start_soon(self._say, ref, text, due)

    def look(self) -> None:
        """Look for what the client has left out since something last came."""
        if self.came.is_set() and not self.is_over:
            self._ear.look()

    # --- its life -------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Come and go until told to go for good; `came` is set when it is in its room, or has failed to be.

        A connection that ends though nobody has asked it to ends the user, and is a breach. What goes
        wrong before it is in its room for the first time is in `failed`.
        """
        while not self.is_over:
            if self.came.is_set():
                await trio.sleep(AWAY_S)
            try:
                async with connect(
                    self._world.host,
                    self._world.port,
                    name=self.name,
                    token=self._token,
                    dial=self._dial,
                    come_back=False,
                    inbox_events=INBOX_EVENTS,
                    pace=False,  # the schedule waits for no server, and what that refuses is counted
                ) as chat:
                    self._token = chat.token
                    self._chat = self._ear.chat = chat
                    await self._enter()
                    self.came.set()
                    async with trio.open_nursery() as self._visit:
                        try:
                            await self._stay_until_gone()
                        except (ClientError, Refused) as error:
                            self._fail(error)
                        self._visit.cancel_scope.cancel()
            except (ClientError, Refused) as error:
                self._fail(error)
                self.came.set()

    async def _dial(self, host: str, port: int) -> Link:
        self._line = await self._world.dial(host, port)
        return self._line

    async def _enter(self) -> None:
        judge = self._world.judge
        judge.asks(self.room, self.name)
        after = self._cursor
        with trio.move_on_after(ENTER_S) as patience:
            answer = await self._chat.join(self.room, after=after, epoch="" if after is None else self._epoch)
        if patience.cancelled_caught:
            raise ConnectionLost(f"its join was not answered within {ENTER_S:g} s")
        self._epoch = answer.epoch
        self._stay = judge.entered(
            self.room,
            self.name,
            epoch=answer.epoch,
            head=answer.head,
            members=answer.members,
            after=after,
            resumed=answer.resumed,
        )
        self._ear.enter(self._stay)

    async def _stay_until_gone(self) -> None:
        """Hear everything; go when ordered to. Comes back only when the connection is to be ended."""
        for ref, text in self._unanswered.items():
            # How late it is now is this user's own fault, and counts for nothing.
            self._world.judge.says_again(text)
            self._world.stats.again += 1
            self._visit.start_soon(self._say, ref, text, 0)
        while True:
            self.is_here = True
            with trio.CancelScope() as self._hearing:
                if self._order:
                    self._hearing.cancel()
                await self._hear()
            way, self._order = self._order, ""
            self._stay.going(*(("leave", "left") if way == "end" else (way, WAYS[way])))
            with trio.move_on_after(GOODBYE_S) as patience:
                await self._part(way)
            self._ear.look()
            self._cursor = self._stay.cursor
            self._stay.gone()
            if patience.cancelled_caught:
                words = f"{self.name} heard nothing more for {GOODBYE_S:g} s after going by {way}"
                self._world.judge.findings.add(BreachKind.ENDED, self.room, self.name, words)
            elif way == "leave":
                await self._enter()
                continue
            return

    async def _part(self, way: str) -> None:
        chat = self._chat
        match way:
            case "quit":
                await chat.quit()
                await self._hear_out()
            case "fin":
                self._line.end()
                await self._hear_out()
            case "rst":
                self._line.reset()
            case "leave":
                await trio.lowlevel.checkpoint()  # what it has just begun to say goes before
                await chat.leave(self.room)
                with trio.move_on_after(AWAY_S):
                    await self._hear()
            case "end":
                self.is_over = True
                await chat.leave(self.room)
                with trio.move_on_after(LINGER_S):
                    await self._hear()
                await chat.quit()

    def _fail(self, error: ChatError) -> None:
        self.is_here = False
        self.is_over = True
        self.failed = error
        if not self.came.is_set():
            return
        world, visit = self._world, self._stay
        if not visit.is_over:
            words = f"{self.name} was thrown out of {self.room} at {visit.cursor}: {error}"
            # Who was refused what it cannot do without ends its connection in good order.
            visit.going("connection lost", "quit" if isinstance(error, Refused) else "lost")
            visit.gone()
        else:
            words = f"{self.name} could not come back to {self.room} after {visit.cursor}: {error}"
        if isinstance(error, Refused) and error.code == "rate_limited":
            world.stats.count_refusal(error.code)  # which makes the run invalid, and is no breach
        else:
            world.judge.findings.add(BreachKind.ENDED, self.room, self.name, words)
        for text in self._unanswered.values():
            world.judge.excused(text)

    # --- speaking -------------------------------------------------------------------------------------

    async def _say(self, ref: str, text: str, due: int) -> None:
        world = self._world
        try:
            seq = await self._chat.say(self.room, text, ref=ref)
        except Refused as refusal:
            world.stats.count_refusal(refusal.code)
            if refusal.code == "unavailable":  # the journal may turn out to have it all the same
                self._is_kept = True
                world.judge.excused(text)
            else:
                world.judge.refused(text)
        except ClientError:
            return  # said again when the user is back
        else:
            self._is_kept = True
            world.judge.acked(text, seq)
            if due:
                world.stats.ack.add((ticks(trio.current_time()) - due,))
        self._unanswered.pop(ref, None)

    # --- hearing --------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        async for batch in self._chat.batches():
            self._ear.take(batch)

    async def _hear_out(self) -> None:
        with suppress(ClientError):
            await self._hear()
