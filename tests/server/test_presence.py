"""Presence: notices within 20 ms in small rooms, and at most a tenth of the time in large ones."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count, pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.outbound_harness import OutboundHarness, Receiver, outbound_harness
from trio_chat.hub.hub import Hub
from trio_chat.hub.members import Attachment
from trio_chat.hub.names import prepare_name, prepare_room
from trio_chat.hub.rooms import LARGE
from trio_chat.server import presence
from trio_chat.server.fair_share import SLICE_S, FairScheduler
from trio_chat.server.fanout import send_notice
from trio_chat.server.presence import COST_FACTOR, GATHER_S, INTERVAL_S, PresenceNotifier
from trio_chat.server.stream import Batch, RoomStream
from trio_chat.wire.messages import Departure, Presence, Renaming


class PresenceHarness:
    """A hub, an outbound harness, and the presence notifier between them."""

    def __init__(self, harness: OutboundHarness) -> None:
        self.harness = harness
        self.hub: Hub[Any] = Hub()
        self.notices = PresenceNotifier(self.hub, harness.streams, harness.scheduler)
        self.numbers = 0

    def add_receiver(self, room: str = "lobby") -> Receiver:
        reader = Receiver(self.harness)
        reader.join(room)
        return reader

    def connect(self, name: str, room: str = "lobby") -> Attachment[Any]:
        attachment, _ = self.hub.attach(None, name, prepare_name(name))
        self.join(attachment, room)
        return attachment

    def join(self, attachment: Attachment[Any], room: str) -> None:
        found, came = self.hub.join(attachment, prepare_room(room.title()))
        if came:
            self.notices.changed(found)

    def disconnect(self, attachment: Attachment[Any], why: str = "lost") -> None:
        for room in self.hub.detach(attachment, why):
            self.notices.changed(room)

    def crowd(self, count: int = LARGE + 1, room: str = "lobby") -> None:
        for _ in range(count):
            self.numbers += 1
            self.connect(f"m{self.numbers}", room)


@asynccontextmanager
async def presence_harness(*rooms: str) -> AsyncGenerator[PresenceHarness]:
    async with outbound_harness(None, *rooms) as outbound:
        harness = PresenceHarness(outbound)
        outbound.writers.start_soon(harness.notices.run)
        await wait_all_tasks_blocked()
        yield harness


def counts(reader: Receiver) -> list[int]:
    """Return the number of members in each notice."""
    return [each.members for each in reader.events if isinstance(each, Presence)]


def is_idle(notices: PresenceNotifier) -> bool:
    """Return whether the notifier keeps nothing of any room."""
    return not (notices._due or notices._gathering or notices._quiet_until or notices._quiet_ends)


async def test_the_first_change_is_sent_in_the_next_pass(autojump_clock: MockClock) -> None:
    async with presence_harness() as harness:
        listener = harness.add_receiver()
        ada = harness.connect("ada")
        await wait_all_tasks_blocked()
        assert listener.events == [Presence("Lobby", 1, joined=["ada"])]
        await trio.sleep(2 * GATHER_S)
        harness.connect("bob")
        harness.disconnect(ada)
        await wait_all_tasks_blocked()
        assert listener.events[1:] == [
            Presence("Lobby", 1, joined=["bob"], left=[Departure("ada", "lost")]),
        ]


async def test_changes_soon_after_a_notice_are_collected(autojump_clock: MockClock) -> None:
    """Many joins cause a notice each 20 ms, not one for each join."""
    async with presence_harness() as harness:
        listener = harness.add_receiver()
        for _ in range(100):
            harness.crowd(1)
            await trio.sleep(0.001)
        assert 5 <= len(counts(listener)) <= 6
        await trio.sleep(GATHER_S)
        assert counts(listener)[-1] == 100
        joined = [name for each in listener.events if isinstance(each, Presence) for name in each.joined]
        assert len(joined) == len(set(joined)) == 100


async def test_many_notices_let_other_tasks_run_between_them() -> None:
    """Each notice takes more than a slice of work, so a checkpoint follows each."""
    rooms = [f"r{number}" for number in range(50)]
    looks = count(1)
    async with outbound_harness(None, *rooms) as outbound:
        harness = PresenceHarness(outbound)
        scheduler = FairScheduler(lambda: next(looks) * 2 * SLICE_S, are_limited=False)
        harness.notices = PresenceNotifier(harness.hub, outbound.streams, scheduler)
        readers = [harness.add_receiver(room) for room in rooms]
        for room in rooms:
            harness.connect(f"ada{room}", room)
        outbound.writers.start_soon(harness.notices.run)
        told: list[int] = []
        while not told or told[-1] < len(rooms):
            told.append(sum(len(counts(reader)) for reader in readers))
            await trio.lowlevel.checkpoint()
        assert max(after - before for before, after in pairwise(told)) <= 2, "a pass may run it twice"


async def test_changes_in_one_pass_are_one_notice() -> None:
    async with presence_harness() as harness:
        listener = harness.add_receiver()

        async def connect_later(name: str) -> None:
            await trio.lowlevel.checkpoint()
            harness.connect(name)

        async with trio.open_nursery() as nursery:
            for name in ("ada", "bob", "eva"):
                nursery.start_soon(connect_later, name)
        await wait_all_tasks_blocked()
        (notice,) = listener.events
        assert isinstance(notice, Presence)
        assert sorted(notice.joined) == ["ada", "bob", "eva"]


async def test_expensive_notices_take_turns(autojump_clock: MockClock) -> None:
    """Each reading of the clock takes more than a slice, so the task soon gets only a quarter of the time."""
    rooms = [f"r{number}" for number in range(500)]
    looks = count(1)
    async with outbound_harness(None, *rooms, clock=lambda: next(looks) * 2 * SLICE_S) as outbound:
        harness = PresenceHarness(outbound)
        readers = [harness.add_receiver(room) for room in rooms]
        for room in rooms:
            harness.connect(f"ada{room}", room)
        outbound.writers.start_soon(harness.notices.run)
        await trio.sleep(0.2)
        assert sum(len(counts(reader)) for reader in readers) < len(rooms), "a second of work at most"
        await trio.sleep(20)
        assert sum(len(counts(reader)) for reader in readers) == len(rooms)


async def test_each_room_gets_its_own_changes(autojump_clock: MockClock) -> None:
    async with presence_harness() as harness:
        lobby, attic = harness.add_receiver(), harness.add_receiver("attic")
        ada = harness.connect("ada")
        harness.join(ada, "attic")
        harness.connect("bob", "attic")
        await trio.sleep(2 * GATHER_S)
        for room in harness.hub.rename(ada.member, prepare_name("eva")):
            harness.notices.changed(room)
        await wait_all_tasks_blocked()
        renamed = [Renaming("ada", "eva")]
        assert lobby.events == [
            Presence("Lobby", 1, joined=["ada"]),
            Presence("Lobby", 1, renamed=renamed),
        ]
        assert attic.events == [
            Presence("Attic", 2, joined=["ada", "bob"]),
            Presence("Attic", 2, renamed=renamed),
        ]


async def test_changes_that_cancel_out_send_no_notice() -> None:
    async with presence_harness() as harness:
        listener = harness.add_receiver()
        harness.connect("bob")
        await wait_all_tasks_blocked()
        harness.disconnect(harness.connect("ada"))
        await wait_all_tasks_blocked()
        assert counts(listener) == [1]


async def test_an_empty_room_gets_no_notice(autojump_clock: MockClock) -> None:
    async with presence_harness() as harness:
        listener = harness.add_receiver()
        ada = harness.connect("ada")
        await wait_all_tasks_blocked()
        harness.disconnect(ada)
        await trio.sleep(2 * GATHER_S)
        assert counts(listener) == [1]
        assert is_idle(harness.notices)


async def test_a_large_room_gets_four_notices_a_second(autojump_clock: MockClock) -> None:
    async with presence_harness() as harness:
        listener = harness.add_receiver()
        harness.crowd()
        await wait_all_tasks_blocked()
        began = trio.current_time()
        for _ in range(100):
            harness.crowd(1)
            await trio.sleep(0.01)
        assert trio.current_time() == pytest.approx(began + 1)
        assert 4 <= len(counts(listener)) <= 6
        await trio.sleep(INTERVAL_S)
        assert counts(listener)[-1] == LARGE + 101


async def test_the_first_change_after_a_quiet_time_is_sent_at_once(autojump_clock: MockClock) -> None:
    async with presence_harness() as harness:
        listener = harness.add_receiver()
        harness.crowd()
        await trio.sleep(2 * INTERVAL_S)
        harness.crowd(1)
        await wait_all_tasks_blocked()
        assert counts(listener) == [LARGE + 1, LARGE + 2]


async def test_a_small_room_does_not_wait_for_a_large_one(autojump_clock: MockClock) -> None:
    async with presence_harness() as harness:
        lobby, attic = harness.add_receiver(), harness.add_receiver("attic")
        harness.crowd()
        await wait_all_tasks_blocked()
        harness.crowd(1)
        harness.connect("ada", "attic")
        await wait_all_tasks_blocked()
        assert (counts(lobby), counts(attic)) == ([LARGE + 1], [1])
        await trio.sleep(INTERVAL_S * 1.1)
        assert counts(lobby) == [LARGE + 1, LARGE + 2]


async def test_a_room_that_becomes_small_waits_no_longer(autojump_clock: MockClock) -> None:
    async with presence_harness() as harness:
        listener = harness.add_receiver()
        harness.crowd(LARGE)
        ada = harness.connect("ada")
        await wait_all_tasks_blocked()
        harness.disconnect(ada)
        await trio.sleep(INTERVAL_S * 1.1)
        assert counts(listener) == [LARGE + 1, LARGE]
        harness.connect("ada")
        harness.disconnect(harness.connect("eva"))
        await wait_all_tasks_blocked()
        bob = harness.connect("bob")
        harness.disconnect(bob)
        await trio.sleep(INTERVAL_S * 1.1)
        assert counts(listener) == [LARGE + 1, LARGE, LARGE + 1]


async def test_another_room_of_the_same_name_does_not_wait_either(autojump_clock: MockClock) -> None:
    async with presence_harness() as harness:
        listener = harness.add_receiver()
        harness.crowd()
        await wait_all_tasks_blocked()
        for member in list(harness.hub.rooms["lobby"].members):
            harness.disconnect(next(iter(member.attachments)))
        await wait_all_tasks_blocked()
        harness.connect("ada")
        await wait_all_tasks_blocked()
        assert counts(listener) == [LARGE + 1, 1]


async def test_a_notice_that_is_slow_to_send_is_sent_less_often(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a room of a hundred thousand, presence takes a tenth of the server's time, not all of it."""

    async def slow_send(stream: RoomStream, notice: Batch, *, sends_at_once: int) -> None:
        await trio.sleep(1)
        await send_notice(stream, notice, sends_at_once=sends_at_once)

    monkeypatch.setattr(presence, "send_notice", slow_send)
    async with presence_harness() as harness:
        listener = harness.add_receiver()
        harness.crowd()
        for _ in range(3_000):
            await trio.sleep(0.01)
            harness.crowd(1)
        assert 3 <= len(counts(listener)) <= 30 // COST_FACTOR + 1


async def test_changes_during_a_send_are_in_the_next_notice(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow_send(stream: RoomStream, notice: Batch, *, sends_at_once: int) -> None:
        await trio.sleep(1)
        await send_notice(stream, notice, sends_at_once=sends_at_once)

    monkeypatch.setattr(presence, "send_notice", slow_send)
    async with presence_harness() as harness:
        listener = harness.add_receiver()
        harness.connect("ada")
        await trio.sleep(0.5)
        harness.connect("bob")
        harness.connect("eva", "attic")
        await trio.sleep(5)
        assert [each.joined for each in listener.events if isinstance(each, Presence)] == [["ada"], ["bob"]]
        assert harness.notices._due == {}


async def test_closed_rooms_leave_nothing_behind(autojump_clock: MockClock) -> None:
    rooms = [f"r{number}" for number in range(300)]
    async with presence_harness(*rooms) as harness:
        for room in rooms:
            attachment = harness.connect("ada", room)
            await trio.sleep(0.001)
            harness.disconnect(attachment)
        harness.crowd(LARGE + 1, "r0")
        await trio.sleep(2 * INTERVAL_S)
        harness.connect("ada", "r1")
        await trio.sleep(2 * GATHER_S)
        assert is_idle(harness.notices)
