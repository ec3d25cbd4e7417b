"""Rows 23, 24, 42 and 43 of the table of faults: peers that do not read, on links with small buffers.

They delay no other session, cost little memory, and miss no entry. All tests run in both dialects, except for
row 43, which takes long. The same tests on real sockets are in test_faults_sockets.py.
"""

import sys
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import Observer, RawClient, ServerHarness, serving
from tests.server.stores import FailingStore, SlowStore
from trio_chat.errors import LinkBroken
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.store import EntryPage, Store
from trio_chat.server.config import Config, Limits
from trio_chat.testing.pipe import PipeLink, link_pair
from trio_chat.wire.messages import (
    Ack,
    Entry,
    Gap,
    History,
    HistoryPage,
    Leave,
    Members,
    Ping,
    Pong,
    Presence,
    Quit,
    Say,
)

LONG = "x" * 1_000


class CountingStore(MemoryStore):
    """Delays reads, and counts them and how many run at once."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.at_once = 0
        self._now = 0

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        self.reads += 1
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        await trio.sleep(0.01)
        self._now -= 1
        return await super().read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)


@asynccontextmanager
async def awake(
    *changes: str, store: Store | None = None, websocket: bool, **limits: int
) -> AsyncGenerator[tuple[ServerHarness, Observer]]:
    """Run a server with an observer that reads all the time and must see exactly these presence changes."""
    config = Config(rate_limit=False, limits=Limits(**limits))
    async with serving(config, store=store, websocket=websocket) as harness:
        zoe = await harness.observer()
        yield harness, zoe
        noticed = await zoe.presence_changes()
        assert noticed == list(changes), noticed


async def _stalled_member(harness: ServerHarness, zoe: Observer, buffer_bytes: int = 2_000) -> RawClient:
    sleepy = await harness.enter("sleepy", "lobby", buffer_bytes=buffer_bytes)
    assert await zoe.presence_changes() == ["+sleepy"]
    return sleepy


async def _talk(zoe: Observer, count: int, text: str = LONG) -> None:
    """Send texts, each of which must return at once, even while other members are stalled."""
    for n in range(count):
        await zoe.say(f"{text} {n}")
    await zoe.receive_for(0.001)
    assert zoe.seqs() == list(range(1, zoe.seqs()[-1] + 1))


# --- row 23: stops reading, but still pings -------------------------------------------------------------


async def test_asleep_and_awake_again(websocket: bool, autojump_clock: MockClock) -> None:
    async with awake(websocket=websocket) as (harness, zoe):
        sleepy = await _stalled_member(harness, zoe)
        for _ in range(5):
            await _talk(zoe, 40)
            sleepy.send(Ping())
            assert await zoe.presence_changes(10) == []
        heard = await sleepy.receive_for()
        pongs = [event for event in heard if isinstance(event, Pong)]
        assert len(pongs) == 5
        assert sleepy.seqs() == list(range(sleepy.seqs()[0], zoe.seqs()[-1] + 1)), "caught up, in order"
        await _talk(zoe, 3)
        await sleepy.receive_for()
        assert sleepy.seqs()[-1] == zoe.seqs()[-1], "and live again"


@pytest.mark.parametrize("tail_bytes", [1, 3_000, 20_000])
async def test_what_the_tail_has_forgotten_comes_from_the_journal(
    tail_bytes: int, websocket: bool, autojump_clock: MockClock
) -> None:
    async with awake(tail_bytes=tail_bytes, websocket=websocket) as (harness, zoe):
        sleepy = await _stalled_member(harness, zoe)
        await _talk(zoe, 100)
        await sleepy.receive_for()
        assert sleepy.seqs() == list(range(sleepy.seqs()[0], zoe.seqs()[-1] + 1))


async def test_removed_entries_are_a_gap(websocket: bool, autojump_clock: MockClock) -> None:
    async with awake(tail_bytes=1, journal_room_entries=10, websocket=websocket) as (harness, zoe):
        sleepy = await _stalled_member(harness, zoe)
        await _talk(zoe, 100)
        await sleepy.receive_for()
        seqs = sleepy.seqs()
        last = zoe.seqs()[-1]
        (gap,) = [event for event in sleepy.seen if isinstance(event, Gap)]
        before = [seq for seq in seqs if seq <= gap.after]
        assert seqs == [*range(seqs[0], gap.after + 1), *range(gap.next, last + 1)]
        assert before and gap.next == last - 9 and not gap.kept


async def test_who_was_asleep_is_told_who_is_here(websocket: bool, autojump_clock: MockClock) -> None:
    async with awake("-eve lost", "+bob", websocket=websocket) as (harness, zoe):
        eve = await harness.enter("eve", "lobby")
        assert await zoe.presence_changes() == ["+eve"]
        sleepy = await _stalled_member(harness, zoe)
        await _talk(zoe, 10)
        eve.link.close()
        await trio.sleep(1)
        await harness.enter("bob", "lobby")
        await trio.sleep(1)
        await sleepy.receive_for()
        presence = [event for event in sleepy.seen if isinstance(event, Presence)]
        assert not [notice for notice in presence if "bob" in notice.joined]
        members = [event for event in sleepy.seen if isinstance(event, Members)]
        assert [page.names for page in members] == [["bob", "sleepy", "zoe"]], "once"
        assert sleepy.seen[-1] is members[0], "after it has caught up"


async def test_who_missed_no_notice_is_told_nothing(websocket: bool, autojump_clock: MockClock) -> None:
    async with awake(websocket=websocket) as (harness, zoe):
        sleepy = await _stalled_member(harness, zoe)
        await sleepy.receive_for()
        await _talk(zoe, 10)
        await sleepy.receive_for()
        assert not [event for event in sleepy.seen if isinstance(event, Members)]


async def test_ended_after_a_minute_in_which_it_took_nothing(
    websocket: bool, autojump_clock: MockClock
) -> None:
    async with awake("-sleepy slow", websocket=websocket) as (harness, zoe):
        sleepy = await _stalled_member(harness, zoe)
        sleepy.seen.clear()
        zoe.send(*[Say("lobby", LONG)] * 10)
        assert await zoe.presence_changes() == []
        for _ in range(5):
            sleepy.send(Ping())
            assert await zoe.presence_changes(11) == []
        sleepy.send(Ping())
        await trio.sleep(5)
        await sleepy.ended_with("slow_reader")
        (*entries, _) = [event for event in sleepy.seen if not isinstance(event, Presence)]
        assert all(isinstance(event, Entry) for event in entries), (
            "the partly sent frame is completed, then bye"
        )
        begun = 11 if websocket else 4  # over WebSocket a batch is one frame, which is partly sent
        assert len(entries) <= begun, "the rest is dropped, even within a batch"


async def test_a_little_now_and_then_is_enough(websocket: bool, autojump_clock: MockClock) -> None:
    async with awake(websocket=websocket) as (harness, zoe):
        sleepy = await _stalled_member(harness, zoe)
        await _talk(zoe, 20)
        for _ in range(6):
            sleepy.send(Ping())
            assert await zoe.presence_changes(50) == []
            sleepy.take(await sleepy.link.receive_some())
        sleepy.send(Ping())
        await sleepy.receive_for(10)
        assert sleepy.seqs()[-1] == zoe.seqs()[-1]


async def test_leaving_while_asleep(websocket: bool, autojump_clock: MockClock) -> None:
    """Only the leave waits until all earlier entries are read."""
    async with awake("-sleepy left", websocket=websocket) as (harness, zoe):
        sleepy = await _stalled_member(harness, zoe)
        await _talk(zoe, 20)
        before = zoe.seqs()[-1]
        sleepy.send(Leave("lobby", ref="l"))
        assert await zoe.presence_changes(5) == []
        await sleepy.answer(Ack, ref="l")
        assert sleepy.seqs()[-1] >= before
        assert sleepy.seqs() == list(range(sleepy.seqs()[0], sleepy.seqs()[-1] + 1))


# --- row 24: reads a little all the time ----------------------------------------------------------------


async def test_a_kilobyte_a_second(websocket: bool, autojump_clock: MockClock) -> None:
    async with awake("-slow lost", websocket=websocket) as (harness, zoe):
        slow = await harness.enter("slow", "lobby", buffer_bytes=4_096)
        assert await zoe.presence_changes() == ["+slow"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_slowly, slow)
            nursery.start_soon(_ping, slow)
            for _ in range(60):
                await _talk(zoe, 3)
                assert await zoe.presence_changes(1) == []
            head = zoe.seqs()[-1]
            for _ in range(7):
                assert await zoe.presence_changes(30) == []
            assert slow.seqs()[-1] >= head, "180 KiB in less than five minutes"
            assert slow.seqs() == list(range(slow.seqs()[0], slow.seqs()[-1] + 1))
            nursery.cancel_scope.cancel()
        slow.link.close()


async def test_one_large_batch(websocket: bool, autojump_clock: MockClock) -> None:
    """It takes minutes to send, and is not packed again for each part."""
    store = SlowStore(commit_s=1)
    async with awake("-slow lost", store=store, websocket=websocket) as (harness, zoe):
        slow = await harness.enter("slow", "lobby", buffer_bytes=1_024)
        await slow.receive_for()
        assert await zoe.presence_changes() == ["+slow"]
        zoe.send(*[Say("lobby", LONG)] * 60)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_slowly, slow)
            nursery.start_soon(_ping, slow)
            for _ in range(10):
                assert await zoe.presence_changes(30) == []
            nursery.cancel_scope.cancel()
        assert slow.seqs() == list(range(slow.seqs()[0], slow.seqs()[-1] + 1))
        assert slow.seqs()[-1] > 60
        slow.link.close()


class SilentLink:
    """A link that never reports that it is writable, as a socket with large buffers may not for minutes."""

    def __init__(self, link: PipeLink) -> None:
        self.address = link.address
        self.receive_some = link.receive_some
        self.send_nowait = link.send_nowait
        self.send_bare = link.send_bare
        self.interrupt = link.interrupt
        self.finish = link.finish
        self.close = link.close

    async def wait_writable(self) -> None:
        await trio.sleep_forever()


async def test_a_socket_that_does_not_say_when_it_takes_more(
    websocket: bool, autojump_clock: MockClock
) -> None:
    """The server tries to send every second."""
    async with awake("-slow quit", websocket=websocket) as (harness, zoe), trio.open_nursery() as nursery:
        here, there = link_pair(4_096)
        nursery.start_soon(harness.server.serve_link, SilentLink(there))
        slow = RawClient(here, harness.wire())
        await slow.hello("slow")
        await slow.join("lobby")
        assert await zoe.presence_changes() == ["+slow"]
        await _talk(zoe, 20)
        await slow.receive_for(30)
        assert slow.seqs()[-1] == zoe.seqs()[-1]
        slow.send(Quit())
        await slow.ended_with("quit")
        here.close()


async def _read_slowly(peer: RawClient) -> None:
    """Read a buffer of 4 KiB every four seconds."""
    while True:
        await trio.sleep(4)
        peer.take(await peer.link.receive_some())


async def _ping(peer: RawClient) -> None:
    while True:
        peer.send(Ping())
        await trio.sleep(25)


# --- row 42: does not read its replies -------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "count"), [(Ping(n=2**53 - 1), 20_000), (History("lobby"), 400)], ids=["ping", "history"]
)
async def test_the_server_hears_no_more_than_it_may_owe(
    question: Ping | History, count: int, websocket: bool, autojump_clock: MockClock
) -> None:
    async with awake(websocket=websocket) as (harness, zoe):
        eve = await harness.enter("eve", "lobby", buffer_bytes=4_000)
        assert await zoe.presence_changes() == ["+eve"]
        await _talk(zoe, 60)
        is_sent = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_flood, eve, eve.packed(question) * count, is_sent)
            assert await zoe.presence_changes(50) == []
            assert not is_sent.is_set(), "the server has stopped to read from her"
            for _ in range(count):
                await eve.answer(Pong if isinstance(question, Ping) else HistoryPage)


async def _send_flood(peer: RawClient, data: bytes, is_sent: trio.Event) -> None:
    await peer.send_all(data)
    is_sent.set()


async def test_what_is_owed_is_bounded(websocket: bool, autojump_clock: MockClock) -> None:
    async with awake(websocket=websocket) as (harness, zoe):
        eve = await harness.enter("eve", "lobby")
        assert await zoe.presence_changes() == ["+eve"]
        await _talk(zoe, 60)
        blocks = sys.getallocatedblocks()
        tracemalloc.start()
        try:
            with trio.move_on_after(20):
                await eve.send_all(eve.packed(History("lobby")) * 10_000)
            current, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert current < 1_500_000, "twice 256 KiB, the largest reply, and the buffers of the link"
        assert sys.getallocatedblocks() - blocks < 20_000
        assert await zoe.presence_changes(45) == ["-eve slow"]


async def test_the_answers_come_in_order_when_they_are_read(
    websocket: bool, autojump_clock: MockClock
) -> None:
    async with awake(websocket=websocket) as (harness, zoe):
        eve = await harness.enter("eve", "lobby")
        assert await zoe.presence_changes() == ["+eve"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(eve.send_all, eve.packed(*(Ping(n=n) for n in range(30_000))))
            assert await zoe.presence_changes(50) == []
            answers = 0
            while answers < 30_000:
                event = await eve.next()
                if isinstance(event, Pong):
                    assert event.n == answers
                    answers += 1
        assert await zoe.presence_changes() == []


async def test_it_is_no_silence_while_the_server_does_not_read(
    websocket: bool, autojump_clock: MockClock
) -> None:
    """Afterwards the timeout runs again, a minute after the last read."""
    async with awake(websocket=websocket) as (harness, zoe):
        eve = await harness.enter("eve", "lobby")
        assert await zoe.presence_changes() == ["+eve"]
        await eve.send_all(eve.packed(Ping(n=2**53 - 1)) * 10_000)
        assert await zoe.presence_changes(50) == []
        assert len([event for event in await eve.receive_for(1) if isinstance(event, Pong)]) == 10_000
        assert await zoe.presence_changes(55) == []
        assert await zoe.presence_changes(10) == ["-eve timeout"]


# --- row 43: all sessions at once ------------------------------------------------------------------------


@pytest.mark.parametrize("tail_bytes", [4 << 20, 10_000], ids=["from the tail", "from the journal"])
async def test_five_hundred_stall_together(tail_bytes: int, autojump_clock: MockClock) -> None:
    store = CountingStore()
    async with serving(store=store, rate_limit=False, tail_bytes=tail_bytes, connections=1_000) as harness:
        zoe = await harness.observer()
        random = Random(43)
        peers = [
            await harness.enter(f"peer{n}", "lobby", buffer_bytes=random.choice([8_000, 16_000, 30_000]))
            for n in range(500)
        ]
        for peer in peers:
            await peer.receive_for(0.001)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            await _talk(zoe, 30)
        await trio.sleep(2)
        current, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # 150 KB were sent. A copy for each stalled session would be 75 MB. Their links hold 9 MB.
        assert current - before < 15_000_000
        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(peer.receive_for, 10)
        for peer in peers:
            assert peer.seqs() == list(range(1, 151))
        assert store.at_once <= 4
        assert store.reads <= (0 if tail_bytes > 150_000 else 100), "sessions share their pages"
        await _talk(zoe, 1)
        for peer in peers[::50]:
            await peer.receive_for(0.1)
            assert peer.seqs()[-1] == 151


async def test_a_journal_that_cannot_be_read_ends_no_session(
    websocket: bool, autojump_clock: MockClock
) -> None:
    store = FailingStore(failing=False)
    async with awake(store=store, tail_bytes=1, websocket=websocket) as (harness, zoe):
        sleepy = await _stalled_member(harness, zoe)
        await _talk(zoe, 20)
        store.reading_fails = True
        await sleepy.receive_for(20)
        assert len(sleepy.seqs()) < 10
        store.reading_fails = False
        await sleepy.receive_for(20)
        assert sleepy.seqs()[-1] == zoe.seqs()[-1]
        with pytest.raises(trio.TooSlowError), trio.fail_after(1):
            await sleepy.next()


async def test_a_reset_while_being_caught_up_is_one_going(websocket: bool, autojump_clock: MockClock) -> None:
    store = CountingStore()
    async with awake("-sleepy lost", store=store, tail_bytes=1, websocket=websocket) as (harness, zoe):
        sleepy = await _stalled_member(harness, zoe)
        await _talk(zoe, 20)
        await sleepy.receive_for(0.015)
        assert store.reads
        sleepy.link.close()
        with pytest.raises((LinkBroken, trio.ClosedResourceError)):
            await sleepy.next()


async def test_presence_is_right_however_fast_it_changes(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving(rate_limit=False, websocket=websocket) as harness:
        zoe = await harness.observer()
        random = Random(6)
        here: dict[str, RawClient] = {}
        for _ in range(200):
            name = f"peer{random.randrange(20)}"
            if name in here:
                here.pop(name).link.close()
            else:
                here[name] = await harness.enter(name, "lobby")
            if random.random() < 0.3:
                await trio.sleep(random.choice([0.001, 0.1]))
        believed: set[str] = set()
        for change in await zoe.presence_changes(5):
            name = change[1:].split()[0]
            if change[0] == "-":
                believed.remove(name)
            else:
                assert name not in believed
                believed.add(name)
        assert believed == set(here)
