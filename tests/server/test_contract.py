"""The delivery contract under seeded random behaviour of many members in several rooms.

Members send, stall, read in small pieces, leave and join again, lose their connections and resume. At the end
the test compares what each member got in each room with what was acked: each entry once and in order, or a
gap in its place, and each ack with the number of its entry.
"""

from collections.abc import Iterator
from random import Random

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import RawClient, ServerHarness, serving
from tests.server.stores import ScriptedStore, SlowStore
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.store import Store
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire.messages import (
    UNSET,
    Ack,
    Bye,
    Error,
    Event,
    Gap,
    HistoryPage,
    Join,
    Leave,
    Members,
    Ping,
    Pong,
    Presence,
    Room,
    Said,
    Say,
    Topic,
    TopicChanged,
    TypingNotice,
    Welcome,
)

ROOMS = ("lobby", "attic", "cellar")
MEMBERS = 8
SECONDS = 15
SEEDS = range(6)


class Truth:
    """The texts that were sent, and the acked ones by room and number."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, str], str] = {}  # (author, ref) -> text
        self.acked: dict[tuple[str, int], str] = {}  # (room, number) -> text
        self.restless = MEMBERS

    def ack(self, author: str, ack: Ack) -> None:
        assert isinstance(ack.seq, int)
        text = self.said[author, ack.ref]
        known = self.acked.setdefault((ack.room, ack.seq), text)
        assert known == text, f"{ack.room} {ack.seq} has two texts"


class Member:
    """A member that sends and reads as irregularly as the seed says, and records what it gets."""

    def __init__(self, harness: ServerHarness, name: str, random: Random, truth: Truth) -> None:
        self.harness = harness
        self.name = name
        self.random = random
        self.truth = truth
        self.token = f"{name}-and-a-token-of-its-own"
        self.views: dict[str, dict[int, str]] = {room: {} for room in ROOMS}
        self.skipped: dict[str, set[int]] = {room: set() for room in ROOMS}
        self.cursor: dict[str, tuple[str, int]] = {}  # room -> epoch, last seen
        self.expected: dict[str, int] = {}  # room I am in -> the next number
        self.recent: dict[str, int] = {}  # as asked for in the last join
        self.leaving: dict[str, str] = {}  # ref -> room
        self.unacked: dict[str, Say | Topic] = {}
        self.count = 0
        self.peer: RawClient

    # --- actions -------------------------------------------------------------------------------------

    async def live(self) -> None:
        await self.connect()
        until = trio.current_time() + SECONDS
        while trio.current_time() < until:
            await self.act()
            await trio.sleep(self.random.expovariate(4))
            await self.read(self.random.choice([0.001, 0.001, 0.1, 1]))
            if self.random.random() < 0.05:
                await trio.sleep(self.random.uniform(0, 10))  # without reading
        await self.finish()

    async def connect(self) -> None:
        """Connect again: resume the rooms, and send unacked messages again."""
        size = self.random.choice([300, 1_000, 5_000, 65_536])
        self.peer = self.harness.dial(buffer_bytes=size)
        await self.peer.hello(self.name, self.token)
        self.expected.clear()
        for room in ROOMS if not self.cursor else self.cursor:
            await self.join(room)
        for command in list(self.unacked.values()):
            if command.room in self.expected:
                await self.send(command)

    async def join(self, room: str) -> None:
        epoch, after = self.cursor.get(room, ("", 0))
        recent = self.random.choice((None, 0, 5, 200))
        self.recent[room] = recent or 0
        self.expected[room] = -1
        await self.send(
            Join(
                room,
                recent=UNSET if recent is None else recent,
                after=after if epoch else UNSET,
                epoch=epoch,
            )
        )
        while self.expected[room] == -1:
            self.see(await self.peer.next())

    async def act(self) -> None:
        dice = self.random.random()
        inside = list(self.expected)
        room = self.random.choice(inside or ROOMS)
        if dice < 0.03:
            await self.drop()
        elif dice < 0.10 and room in self.expected:
            await self.leave(room)
        elif room not in self.expected:
            await self.join(room)
        elif dice < 0.2:
            outside = [other for other in ROOMS if other not in self.expected]
            await (self.join(outside[0]) if outside else self.send(Ping()))
        else:
            for _ in range(self.random.choice([1, 1, 1, 5, 30])):
                await self.say(room)

    async def say(self, room: str) -> None:
        self.count += 1
        ref = f"{self.name}.{self.count}"
        text = f"{ref} " + "x" * self.random.choice([1, 1, 50, 2_000])
        made = self.random.random() < 0.95
        command = Say(room, text, ref=ref) if made else Topic(room, text, ref)
        self.truth.said[self.name, ref] = text
        self.unacked[ref] = command
        await self.send(command)

    async def send(self, command: Say | Topic | Join | Leave | Ping) -> None:
        """Send as the server takes the bytes, and read meanwhile, as the server may wait for that."""
        async with trio.open_nursery() as nursery:

            async def pour() -> None:
                await self.peer.send_all(self.peer.packed(command))
                nursery.cancel_scope.cancel()

            nursery.start_soon(pour)
            while True:
                self.see(await self.peer.next())

    async def leave(self, room: str) -> None:
        ref = self.peer.ref()
        self.leaving[ref] = room
        await self.send(Leave(room, ref))
        while room in self.expected:
            self.see(await self.peer.next())

    async def drop(self) -> None:
        """Lose the connection, with everything that is being sent."""
        assert isinstance(self.peer.link, PipeLink)
        self.peer.link.reset() if self.random.random() < 0.5 else self.peer.link.close()
        await trio.sleep(self.random.choice([0, 0.1, 3]))
        await self.connect()

    async def read(self, seconds: float) -> None:
        for event in await self.peer.receive_for(seconds):
            self.see(event)

    async def finish(self) -> None:
        """Join every room, wait for all acks, and stay until all other members have finished."""
        for room in ROOMS:
            if room not in self.expected:
                await self.join(room)
        await self.read(5)
        while self.unacked:
            for command in list(self.unacked.values()):
                await self.send(command)
            await self.read(5)
        self.truth.restless -= 1
        while self.truth.restless:
            await self.send(Ping())
            await self.read(5)
        await self.read(30)

    # --- events --------------------------------------------------------------------------------------

    def see(self, event: Event) -> None:
        match event:
            case Said() | TopicChanged():
                assert self.expected.get(event.room) == event.seq, f"{self.name} saw {event} out of turn"
                self.views[event.room][event.seq] = event.text
                self.expected[event.room] = event.seq + 1
                self.cursor[event.room] = (self.cursor[event.room][0], event.seq)
            case Gap():
                assert self.expected[event.room] == event.after + 1
                self.skipped[event.room].update(range(event.after + 1, event.next))
                self.expected[event.room] = event.next
                self.cursor[event.room] = (self.cursor[event.room][0], event.next - 1)
            case Room():
                self.entered(event)
            case Ack() if event.ref in self.leaving:
                del self.expected[self.leaving.pop(event.ref)]
            case Ack():
                self.truth.ack(self.name, event)
                self.unacked.pop(event.ref, None)
            case Error():
                assert event.code == "unavailable", event
            case Bye():
                raise AssertionError(f"{self.name} was sent away: {event}")
            case Presence() | Members() | Pong() | TypingNotice() | Welcome() | HistoryPage():
                pass
            case _:
                raise AssertionError(f"{self.name} was told {event}")

    def entered(self, room: Room) -> None:
        epoch, last = self.cursor.get(room.room, ("", 0))
        if room.resumed:
            assert epoch == room.epoch or last == 0
            self.cursor[room.room] = (room.epoch, last)
            self.expected[room.room] = last + 1
        else:
            assert epoch != room.epoch, "a valid cursor is resumed"
            assert not epoch or last, "0 is valid in every history"
            first = 0 if epoch else max(room.head - self.recent[room.room], room.first - 1)
            self.expected[room.room] = first + 1
            self.skipped[room.room].update(range(1, first + 1))
            self.cursor[room.room] = (room.epoch, first)


def judge(members: list[Member], truth: Truth) -> None:
    """Check that all members got the same entries, without a hole, and with the acked numbers."""
    for room in ROOMS:
        head = max(max(member.views[room], default=0) for member in members)
        whole = {seq: text for member in members for seq, text in member.views[room].items()}
        assert sorted(whole) == list(range(1, head + 1)), "the numbers have no hole"
        assert len(set(whole.values())) == head, "no text has two numbers"
        for (acked_in, seq), text in truth.acked.items():
            assert acked_in != room or whole[seq] == text, "an ack has the number of its text"
        for member in members:
            view = member.views[room]
            assert all(whole[seq] == text for seq, text in view.items())
            missed = set(whole) - set(view)
            assert missed <= member.skipped[room], f"{member.name} misses {sorted(missed)[:5]} in {room}"


def _stores(seed: int) -> Iterator[Store]:
    random = Random(seed)
    yield MemoryStore(room_entries_max=1_000_000, room_bytes_max=1 << 30)
    yield SlowStore(commit_s=random.choice([0.01, 0.5]), read_s=0.05, open_s=0.1)
    fates = ["well", "slow", "before", "after", "well", "well"]
    yield ScriptedStore(commits=[random.choice(fates) for _ in range(200)])


@pytest.mark.parametrize("journal", ["memory", "slow", "failing"])
@pytest.mark.parametrize("seed", SEEDS)
async def test_each_member_gets_every_entry_once_and_in_order(
    seed: int, journal: str, websocket: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    random = Random(seed)
    store = dict(zip(["memory", "slow", "failing"], _stores(seed), strict=True))[journal]
    tail_bytes = random.choice([1, 10_000, 4 << 20])
    async with serving(store=store, rate_limit=False, tail_bytes=tail_bytes, websocket=websocket) as harness:
        truth = Truth()
        members = [Member(harness, f"m{n}", Random(f"{seed}.{n}"), truth) for n in range(MEMBERS)]
        async with trio.open_nursery() as nursery:
            for member in members:
                nursery.start_soon(member.live)
        judge(members, truth)
    caplog.clear()  # the failing journal is logged
