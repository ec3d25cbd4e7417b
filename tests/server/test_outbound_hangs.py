"""A journal whose reads hang: sessions that are behind still get their replies and the goodbye."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.harness import serving
from tests.server.outbound_harness import UNLIMITED, OutboundHarness, Receiver, outbound_harness, private
from tests.server.stores import FailingStore, HeldStore
from trio_chat.journal.store import EntryPage
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Bye, Join, Ping, Pong, Quit, Said

BYE = encode(Bye("quit", "goodbye", reconnect=False))


def hanging() -> HeldStore:
    store = HeldStore()
    store.holds_commits, store.holds_reads = False, True
    return store


class LateStore(HeldStore):
    """Returns a read page in the same step in which it is released."""

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        page = await self.inner.read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)
        if self.holds_reads:
            await self._wait()
        return page


async def one_who_waits_for_a_page(harness: OutboundHarness) -> Receiver:
    await harness.say("a")
    await harness.say("b")
    reader = Receiver(harness)
    reader.join("lobby", recent=2)
    await wait_all_tasks_blocked()
    return reader


async def test_replies_are_sent_while_a_page_is_read() -> None:
    store = hanging()
    async with outbound_harness(store, tail_bytes=1) as harness:
        reader = await one_who_waits_for_a_page(harness)
        for number in (1, 2):
            reader.outbound.send(private(number))
            reader.outbound.flush()
            assert reader.answers()[-1] == number
        assert (store.waiting, reader.texts()) == (1, []), "the read is still pending"
        store.release()
        await wait_all_tasks_blocked()
        assert reader.texts() == ["a", "b"]
        assert reader.outbound.live and reader.writer_starts == 1


async def test_the_goodbye_is_sent_while_a_page_is_read() -> None:
    store = hanging()
    async with outbound_harness(store, tail_bytes=1) as harness:
        reader = await one_who_waits_for_a_page(harness)
        reader.outbound.close(BYE, drop=True)
        assert [type(event) for event in reader.events] == [Bye]
        await reader.outbound.wait_sent()
        await wait_all_tasks_blocked()
        assert store.waiting == 0, "the read was cancelled"
        assert [type(event) for event in reader.events] == [Bye]
        assert reader.losses == 0


async def test_replies_that_do_not_fit_cancel_the_read_and_wait_for_the_socket() -> None:
    store = hanging()
    async with outbound_harness(store, tail_bytes=1) as harness:
        await harness.say("a")
        await harness.say("b")
        reader = Receiver(harness, capacity=10)
        reader.join("lobby", recent=2)
        await wait_all_tasks_blocked()
        for number in (1, 2):
            reader.outbound.send(private(number))
            reader.outbound.flush()
        await wait_all_tasks_blocked()
        assert store.waiting == 0
        reader.link.allow(UNLIMITED)
        await wait_all_tasks_blocked()
        assert (store.waiting, reader.answers()) == (1, [1, 2])
        store.release()
        await wait_all_tasks_blocked()
        assert reader.texts() == ["a", "b"]


async def test_a_page_does_not_overwrite_partly_sent_replies() -> None:
    """The page arrives when half of a reply was sent: the other half is sent first."""
    store = LateStore()
    store.holds_commits, store.holds_reads = False, True
    async with outbound_harness(store, tail_bytes=1) as harness:
        await harness.say("a")
        await harness.say("b")
        reader = Receiver(harness, capacity=10)
        reader.join("lobby", recent=2)
        await wait_all_tasks_blocked()
        store.release()
        reader.outbound.send(private(1))
        reader.outbound.flush()
        store.holds_reads = False
        reader.link.allow(UNLIMITED)
        await wait_all_tasks_blocked()
        assert (reader.answers(), reader.texts()) == ([1], ["a", "b"])


async def test_leaving_a_room_whose_read_hangs_unblocks_the_others() -> None:
    store = hanging()
    async with outbound_harness(store, tail_bytes=1) as harness:
        for room in ("lobby", "attic"):
            await harness.say("a", room=room)
            await harness.say("b", room=room)
        reader = Receiver(harness)
        for room in ("lobby", "attic"):
            reader.join(room, recent=2)
        await wait_all_tasks_blocked()
        reader.leave("lobby")
        store.holds_reads = False
        await wait_all_tasks_blocked()
        assert (reader.texts("lobby"), reader.texts("attic")) == ([], ["a", "b"])
        assert reader.outbound.live


async def test_a_connection_that_breaks_during_a_hanging_read_ends() -> None:
    store = hanging()
    async with outbound_harness(store, tail_bytes=1) as harness:
        reader = await one_who_waits_for_a_page(harness)
        reader.link.broken = True
        reader.outbound.send(private(1))
        reader.outbound.flush()
        assert reader.losses == 1
        await reader.outbound.wait_sent()
        assert store.waiting == 0


async def test_replies_are_sent_between_retries_of_a_failed_read() -> None:
    store = FailingStore(failing=False)
    async with outbound_harness(store, tail_bytes=1) as harness:
        await harness.say("a")
        await harness.say("b")
        store.reading_fails = True
        reader = Receiver(harness)
        reader.join("lobby", recent=2)
        await wait_all_tasks_blocked()
        reader.outbound.send(private(1))
        reader.outbound.flush()
        assert reader.answers() == [1]
        reader.outbound.close(BYE, drop=True)
        await reader.outbound.wait_sent()


async def test_a_session_with_a_hanging_read_is_served_and_ends(autojump_clock: MockClock) -> None:
    """Over a whole server: replies, leave, quit, and the goodbye of a drain all work during the read."""
    store = hanging()
    async with serving(store=store, tail_bytes=1) as harness:
        bob = await harness.enter("bob", "lobby")
        for text in "ab":
            await bob.say(text)
        peers = [await harness.enter(name) for name in ("ada", "eve")]
        begun = trio.current_time()
        for peer in peers:
            peer.send(Join("lobby", recent=2), Ping(7))
            await peer.answer(Pong, n=7)
        ada, eve = peers
        ada.send(Quit())
        await ada.ended_with("quit")
        ada.send_eof()
        await bob.say("c")
        assert trio.current_time() - begun < 1
    await eve.ended_with("draining")
    assert trio.current_time() - begun < 2
    assert not [event for event in eve.seen if isinstance(event, Said)]
