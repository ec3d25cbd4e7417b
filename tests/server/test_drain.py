"""Leaving the block drains: acked messages are kept, all sessions get a `bye`, slow peers delay little."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import RawClient, serving
from tests.server.stores import HeldStore, SlowStore
from trio_chat.net.link import Link
from trio_chat.testing.pipe import link_pair
from trio_chat.wire.messages import Ack, Error, Leave, Ping, Pong, Quit, Said, Say


async def test_all_connections_get_a_bye_even_before_their_hello(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        stranger = harness.dial()
        inside_a_frame = await harness.enter("eve", "lobby")
        inside_a_frame.send_bytes(b"\0\0")
        await trio.sleep(1)
    for peer in (ada, stranger, inside_a_frame):
        await peer.ended_with("draining")


async def test_pending_messages_are_acked_before_the_goodbye(autojump_clock: MockClock) -> None:
    async with serving(store=SlowStore(commit_s=3)) as harness:
        ada = await harness.enter("ada", "lobby")
        bob = await harness.enter("bob", "lobby")
        ada.send(Say("lobby", "one", ref="s1"), Say("lobby", "two", ref="s2"))
        await trio.sleep(1)
        bob.send(Say("lobby", "three", ref="s3"))
        await trio.sleep(1)
    await ada.answer(Ack, ref="s1", seq=1)
    await ada.answer(Ack, ref="s2", seq=2)
    await bob.answer(Ack, ref="s3", seq=3)
    for peer in (ada, bob):
        await peer.ended_with("draining")


async def test_later_commands_are_not_executed(autojump_clock: MockClock) -> None:
    store = SlowStore(commit_s=3)
    async with trio.open_nursery() as nursery, serving(store=store) as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(Say("lobby", "in time"))
        await trio.sleep(1)
        nursery.start_soon(_say_after, ada, 1)
    assert [draft.text for batch in store.batches for draft in batch] == ["in time"]
    await ada.ended_with("draining")


async def _say_after(peer: RawClient, seconds: float) -> None:
    await trio.sleep(seconds)
    peer.send(Say("lobby", "too late"))


async def test_peers_that_do_not_close_do_not_delay_the_end(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        peers = [await harness.enter(name, "lobby") for name in ("ada", "bob", "eve")]
        begun = trio.current_time()
    assert trio.current_time() - begun <= 1, "a moment, so that a reset does not lose the goodbye"
    for peer in peers:
        await peer.ended_with("draining")


async def test_a_peer_that_closes_at_once_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with serving() as harness:
            ada = await harness.enter("ada", "lobby")
            nursery.start_soon(_drained_and_closed, ada)
            begun = trio.current_time()
        assert trio.current_time() == begun


async def _drained_and_closed(peer: RawClient) -> None:
    await peer.ended_with("draining")
    peer.link.close()


async def test_a_peer_that_does_not_read_is_dropped_after_goodbye_s(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        slow = await harness.enter("slow", "lobby", buffer_bytes=300)
        ada = await harness.enter("ada", "lobby")
        for n in range(5):
            await ada.say(f"number {n}")
        begun = trio.current_time()
    assert trio.current_time() - begun == 5
    await ada.ended_with("draining")
    heard = await slow.receive_for()
    assert not [event for event in heard if isinstance(event, Said) and event.seq == 5]


@pytest.mark.parametrize("waits", ["to be read", "to leave"])
async def test_a_drain_does_not_wait_longer_than_goodbye_s(waits: str, autojump_clock: MockClock) -> None:
    """Its five seconds start with the drain."""
    async with serving(rate_limit=False, answers_bytes=5_000) as harness:
        slow = await harness.enter("slow", "lobby", buffer_bytes=20_000)
        ada = await harness.enter("ada", "lobby")
        for n in range(30):
            await ada.say(f"{n} " + "x" * 1_000)
        slow.send(*[Ping(n=n) for n in range(500)] if waits == "to be read" else [Leave("lobby")])
        await trio.sleep(1.5)
        begun = trio.current_time()
    assert trio.current_time() - begun == 5


async def test_a_slow_reader_gets_its_replies_and_the_goodbye(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with serving(store=SlowStore(commit_s=1)) as harness:
            slow = await harness.enter("slow", "lobby", buffer_bytes=300)
            slow.send(*[Ping(n=n) for n in range(5)], Say("lobby", "hi", ref="s"))
            await trio.sleep(0.5)
            nursery.start_soon(_reads_on_after, slow, 3)
        assert Ack("s", "lobby", 1) in slow.seen
        assert [event.n for event in slow.seen if isinstance(event, Pong)] == list(range(5))


async def _reads_on_after(peer: RawClient, seconds: float) -> None:
    await trio.sleep(seconds)
    await peer.ended_with("draining")


async def test_a_journal_that_hangs_delays_the_end_only_to_the_deadline(autojump_clock: MockClock) -> None:
    async with serving(store=HeldStore(), in_doubt=True) as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(Say("lobby", "hi", ref="s"))
        await trio.sleep(1)
        begun = trio.current_time()
    assert trio.current_time() - begun == 8
    assert not [event for event in await ada.receive_for() if isinstance(event, Ack)], (
        "what is not kept is not acked"
    )


@pytest.mark.parametrize("waits", ["leave", "quit", "end"])
async def test_a_session_that_is_leaving_is_settled_too(waits: str, autojump_clock: MockClock) -> None:
    async with serving(store=SlowStore(commit_s=3)) as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(Say("lobby", "hi", ref="s"))
        if waits == "end":
            ada.send_eof()
        else:
            ada.send(Leave("lobby") if waits == "leave" else Quit())
        await trio.sleep(1)
    await ada.answer(Ack, ref="s", seq=1)
    bye = await ada.ended()
    assert bye is None or bye.code in ("quit", "draining")


async def test_a_waiting_author_gets_capacity_or_no_ack(autojump_clock: MockClock) -> None:
    store = SlowStore(commit_s=1.5)
    async with serving(store=store, in_doubt=True, queue_entries=1) as harness:
        peers = [await harness.enter(f"peer{n}", "lobby") for n in range(10)]
        for peer in peers:
            peer.send(Say("lobby", "hi", ref="s"))
        await trio.sleep(1)
    acked = 0
    for peer in peers:
        await peer.receive_for()
        acks = [event for event in peer.seen if isinstance(event, Ack)]
        errors = [event for event in peer.seen if isinstance(event, Error)]
        assert len(acks) + len(errors) <= 1
        acked += len(acks)
    kept = sum(map(len, store.batches))
    assert 3 <= acked <= kept


async def test_new_connections_during_a_drain_get_a_bye(autojump_clock: MockClock) -> None:
    here, there = link_pair()
    async with trio.open_nursery() as nursery:
        async with serving(store=SlowStore(commit_s=3)) as harness:
            ada = await harness.enter("ada", "lobby")
            ada.send(Say("lobby", "hi", ref="s"))
            await trio.sleep(1)
            serve = harness.server.serve_link
            nursery.start_soon(_serve_after, 1, serve, there)
        with pytest.raises(trio.BrokenResourceError):
            harness.dial()
    await RawClient(here).ended_with("draining")


async def _serve_after(seconds: float, serve: Callable[[Link], Awaitable[None]], link: Link) -> None:
    await trio.sleep(seconds)
    await serve(link)
