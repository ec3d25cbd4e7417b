"""One user: a `Chat` on a connection of its own, whose every event is shown to the judge.

Its life is one task: come, hear, go when ordered to, stay away for a second, come back with token and
cursor. What it says runs in tasks of its visit, since an open model does not wait for answers; what a
broken connection left unanswered is said again on the next visit with the same ref, and must be there
once.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import trio

from loadtest.line import DialLine, Line
from loadtest.scenario import WAYS
from loadtest.stats import Stats, ticks
from trio_chat.client import Chat, Incoming, Link, connect
from trio_chat.contract import Judge, Kind, Stay
from trio_chat.errors import ChatError, ClientError, Refused
from trio_chat.wire.messages import Error, Gap, Members, Presence, Retitled, Said

__all__ = ["AWAY_S", "User", "World"]

AWAY_S = 1.0
GOODBYE_S = 10.0
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
    problems: list[str] = field(default_factory=list)
    """What went wrong with a connection before the talk began."""


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
        self._order = ""
        self._hearing = trio.CancelScope()
        self._line: Line
        self._chat: Chat
        self._stay: Stay
        self._visit: trio.Nursery

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
            self._look()

    def _look(self) -> None:
        if strays := self._chat.strays():
            self._take_strays([], strays)

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
                    inbox_events=INBOX_EVENTS,
                ) as chat:
                    self._token = chat.token
                    self._chat = chat
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
        answer = await self._chat.join(self.room, after=after, epoch="" if after is None else self._epoch)
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
            self._look()
            self._cursor = self._stay.cursor
            self._stay.gone()
            if patience.cancelled_caught:
                words = f"{self.name} heard nothing more for {GOODBYE_S:g} s after going by {way}"
                self._world.judge.findings.add(Kind.ENDED, self.room, self.name, words)
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
        was_in = self._token != "" and hasattr(self, "_stay")
        self.is_here = False
        self.is_over = True
        self.failed = error
        if was_in:
            words = f"{self.name} was thrown out of {self.room} at {self._stay.cursor}: {error}"
            self._world.judge.findings.add(Kind.ENDED, self.room, self.name, words)
            self._stay.going("connection lost", "lost")
            self._stay.gone()
            for text in self._unanswered.values():
                self._world.judge.excused(text)

    # --- speaking -------------------------------------------------------------------------------------

    async def _say(self, ref: str, text: str, due: int) -> None:
        world = self._world
        try:
            seq = await self._chat.say(self.room, text, ref=ref)
        except Refused as refusal:
            world.stats.refused[refusal.code] += 1
            world.judge.excused(text)
        except ClientError:
            return  # said again when the user is back
        else:
            world.judge.acked(text, seq)
            if due:
                world.stats.ack.add((ticks(trio.current_time()) - due,))
        self._unanswered.pop(ref, None)

    # --- hearing --------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        async for batch in self._chat.batches():
            self._take(batch)

    async def _hear_out(self) -> None:
        with suppress(ClientError):
            await self._hear()

    def _take(self, batch: list[Incoming]) -> None:
        """Show the judge what came, and count how late it is. Runs for every batch: the hot path."""
        stay = self._stay
        truth = stay.truth
        before = max(stay.cursor, stay.head)  # what was said while away is not late
        strays = self._chat.strays()
        if strays:
            self._take_strays(batch, strays)
        elif not stay.agrees(batch):
            self._sort_out(batch)
        if stay.cursor > before:
            now = ticks(trio.current_time())
            dues = truth.tags[before - truth.base : stay.cursor - truth.base]
            self._world.stats.delivery.add([now - due for due in dues if due])

    def _sort_out(self, batch: Sequence[Incoming]) -> None:
        """Entries go to the judge run by run, between other events."""
        begun = 0
        for index, event in enumerate(batch):
            if type(event) is not Said:
                self._take_run(batch[begun:index])
                self._take_other(event)
                begun = index + 1
        self._take_run(batch[begun:])

    def _take_run(self, run: Sequence[Incoming]) -> None:
        if not self._stay.agrees(run):
            for entry in run:
                assert isinstance(entry, Said)
                self._stay.saw(entry)

    def _take_other(self, event: Incoming) -> None:
        stay = self._stay
        match event:
            case Presence() if event.room == self.room:
                left = [(departure.name, departure.why) for departure in event.left]
                stay.noticed(event.members, event.joined, left, cut=event.more)
            case Members() if event.room == self.room:
                stay.was_told_members(event.count)
            case Gap() if event.room == self.room:
                stay.skipped(event.after, event.next)
            case Retitled():
                stay.saw(event)
            case Presence() | Members() | Gap():
                words = f"{self.name} was told of {event.room} without being there"
                self._world.judge.findings.add(Kind.PHANTOM, event.room, self.name, words)
            case Error():
                self._world.stats.refused[event.code] += 1
            case _:
                pass

    def _take_strays(self, batch: list[Incoming], strays: list[Said | Retitled]) -> None:
        """What the client would not expect: entries after leaving, or ones that come again."""
        stay = self._stay
        outside = [stray for stray in strays if any(event is stray for event in batch)]
        late: list[Incoming] = []
        if outside:
            at = next(index for index, event in enumerate(batch) if event is outside[0])
            batch, late = batch[:at], batch[at:]
        self._sort_out(batch)
        for stray in strays:
            if not any(stray is each for each in outside):
                stay.saw(stray)
        for event in late:
            if isinstance(event, Said | Retitled):
                stay.saw_late(event)
