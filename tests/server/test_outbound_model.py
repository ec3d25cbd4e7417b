"""A model test: for any behaviour of sockets, members and journal, every receiver gets every entry once,
in order, and all receivers are live in the end."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.outbound_harness import OutboundHarness, Receiver, outbound_harness, private
from tests.server.stores import ScriptedStore
from trio_chat.journal.memory import MemoryStore
from trio_chat.server.outbound import READ_RETRY_S
from trio_chat.wire.messages import Members, Presence

ROOMS = ("lobby", "attic")
READERS = 4
Step = tuple[Any, ...]

_reader = st.integers(0, READERS - 1)
_room = st.sampled_from(ROOMS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("says"), _room, st.lists(st.integers(1, 80), min_size=1, max_size=4)),
        st.tuples(st.just("says"), _room, st.lists(st.integers(1, 80), min_size=1, max_size=4)),
        st.tuples(st.just("begins to say"), _room, st.integers(1, 80)),
        st.tuples(st.just("widens"), _reader, st.integers(1, 400)),
        st.tuples(st.just("narrows"), _reader, st.integers(0, 30)),
        st.tuples(st.just("joins"), _reader, _room, st.integers(0, 12)),
        st.tuples(st.just("leaves"), _reader, _room),
        st.tuples(st.just("is answered"), _reader),
        st.tuples(st.just("begins to tell"), _room),
        st.tuples(st.just("step")),
        st.tuples(st.just("look")),
        st.tuples(st.just("sleep")),
    ),
    max_size=60,
)
READS = st.lists(st.sampled_from(["well", "slow", "before"]), max_size=8)


class Visit:
    """One stay of a receiver in a room: its first number, and how many events it had before."""

    def __init__(self, reader: Receiver, room: str, cursor: int, news: int) -> None:
        self.reader, self.room, self.cursor, self.news = reader, room, cursor, news
        self.before = len(reader.entries(room))


class Play:
    """The harness, its receivers, and the promises to check."""

    def __init__(self, harness: OutboundHarness, nursery: trio.Nursery) -> None:
        self.harness = harness
        self.nursery = nursery
        self.readers = [Receiver(harness, capacity=100) for _ in range(READERS)]
        self.visits: dict[tuple[Receiver, str], Visit] = {}
        self.answered = dict.fromkeys(self.readers, 0)
        self.done: dict[str, trio.Event] = {}  # set when the last operation in a room has ended
        self.numbers = 0

    async def step(self, what: str, *arguments: Any) -> None:
        if what == "says":
            room, sizes = arguments
            await self.quiet(room)
            self.numbers += len(sizes)
            await self.harness.say(*(f"{self.numbers}" + "x" * size for size in sizes), room=room)
        elif what == "begins to say":
            room, size = arguments
            await self.quiet(room)
            self.begin(room, self.harness.publish, *await self.harness.commit("x" * size, room=room))
        elif what == "widens":
            self.readers[arguments[0]].link.allow(arguments[1])
        elif what == "narrows":
            link = self.readers[arguments[0]].link
            link.capacity = min(link.capacity, arguments[1])
        elif what == "joins":
            number, room, recent = arguments
            self.join(self.readers[number], room, recent)
        elif what == "leaves":
            self.leave(self.readers[arguments[0]], arguments[1])
        elif what == "is answered":
            reader = self.readers[arguments[0]]
            reader.outbound.send(private(self.answered[reader]))
            reader.outbound.flush()
            self.answered[reader] += 1
        elif what == "begins to tell":
            await self.quiet(arguments[0])
            self.begin(arguments[0], self.harness.notify, arguments[0])
        else:
            await self.time_passes(what)
        self.check_live()

    async def time_passes(self, what: str) -> None:
        if what == "step":
            await trio.lowlevel.checkpoint()
        elif what == "look":
            await wait_all_tasks_blocked()
        else:
            await trio.sleep(READ_RETRY_S)

    async def quiet(self, room: str) -> None:
        """Run the operations of a room one after the other, as the committer and the notifier do."""
        done = self.done.get(room)
        if done is not None:
            await done.wait()

    def begin(self, room: str, showing: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Publish or notify in a task of its own."""
        done = self.done[room] = trio.Event()

        async def show() -> None:
            await showing(*arguments)
            done.set()

        self.nursery.start_soon(show)

    def join(self, reader: Receiver, room: str, recent: int) -> None:
        if (reader, room) not in self.visits:
            # Before `join`, since a link with enough capacity takes all of it in that step.
            visit = Visit(reader, room, 0, self.harness.presence_changes.get(room, 0))
            visit.cursor = reader.join(room, recent=recent)
            self.visits[reader, room] = visit

    def leave(self, reader: Receiver, room: str) -> None:
        """Leave as `membership.leave` does: only when all entries of the room are sent."""
        stream = self.harness.rooms[room]
        if (
            (reader, room) in self.visits
            and not reader.outbound.is_behind(stream, stream.head)
            and reader.outbound.live
        ):
            self.check(self.visits.pop((reader, room)), stream.head)
            reader.leave(room)

    def check(self, visit: Visit, through: int) -> None:
        entries = visit.reader.entries(visit.room)[visit.before :]
        visit.reader.check(entries, visit.cursor, through)

    def check_live(self) -> None:
        """Check that live receivers have nothing queued and are in all live sets, and others in none."""
        for reader in self.readers:
            outbound = reader.outbound
            assert not (outbound.live and (outbound._remainder or outbound._next_remainder))
            for stream in self.harness.rooms.values():
                assert (outbound in stream.live) == (outbound.live and stream in outbound.streams)
                assert outbound not in stream.unsent or outbound in stream.live

    async def end(self) -> None:
        for reader in self.readers:
            reader.link.allow()
        await trio.sleep(20 * READ_RETRY_S)
        for reader in self.readers:
            assert reader.outbound.live and not reader.outbound.replies and reader.losses == 0
            assert reader.answers() == list(range(self.answered[reader]))
        for visit in self.visits.values():
            self.check(visit, self.harness.rooms[visit.room].head)
            self.check_presence(visit)

    def check_presence(self, visit: Visit) -> None:
        """Check that a receiver's last presence is current, unless nothing has changed since it joined."""
        now = self.harness.presence_changes.get(visit.room, 0)
        shown = self.harness.rooms[visit.room].shown
        told = [
            each.members if isinstance(each, Presence) else each.count
            for each in visit.reader.events
            if isinstance(each, Presence | Members) and each.room == shown
        ]
        assert now == visit.news or told[-1] == now
        assert told == sorted(told)


def run(steps: list[Step], reads: list[str], *, entries_max: int) -> None:
    store = ScriptedStore(MemoryStore(room_entries_max=entries_max), reads=reads)

    async def scenario() -> None:
        async with outbound_harness(store, *ROOMS, tail_bytes=400) as harness:
            harness.sends_at_once = 2  # so that four receivers are a very large room
            play = Play(harness, harness.writers)
            for reader in play.readers:
                for room in ROOMS:
                    play.join(reader, room, 0)
            for step in steps:
                await play.step(*step)
            await play.end()

    trio.run(scenario, clock=MockClock(autojump_threshold=0))


@given(STEPS, READS)
def test_every_receiver_gets_every_entry_once_and_in_order(steps: list[Step], reads: list[str]) -> None:
    run(steps, reads, entries_max=10_000)


@given(STEPS, READS)
def test_removed_entries_are_reported_as_a_gap(steps: list[Step], reads: list[str]) -> None:
    run(steps, reads, entries_max=3)
