"""A member of a simulated chat, at the client's end of the wire: does what the plan says, and shows the judge
all that comes.

It speaks the protocol itself, without the client: what a server owes is owed to whoever speaks it, also to
those who sleep over their input, say everything twice and come back before they were missed. One task an
actor reads; what it does is done at once, in the step in which it is told to.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import trio

from trio_chat.contract import Judge, Kind, Stay
from trio_chat.dialects.frames import FrameEvents
from trio_chat.errors import CannotConnect, LinkBroken
from trio_chat.testing.chat.plan import SERVER
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire import messages as m

if TYPE_CHECKING:
    from trio_chat.testing.network import MemoryNetwork

__all__ = ["Actor", "Scene"]

AWAY_S = 1.0
RETRY_S = 1.0
NOTICED_MAX_S = (
    130.0  # by then the server has noticed that a connection is half-open: 60 s, and as much to say so
)
SILENCE_S = 45.0  # after which a client gives up on its server; it pings more often
LAST = 20
# How others may hear of a going that was not announced.
LOST = ("lost", "timeout", "slow", "replaced")
QUIET_BYES = {"ping_timeout", "slow_reader", "frame_timeout", "hello_timeout", "draining", "replaced"}


class Scene(Protocol):
    """What an actor knows of the rest."""

    network: MemoryNetwork
    judge: Judge

    def is_known(self, name: str) -> bool:
        """Whether the server still takes somebody of that name for present."""
        ...


class Actor:
    """`is_here` while it has a connection and has been welcomed."""

    def __init__(self, scene: Scene, name: str, *, exposed: bool) -> None:
        """`exposed` when it may be cut off by others' doing."""
        self.name = name
        self.exposed = exposed
        self.is_here = False
        self.is_over = False  # will not come back
        self.bye = ""  # the code of the last one
        self.deliveries = 0
        self.stays: dict[str, Stay] = {}
        self.untouched = True  # has never slept, gone or been cut off
        self._scene = scene
        self._token = f"{name}-and-a-token-of-its-own"
        self._wanted: dict[str, int] = {}  # rooms to be in, and how many recent entries at first
        self._cursors: dict[str, tuple[str, int]] = {}  # by room: epoch, last seen
        self._joining: dict[str, str] = {}  # by ref
        self._leaving: dict[str, tuple[str, int]] = {}  # by ref: the room, and what must come before the ack
        self._left: dict[str, tuple[float, Stay]] = {}  # when, and what it was
        self._unacked: dict[str, m.Say] = {}
        self._said: deque[m.Say] = deque(maxlen=LAST)
        self._count = 0
        self._link: PipeLink | None = None
        self._outbox = bytearray()
        self._wakes = 0.0
        self._way = ""
        self._away_s = AWAY_S
        self._hasty = False
        self._visit = trio.CancelScope()
        self.heard_at = 0.0

    # --- what it is told to do -------------------------------------------------------------------------

    def talk(self, room: str, times: int, size: int) -> None:
        if not self._speaks_in(room):
            return
        says = []
        for _ in range(times):
            self._count += 1
            text = f"{self.name} says {self._count} ".ljust(size, ".")
            say = m.Say(room, text, ref=f"{self.name}.{self._count}")
            self._scene.judge.says(room, self.name, text)
            self._unacked[say.ref] = say
            self._said.append(say)
            says.append(say)
        self._send(*says)

    def repeat(self, times: int) -> None:
        """Say the last things again, those of the rooms it is in."""
        self._say_again(list(self._said)[-times:])

    def say_unacked_again(self) -> None:
        """Say again what was refused, or what nobody has answered; come back for it if need be."""
        for say in self._unacked.values():
            self.enter(say.room)
        self._say_again(list(self._unacked.values()))

    def enter(self, room: str, recent: int = 0) -> None:
        if room in self._wanted:
            return
        self._wanted[room] = recent
        if self.is_here and room not in self.stays:  # otherwise it is just leaving
            self._join(room)

    def leave(self, room: str) -> None:
        stay = self.stays.get(room)
        if stay is None or not self.is_here or stay.way:
            return
        del self._wanted[room]
        ref = self._ref("l")
        self._leaving[ref] = (room, stay.truth.head)
        self._announce(stay, "leave", "left")
        self._send(m.Leave(room, ref))

    def doze(self, lasts_s: float) -> None:
        self.untouched = False
        self._wakes = max(self._wakes, trio.current_time() + lasts_s)

    def go(self, way: str, away_s: float, *, hasty: bool) -> None:
        """End the connection; see `plan.Go`."""
        if not self.is_here or self._way or self._link is None:
            return
        self.untouched = False
        self._way, self._away_s, self._hasty = way, away_s, hasty
        for stay in self.stays.values():
            if not stay.way:
                self._announce(stay, way, *(("quit",) if way == "quit" else LOST))
            elif way != "quit":
                stay.cut_off(*LOST)
        match way:
            case "quit":
                self._send(m.Quit(self._ref("q")))
            case "fin":
                with suppress(LinkBroken):
                    self._link.end()
            case "rst":
                self._link.reset()
            case _:
                self._visit.cancel()

    def _announce(self, stay: Stay, way: str, *whys: str) -> None:
        """Where it may have been cut off already without knowing, others may have heard that."""
        stay.going(way, *(whys + LOST if self.exposed else whys), early=self.exposed)

    def excuse_unacked(self) -> None:
        """What nobody has answered need not be answered any more: the server has gone."""
        for say in self._unacked.values():
            self._scene.judge.excused(say.text)

    def ping(self) -> None:
        """Show that one lives, and hang up on a server that does not."""
        if self._link is None:
            return
        if trio.current_time() - self.heard_at > SILENCE_S:
            self._link.close()
        elif self.is_here:
            self._send(m.Ping())

    def wake(self) -> None:
        self._wakes = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether it waits for no answer."""
        return not (self._unacked or self._joining or self._leaving)

    # --- its life --------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Come, read, go, and come back, until it is over. Leaves no connection open, but those left half-open,
        which are closed at the end."""
        dropped: list[PipeLink] = []
        try:
            while True:
                try:
                    link = await self._scene.network.dial(self.name, SERVER)
                except CannotConnect:
                    await trio.sleep(RETRY_S)
                    continue
                finally:
                    if self.is_over:
                        return
                assert isinstance(link, PipeLink)
                dropped.append(link)
                await self._converse(link)
                if self._way != "vanish":
                    link.close()
                    dropped.remove(link)
                self._went()
                if self.is_over:
                    return
                await self._stay_away()
        finally:
            for link in dropped:
                link.close()

    async def _converse(self, link: PipeLink) -> None:
        self._link = link
        self._outbox.clear()
        self.bye = ""
        self.heard_at = trio.current_time()
        with trio.CancelScope() as self._visit:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._send(m.Hello(version=1, name=self.name, token=self._token))
                with suppress(LinkBroken, trio.ClosedResourceError):
                    await self._read(link)
                nursery.cancel_scope.cancel()

    async def _read(self, link: PipeLink) -> None:
        events = FrameEvents()
        while True:
            while (wakes := self._wakes) > trio.current_time():
                await trio.sleep(min(wakes - trio.current_time(), 1.0))
            data = await link.receive_some()
            if not data:
                return
            self.heard_at = trio.current_time()
            self._see(events.feed(data))

    def _went(self) -> None:
        """The connection is no more: what nobody announced is a going too."""
        self.is_here = False
        self._link = None
        for room, stay in self.stays.items():
            if not stay.way:
                self.untouched = False
                stay.going("lost", *LOST, early=True)
            elif self.bye != "quit":
                stay.cut_off(*LOST)
            self._cursors[room] = (self._cursors[room][0], stay.cursor)
            stay.gone()
        for room in self._joining.values():
            self._scene.judge.gave_up(room, self.name, *LOST, "quit")
        self._leaving.clear()
        self._joining.clear()

    async def _stay_away(self) -> None:
        await trio.sleep(self._away_s)
        if not self._hasty:
            with trio.move_on_after(NOTICED_MAX_S) as patience:
                while self._scene.is_known(self.name):
                    await trio.sleep(AWAY_S)
                await trio.sleep(AWAY_S)
            if patience.cancelled_caught:
                self._breach(Kind.ENDED, "", f"{self.name} is not forgotten though it went long ago")
        else:
            for stay in self.stays.values():
                stay.unnoticed()
            # The session that was cut off may still be there: then it is with that one that it goes, one day.
            self.exposed = self.exposed or self._scene.is_known(self.name)
        self.stays.clear()
        self._way, self._away_s, self._hasty = "", AWAY_S, False

    # --- out -------------------------------------------------------------------------------------------

    def _ref(self, kind: str) -> str:
        self._count += 1
        return f"{self.name}.{kind}{self._count}"

    def _send(self, *commands: m.Command) -> None:
        link = self._link
        if link is None:
            return
        waiting = bool(self._outbox)
        for command in commands:
            self._outbox += FrameEvents.pack(command)
        if not waiting and self._push(link):
            self._nursery.start_soon(self._pour, link)

    def _push(self, link: PipeLink) -> bool:
        """Send what is taken; whether some is left."""
        with suppress(LinkBroken):
            del self._outbox[: link.send_nowait(bytes(self._outbox))]
            return bool(self._outbox)
        self._outbox.clear()  # the reader finds out
        return False

    async def _pour(self, link: PipeLink) -> None:
        with suppress(LinkBroken, trio.ClosedResourceError):
            while self._push(link):
                await link.wait_writable()

    def _join(self, room: str) -> None:
        epoch, after = self._cursors.get(room, ("", 0))
        left_at, stay = self._left.pop(room, (float("-inf"), None))
        if stay is not None and trio.current_time() - left_at < AWAY_S:
            stay.unnoticed()
        ref = self._ref("j")
        self._joining[ref] = room
        self._scene.judge.asks(room, self.name)
        if epoch:
            self._send(m.Join(room, after=after, epoch=epoch, ref=ref))
        else:
            self._send(m.Join(room, recent=self._wanted.get(room) or m.UNSET, ref=ref))

    def _say_again(self, says: list[m.Say]) -> None:
        says = [say for say in says if self._speaks_in(say.room)]
        for say in says:
            self._scene.judge.says_again(say.text)
        if says:
            self._send(*says)

    def _speaks_in(self, room: str) -> bool:
        return self.is_here and room in self.stays and not self.stays[room].way

    # --- in --------------------------------------------------------------------------------------------

    def _see(self, events: list[m.Event]) -> None:
        """What nearly always comes is the next entries of one room; the rest goes one by one."""
        first = events[0] if events else None
        if type(first) is m.Said:
            stay = self.stays.get(first.room)
            if stay is not None and stay.agrees(events):
                return
        for event in events:
            self._see_one(event)

    def _see_one(self, event: m.Event) -> None:
        match event:
            case m.Said():
                self._see_entry(event)
            case m.Ack():
                self._see_ack(event)
            case m.Presence():
                if stay := self._stay_of(event.room, "presence"):
                    left = [(each.name, each.why) for each in event.left]
                    stay.noticed(event.members, event.joined, left, cut=event.more)
            case m.Members():
                if stay := self._stay_of(event.room, "members"):
                    stay.was_told_members(event.count)
            case m.Gap():
                if stay := self._stay_of(event.room, "a gap"):
                    stay.skipped(event.after, event.next)
            case m.Room():
                self._entered(event)
            case m.Welcome():
                self.is_here = True
                for room in self._wanted:
                    self._join(room)
            case m.Error():
                self._refused(event)
            case m.Bye():
                self.bye = event.code
                if event.code not in QUIET_BYES and event.code != "quit":
                    self._breach(Kind.ENDED, "", f"{self.name} was sent away: {event.code}, {event.detail}")
            case _:
                pass

    def _see_entry(self, entry: m.Said) -> None:
        stay = self.stays.get(entry.room)
        if stay is not None:
            stay.saw(entry)
        else:
            words = f"{self.name} was shown {entry.room} {entry.seq} after leaving, or without being there"
            self._breach(Kind.LATE, entry.room, words)

    def _see_ack(self, ack: m.Ack) -> None:
        if ack.ref in self._leaving:
            room, due = self._leaving.pop(ack.ref)
            stay = self.stays.pop(room)
            stay.owes(due)
            stay.gone()
            self._left[room] = trio.current_time(), stay
            self._cursors[room] = (self._cursors[room][0], stay.cursor)
            if room in self._wanted:
                self._join(room)
            return
        say = self._unacked.pop(ack.ref, None)
        if say is None:
            say = next((each for each in self._said if each.ref == ack.ref), None)
        if say is not None and isinstance(ack.seq, int):
            self._scene.judge.acked(say.text, ack.seq)

    def _entered(self, answer: m.Room) -> None:
        room = self._joining.pop(answer.ref)
        epoch, after = self._cursors.get(room, ("", 0))
        recent = 0 if epoch else min(self._wanted.get(room, 0), answer.head - answer.first + 1)
        self.stays[room] = self._scene.judge.entered(
            room,
            self.name,
            epoch=answer.epoch,
            head=answer.head,
            members=answer.members,
            after=after if epoch else None,
            resumed=answer.resumed,
            recent=recent,
        )
        self._cursors[room] = (answer.epoch, answer.head)
        if self._way:  # it has gone already, perhaps before anybody was told that it had come
            self._announce(self.stays[room], self._way, *(("quit",) if self._way == "quit" else LOST))
            self.stays[room].unnoticed()
        self._say_again([say for say in self._unacked.values() if say.room == room])

    def _refused(self, error: m.Error) -> None:
        """What is `unavailable` is tried again later; nothing else may be refused."""
        room = self._joining.pop(error.ref, None)
        if error.code != "unavailable":
            self._breach(Kind.ACK, room or "", f"{self.name} was refused: {error.code}, {error.detail}")
        elif room is not None:
            self._nursery.start_soon(self._join_later, room)

    async def _join_later(self, room: str) -> None:
        await trio.sleep(RETRY_S)
        if room in self._wanted and room not in self.stays:
            self._join(room)

    def _stay_of(self, room: str, what: str) -> Stay | None:
        stay = self.stays.get(room)
        if stay is None:
            self._breach(Kind.PHANTOM, room, f"{self.name} was told {what} of {room} without being there")
        return stay

    def _breach(self, kind: Kind, room: str, words: str) -> None:
        self._scene.judge.findings.add(kind, room, self.name, words)
