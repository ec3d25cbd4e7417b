"""The state of a member in a simulated chat: its messages, rooms, received entries and open requests.

A member reports all of it to the judge. It speaks the protocol itself, without the client, since the server's
promises hold for any client, also for one that sends everything twice and reconnects before the server has
noticed that it left. Nothing here waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from trio_chat.contract import BreachKind, Judge, Visit
from trio_chat.testing.chat.plan import Question
from trio_chat.testing.chat.questions import check_history, question
from trio_chat.wire import messages as m

__all__ = ["LOST", "SimulatedMember"]

TOLD_S = 1.0  # by then the others have received a leave that the server has noticed
LAST = 20
# The reasons that the others may receive for an unannounced leave.
LOST = ("lost", "timeout", "slow", "replaced")
QUIET_BYES = frozenset(("quit", "ping_timeout", "slow_reader", "frame_timeout", "hello_timeout", "draining"))


class SimulatedMember:
    """A member; `send` sends commands on the current connection, and is replaced with it."""

    def __init__(self, judge: Judge, name: str, *, exposed: bool) -> None:
        """Set `exposed` if the actions of others may disconnect it, which it may notice late."""
        self.name = name
        self.exposed = exposed
        self.is_here = False
        """Whether the server has accepted its hello on the current connection."""
        self.bye = ""
        """The code of the last goodbye that it received."""
        self.stays: dict[str, Visit] = {}
        self.has_slept = False
        """Whether it may ever have lagged behind."""
        self.send: Callable[..., None] = _nothing
        self._judge = judge
        self._quiet = QUIET_BYES
        self._way = ""
        self._wanted: dict[str, int] = {}  # rooms to be in, and how many recent entries at first
        self._cursors: dict[str, tuple[str, int]] = {}  # by room: epoch, last seen
        self._joining: dict[str, str] = {}  # by ref
        self._turned_away: dict[str, None] = {}  # rooms to be asked for once more
        # by ref: the room, and the entry that must precede the ack
        self._leaving: dict[str, tuple[str, int]] = {}
        self._left: dict[str, tuple[float, Visit]] = {}  # when, and what it was
        self._entered_at: dict[str, float] = {}
        self._unacked: dict[str, m.Say] = {}
        self._said: deque[m.Say] = deque(maxlen=LAST)
        self._count = 0

    @property
    def is_idle(self) -> bool:
        """Return whether it waits for no answer."""
        return not (self._unacked or self._joining or self._turned_away or self._leaving)

    # --- what it says ---------------------------------------------------------------------------------

    def talk(self, room: str, times: int, size: int) -> None:
        """Send new messages in one piece, if it is in the room."""
        if not self._speaks_in(room):
            return
        says = []
        for _ in range(times):
            self._count += 1
            text = f"{self.name} says {self._count} ".ljust(size, ".")
            say = m.Say(room, text, ref=f"{self.name}.{self._count}")
            self._judge.says(room, self.name, text)
            self._unacked[say.ref] = say
            self._said.append(say)
            says.append(say)
        self.send(*says)

    def repeat(self, times: int) -> None:
        """Send again its last messages of the rooms that it is in."""
        self._say_again(list(self._said)[-times:])

    def say_unacked_again(self) -> None:
        """Send refused and unanswered messages again; rejoin the room if necessary."""
        for say in self._unacked.values():
            self.enter(say.room)
        self._say_again(list(self._unacked.values()))

    def ask(self, what: Question, room: str, times: int) -> None:
        """Send one query `times` times, if it is in the room."""
        if self._speaks_in(room):
            self.send(*(question(what, room, self._ref("a")) for _ in range(times)))

    def excuse_unacked(self) -> None:
        """Stop expecting answers to open requests: the server has stopped."""
        for say in self._unacked.values():
            self._judge.excused(say.text)

    def enter(self, room: str, recent: int = 0) -> None:
        if room in self._wanted:
            return
        self._wanted[room] = recent
        if self.is_here and room not in self.stays:  # otherwise it is just leaving
            self._join(room)

    def leave(self, room: str) -> None:
        visit = self.stays.get(room)
        if visit is None or not self.is_here or visit.way:
            return
        del self._wanted[room]
        ref = self._ref("l")
        self._leaving[ref] = (room, visit.truth.head)
        self._announce(visit, "leave", "left")
        self.send(m.Leave(room, ref))

    def ask_again(self) -> None:
        """Retry the joins that were temporarily refused."""
        turned_away, self._turned_away = self._turned_away, {}
        for room in turned_away:
            if self.is_here and room in self._wanted and room not in self.stays:
                self._join(room)

    def quit(self) -> None:
        self.send(m.Quit(self._ref("q")))

    # --- connections ----------------------------------------------------------------------------------

    def goes(self, way: str) -> None:
        """Record that it is about to end its connection."""
        self._way = way
        for visit in self.stays.values():
            if not visit.way:
                self._announce(visit, way, *(("quit",) if way == "quit" else LOST))
            elif way != "quit":
                visit.cut_off(*LOST)

    def went(self) -> bool:
        """Record the end of the connection, also as an unannounced leave; return whether there was such a
        leave."""
        if not self.is_here:
            # Its hello may still be in transit, and the server may take it for the newest of its sessions.
            self._quiet |= {"replaced"}
        self.is_here = False
        self.send = _nothing
        unannounced = False
        for room, visit in self.stays.items():
            if not visit.way:
                unannounced = True
                self._going(visit, "lost", *LOST, early=True)
            elif self.bye != "quit":
                visit.cut_off(*LOST)
            self._cursors[room] = (self._cursors[room][0], visit.cursor)
            visit.gone()
        for room in self._joining.values():
            self._judge.gave_up(room, self.name, *LOST, "quit")
        self._leaving.clear()
        self._joining.clear()
        self._turned_away.clear()
        return unannounced

    def comes_back(self, *, unnoticed: bool) -> None:
        """Record that it is about to reconnect; `unnoticed` if the others may have missed its leave."""
        if unnoticed:
            for visit in self.stays.values():
                visit.unnoticed()
        self.stays.clear()
        self._way = ""

    def breach(self, kind: BreachKind, room: str, words: str) -> None:
        self._judge.findings.add(kind, room, self.name, words)

    def _announce(self, visit: Visit, way: str, *whys: str) -> None:
        """Announce a leave; also an earlier one, where the member may have been disconnected without
        noticing."""
        self._going(visit, way, *(whys + LOST if self.exposed else whys), early=self.exposed)

    def _going(self, visit: Visit, way: str, *whys: str, early: bool) -> None:
        visit.going(way, *whys, early=early)
        if trio.current_time() - self._entered_at[visit.room] < TOLD_S:
            visit.brief()
        if self.has_slept or visit.cursor < visit.truth.head:
            visit.cut_off()  # a slow member gets the member list when it catches up: not after a leave

    def _join(self, room: str) -> None:
        left_at, visit = self._left.pop(room, (float("-inf"), None))
        if visit is not None and trio.current_time() - left_at < TOLD_S:
            visit.unnoticed()
        epoch, after = self._cursors.get(room, ("", 0))
        ref = self._ref("j")
        self._joining[ref] = room
        self._judge.asks(room, self.name)
        if epoch:
            self.send(m.Join(room, after=after, epoch=epoch, ref=ref))
        else:
            self.send(m.Join(room, recent=self._wanted.get(room) or m.UNSET, ref=ref))

    def _say_again(self, says: list[m.Say]) -> None:
        says = [say for say in says if self._speaks_in(say.room)]
        for say in says:
            self._judge.says_again(say.text)
        if says:
            self.send(*says)

    def _speaks_in(self, room: str) -> bool:
        return self.is_here and room in self.stays and not self.stays[room].way

    def _ref(self, kind: str) -> str:
        self._count += 1
        return f"{self.name}.{kind}{self._count}"

    # --- what it sees ---------------------------------------------------------------------------------

    def see(self, events: list[m.Event]) -> None:
        """Handle events: consecutive entries of one room together (nearly all events), the rest one by
        one."""
        first = events[0] if events else None
        if type(first) is m.Said:
            visit = self.stays.get(first.room)
            if visit is not None and visit.agrees(events):
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
                if visit := self._stay_of(event.room, "presence"):
                    left = [(each.name, each.why) for each in event.left]
                    visit.noticed(event.members, event.joined, left, cut=event.more)
            case m.Members():
                if visit := self._stay_of(event.room, "members"):
                    visit.was_told_members(event.count)
            case m.Gap():
                if visit := self._stay_of(event.room, "a gap"):
                    visit.skipped(event.after, event.next)
            case m.HistoryPage():
                visit = self._stay_of(event.room, "history")
                if visit is not None and (wrong := check_history(visit, event.entries)):
                    self.breach(wrong[0], event.room, wrong[1])
            case m.TypingNotice():
                self._stay_of(event.room, "typing")
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
                if event.code not in self._quiet:
                    words = f"{self.name} was sent away: {event.code}, {event.detail}"
                    self.breach(BreachKind.ENDED, "", words)
            case _:
                pass

    def _see_entry(self, entry: m.Said) -> None:
        visit = self.stays.get(entry.room)
        if visit is not None:
            visit.saw(entry)
        else:
            words = f"{self.name} was shown {entry.room} {entry.seq} after leaving, or without being there"
            self.breach(BreachKind.LATE, entry.room, words)

    def _see_ack(self, ack: m.Ack) -> None:
        if ack.ref in self._leaving:
            room, due = self._leaving.pop(ack.ref)
            visit = self.stays.pop(room)
            visit.owes(due)
            visit.gone()
            self._left[room] = trio.current_time(), visit
            self._cursors[room] = (self._cursors[room][0], visit.cursor)
            if room in self._wanted:
                self._join(room)
            return
        say = self._unacked.pop(ack.ref, None)
        if say is None:
            say = next((each for each in self._said if each.ref == ack.ref), None)
        if say is not None and isinstance(ack.seq, int):
            self._judge.acked(say.text, ack.seq)

    def _entered(self, answer: m.Room) -> None:
        room = self._joining.pop(answer.ref)
        epoch, after = self._cursors.get(room, ("", 0))
        recent = 0 if epoch else min(self._wanted.get(room, 0), answer.head - answer.first + 1)
        visit = self.stays[room] = self._judge.entered(
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
        self._entered_at[room] = trio.current_time()
        if self._way:  # it has left already, perhaps before any member received its join
            self._going(visit, self._way, "quit", *LOST, early=True)
        self._say_again([say for say in self._unacked.values() if say.room == room])

    def _refused(self, error: m.Error) -> None:
        """Retry an `unavailable` request later; report any other refusal as a breach."""
        room = self._joining.pop(error.ref, None)
        if error.code != "unavailable":
            self.breach(BreachKind.ACK, room or "", f"{self.name} was refused: {error.code}, {error.detail}")
        elif room is not None:
            self._turned_away[room] = None

    def _stay_of(self, room: str, what: str) -> Visit | None:
        visit = self.stays.get(room)
        if visit is None:
            self.breach(
                BreachKind.PHANTOM, room, f"{self.name} was told {what} of {room} without being there"
            )
        return visit


def _nothing(*_: m.Command) -> None:
    """Ignore commands: there is no connection."""
