"""Presence is told: in small rooms within 20 ms, in large ones so that it costs a tenth of the time."""

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


class Town:
    """A hub, a stage, and the notices between them; listeners hear what is told in a room."""

    def __init__(self, harness: OutboundHarness) -> None:
        self.harness = harness
        self.hub: Hub[Any] = Hub()
        self.notices = PresenceNotifier(self.hub, harness.streams, harness.scheduler)
        self.numbers = 0

    def listens(self, room: str = "lobby") -> Receiver:
        reader = Receiver(self.harness)
        reader.join(room)
        return reader

    def comes(self, name: str, room: str = "lobby") -> Attachment[Any]:
        attachment, _ = self.hub.attach(None, name, prepare_name(name))
        self.enters(attachment, room)
        return attachment

    def enters(self, attachment: Attachment[Any], room: str) -> None:
        found, came = self.hub.join(attachment, prepare_room(room.title()))
        if came:
            self.notices.changed(found)

    def goes(self, attachment: Attachment[Any], why: str = "lost") -> None:
        for room in self.hub.detach(attachment, why):
            self.notices.changed(room)

    def crowd(self, count: int = LARGE + 1, room: str = "lobby") -> None:
        for _ in range(count):
            self.numbers += 1
            self.comes(f"m{self.numbers}", room)


@asynccontextmanager
async def in_town(*rooms: str) -> AsyncGenerator[Town]:
    async with outbound_harness(None, *rooms) as harness:
        town = Town(harness)
        harness.writers.start_soon(town.notices.run)
        await wait_all_tasks_blocked()
        yield town


def counts(reader: Receiver) -> list[int]:
    """How many were here, by each notice."""
    return [each.members for each in reader.events if isinstance(each, Presence)]


def is_idle(notices: PresenceNotifier) -> bool:
    """Whether it keeps nothing of any room."""
    return not (notices._due or notices._gathering or notices._quiet_until or notices._quiet_ends)


async def test_the_first_change_is_told_with_the_next_pass(autojump_clock: MockClock) -> None:
    async with in_town() as town:
        listener = town.listens()
        ada = town.comes("ada")
        await wait_all_tasks_blocked()
        assert listener.events == [Presence("Lobby", 1, joined=["ada"])]
        await trio.sleep(2 * GATHER_S)
        town.comes("bob")
        town.goes(ada)
        await wait_all_tasks_blocked()
        assert listener.events[1:] == [
            Presence("Lobby", 1, joined=["bob"], left=[Departure("ada", "lost")]),
        ]


async def test_changes_soon_after_a_notice_gather_into_one(autojump_clock: MockClock) -> None:
    """A storm of joins makes a notice each 20 ms, and not one for each join."""
    async with in_town() as town:
        listener = town.listens()
        for _ in range(100):
            town.crowd(1)
            await trio.sleep(0.001)
        assert 5 <= len(counts(listener)) <= 6
        await trio.sleep(GATHER_S)
        assert counts(listener)[-1] == 100
        joined = [name for each in listener.events if isinstance(each, Presence) for name in each.joined]
        assert len(joined) == len(set(joined)) == 100


async def test_a_storm_of_notices_lets_others_run_in_between() -> None:
    """Each notice takes more than a slice of work: after each the loop goes round."""
    rooms = [f"r{number}" for number in range(50)]
    looks = count(1)
    async with outbound_harness(None, *rooms) as harness:
        town = Town(harness)
        scheduler = FairScheduler(lambda: next(looks) * 2 * SLICE_S, are_limited=False)
        town.notices = PresenceNotifier(town.hub, harness.streams, scheduler)
        readers = [town.listens(room) for room in rooms]
        for room in rooms:
            town.comes(f"ada{room}", room)
        harness.writers.start_soon(town.notices.run)
        told: list[int] = []
        while not told or told[-1] < len(rooms):
            told.append(sum(len(counts(reader)) for reader in readers))
            await trio.lowlevel.checkpoint()
        assert max(after - before for before, after in pairwise(told)) <= 2, "a pass may run it twice"


async def test_what_changes_in_one_pass_is_one_notice() -> None:
    async with in_town() as town:
        listener = town.listens()

        async def comes(name: str) -> None:
            await trio.lowlevel.checkpoint()
            town.comes(name)

        async with trio.open_nursery() as nursery:
            for name in ("ada", "bob", "eva"):
                nursery.start_soon(comes, name)
        await wait_all_tasks_blocked()
        (notice,) = listener.events
        assert isinstance(notice, Presence)
        assert sorted(notice.joined) == ["ada", "bob", "eva"]


async def test_notices_that_cost_too_much_take_turns(autojump_clock: MockClock) -> None:
    """Each look takes more than a slice, so each notice has one: soon the task has a quarter of the time."""
    rooms = [f"r{number}" for number in range(500)]
    looks = count(1)
    async with outbound_harness(None, *rooms, clock=lambda: next(looks) * 2 * SLICE_S) as harness:
        town = Town(harness)
        readers = [town.listens(room) for room in rooms]
        for room in rooms:
            town.comes(f"ada{room}", room)
        harness.writers.start_soon(town.notices.run)
        await trio.sleep(0.2)
        assert sum(len(counts(reader)) for reader in readers) < len(rooms), "a second of work, and no more"
        await trio.sleep(20)
        assert sum(len(counts(reader)) for reader in readers) == len(rooms)


async def test_each_room_is_told_its_own(autojump_clock: MockClock) -> None:
    async with in_town() as town:
        lobby, attic = town.listens(), town.listens("attic")
        ada = town.comes("ada")
        town.enters(ada, "attic")
        town.comes("bob", "attic")
        await trio.sleep(2 * GATHER_S)
        for room in town.hub.rename(ada.member, prepare_name("eva")):
            town.notices.changed(room)
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


async def test_nothing_is_told_where_nothing_has_changed_in_the_end() -> None:
    async with in_town() as town:
        listener = town.listens()
        town.comes("bob")
        await wait_all_tasks_blocked()
        town.goes(town.comes("ada"))
        await wait_all_tasks_blocked()
        assert counts(listener) == [1]


async def test_a_room_that_is_empty_by_then_has_nobody_to_tell(autojump_clock: MockClock) -> None:
    async with in_town() as town:
        listener = town.listens()
        ada = town.comes("ada")
        await wait_all_tasks_blocked()
        town.goes(ada)
        await trio.sleep(2 * GATHER_S)
        assert counts(listener) == [1]
        assert is_idle(town.notices)


async def test_a_large_room_is_told_four_times_a_second(autojump_clock: MockClock) -> None:
    async with in_town() as town:
        listener = town.listens()
        town.crowd()
        await wait_all_tasks_blocked()
        began = trio.current_time()
        for _ in range(100):
            town.crowd(1)
            await trio.sleep(0.01)
        assert trio.current_time() == pytest.approx(began + 1)
        assert 4 <= len(counts(listener)) <= 6
        await trio.sleep(INTERVAL_S)
        assert counts(listener)[-1] == LARGE + 101


async def test_the_first_change_after_a_pause_is_told_at_once(autojump_clock: MockClock) -> None:
    async with in_town() as town:
        listener = town.listens()
        town.crowd()
        await trio.sleep(2 * INTERVAL_S)
        town.crowd(1)
        await wait_all_tasks_blocked()
        assert counts(listener) == [LARGE + 1, LARGE + 2]


async def test_a_small_room_does_not_wait_for_a_large_one(autojump_clock: MockClock) -> None:
    async with in_town() as town:
        lobby, attic = town.listens(), town.listens("attic")
        town.crowd()
        await wait_all_tasks_blocked()
        town.crowd(1)
        town.comes("ada", "attic")
        await wait_all_tasks_blocked()
        assert (counts(lobby), counts(attic)) == ([LARGE + 1], [1])
        await trio.sleep(INTERVAL_S * 1.1)
        assert counts(lobby) == [LARGE + 1, LARGE + 2]


async def test_a_room_that_has_become_small_waits_no_longer(autojump_clock: MockClock) -> None:
    async with in_town() as town:
        listener = town.listens()
        town.crowd(LARGE)
        ada = town.comes("ada")
        await wait_all_tasks_blocked()
        town.goes(ada)
        await trio.sleep(INTERVAL_S * 1.1)
        assert counts(listener) == [LARGE + 1, LARGE]
        town.comes("ada")
        town.goes(town.comes("eva"))
        await wait_all_tasks_blocked()
        bob = town.comes("bob")
        town.goes(bob)
        await trio.sleep(INTERVAL_S * 1.1)
        assert counts(listener) == [LARGE + 1, LARGE, LARGE + 1]


async def test_another_room_of_the_same_name_does_not_wait_either(autojump_clock: MockClock) -> None:
    async with in_town() as town:
        listener = town.listens()
        town.crowd()
        await wait_all_tasks_blocked()
        for member in list(town.hub.rooms["lobby"].members):
            town.goes(next(iter(member.seats)))
        await wait_all_tasks_blocked()
        town.comes("ada")
        await wait_all_tasks_blocked()
        assert counts(listener) == [LARGE + 1, 1]


async def test_a_notice_that_is_slow_to_send_is_sent_less_often(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A room of a hundred thousand spends a tenth of the server on presence, not all of it."""

    async def slow_tell(stream: RoomStream, notice: Batch, *, sends_at_once: int) -> None:
        await trio.sleep(1)
        await send_notice(stream, notice, sends_at_once=sends_at_once)

    monkeypatch.setattr(presence, "send_notice", slow_tell)
    async with in_town() as town:
        listener = town.listens()
        town.crowd()
        for _ in range(3_000):
            await trio.sleep(0.01)
            town.crowd(1)
        assert 3 <= len(counts(listener)) <= 30 // COST_FACTOR + 1


async def test_what_changes_while_it_is_told_is_told_next(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow_tell(stream: RoomStream, notice: Batch, *, sends_at_once: int) -> None:
        await trio.sleep(1)
        await send_notice(stream, notice, sends_at_once=sends_at_once)

    monkeypatch.setattr(presence, "send_notice", slow_tell)
    async with in_town() as town:
        listener = town.listens()
        town.comes("ada")
        await trio.sleep(0.5)
        town.comes("bob")
        town.comes("eva", "attic")
        await trio.sleep(5)
        assert [each.joined for each in listener.events if isinstance(each, Presence)] == [["ada"], ["bob"]]
        assert town.notices._due == {}


async def test_rooms_that_come_and_go_leave_nothing(autojump_clock: MockClock) -> None:
    rooms = [f"r{number}" for number in range(300)]
    async with in_town(*rooms) as town:
        for room in rooms:
            attachment = town.comes("ada", room)
            await trio.sleep(0.001)
            town.goes(attachment)
        town.crowd(LARGE + 1, "r0")
        await trio.sleep(2 * INTERVAL_S)
        town.comes("ada", "r1")
        await trio.sleep(2 * GATHER_S)
        assert is_idle(town.notices)
