"""The server as a whole: its listeners, its limits of connections, and the end of the block."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from tests.server.harness import PipeListener, RawClient, serving
from tests.server.stores import SlowStore
from trio_chat import open_server
from trio_chat.errors import CannotStart, LinkBroken
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.store import CommitResult, Draft
from trio_chat.net.dial import dial_tcp
from trio_chat.net.stream import open_stream_link
from trio_chat.server.config import Config, Limits
from trio_chat.wire.messages import Bye, Presence, Said, Say


class ClosingStore(MemoryStore):
    """Records when it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: list[float] = []  # the times

    async def aclose(self) -> None:
        await super().aclose()
        self.closed.append(trio.current_time())


class HolesStore(MemoryStore):
    """Has a bug that the committer does not expect: it skips numbers."""

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        outcomes = await super().commit(drafts, now_ms)
        return [CommitResult(2 * outcome.seq, outcome.payload) for outcome in outcomes]


# --- listeners ------------------------------------------------------------------------------------------


async def test_it_listens_when_the_block_begins() -> None:
    async with open_server(Config(port=0)) as server:
        (address,) = server.addresses
        assert address.startswith("tcp://127.0.0.1:")
        port = int(address.rpartition(":")[2])
        ada, bob = RawClient(await dial_tcp("127.0.0.1", port)), RawClient(await dial_tcp("localhost", port))
        for name, peer in (("ada", ada), ("bob", bob)):
            await peer.hello(name)
            await peer.join("lobby")
        await ada.say("over a real wire")
        await bob.expect(Said, by="ada")
        ada.link.close()
        await bob.answer(Presence, members=1)
        bob.link.close()
    with pytest.raises(OSError, match="failed"):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_a_port_in_use_is_reported_before_the_block() -> None:
    async with open_server(Config(port=0)) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        with pytest.raises(CannotStart, match="in use"):
            async with open_server(Config(port=port)):
                pytest.fail("it cannot start")


async def test_an_impossible_journal_is_reported_before_the_block(tmp_path: Path) -> None:
    listener = PipeListener()
    with pytest.raises(CannotStart, match="papyrus: No such file or directory"):
        async with open_server(Config(journal=f"{tmp_path}/none/papyrus"), listeners=[listener]):
            pytest.fail("it cannot start")
    with pytest.raises(trio.BrokenResourceError):
        listener.dial(1, "")


async def test_any_stream_can_be_served(autojump_clock: MockClock) -> None:
    async with serving() as harness, trio.open_nursery() as nursery:
        here, there = memory_stream_pair()
        nursery.start_soon(harness.server.serve_stream, there, "somewhere")
        zoe = await harness.observer()
        async with open_stream_link(here) as link:
            ada = RawClient(link)
            await ada.hello("ada")
            await ada.join("lobby")
            assert await zoe.presence_changes() == ["+ada"]
            assert await ada.say("by another way") == 2
        assert await zoe.presence_changes() == ["-ada lost"]


# --- limits of connections -------------------------------------------------------------------------------


async def _refused(peer: RawClient) -> Bye:
    bye = await peer.ended()
    assert bye is not None and bye.reconnect
    return bye


async def test_a_full_server_refuses_connections_until_one_ends(autojump_clock: MockClock) -> None:
    async with serving(connections=2) as harness:
        zoe = await harness.observer()
        ada = await harness.enter("ada", "lobby")
        bye = await _refused(harness.dial())
        assert (bye.code, bye.detail, bye.after_s) == ("too_many_connections", "the server is full", 5)
        assert await zoe.presence_changes() == ["+ada"]
        ada.link.close()
        assert await zoe.presence_changes() == ["-ada lost"]
        await harness.enter("bob", "lobby")


async def test_connections_from_one_address_are_limited(autojump_clock: MockClock) -> None:
    async with serving(connections_per_address=2) as harness:
        there = [await harness.enter(name, address="192.0.2.1") for name in ("ada", "bob")]
        bye = await _refused(harness.dial(address="192.0.2.1"))
        assert (bye.code, bye.detail) == ("too_many_connections", "at most 2 connections from one address")
        await harness.enter("elsewhere", address="192.0.2.2")
        there[1].link.close()
        await trio.sleep(1)
        await harness.enter("bob", address="192.0.2.1")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", ""])
async def test_loopback_connections_are_not_limited(address: str, autojump_clock: MockClock) -> None:
    async with serving(connections_per_address=1) as harness:
        for name in ("ada", "bob", "eve"):
            await harness.enter(name, address=address)


async def test_refused_connections_get_a_bye_up_to_a_bound(autojump_clock: MockClock) -> None:
    """These peers do not read. Beyond the bound, connections are closed without a `bye` or a wait."""
    async with serving(connections=1) as harness:
        zoe = await harness.observer()
        crowd = [harness.dial() for _ in range(300)]
        await trio.sleep(0.5)
        assert await zoe.presence_changes(0.1) == []
        told = [
            peer for peer in crowd if any(isinstance(event, Bye) for event in await peer.receive_for(0.001))
        ]
        assert len(told) == 100
        await trio.sleep(2)
        await _refused(harness.dial())


# --- the end of the block -------------------------------------------------------------------------------


async def test_an_exception_in_the_block_closes_all_connections(autojump_clock: MockClock) -> None:
    listener, store = PipeListener(), ClosingStore()
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with open_server(listeners=[listener], store=store):
            ada = RawClient(listener.dial(65_536, ""))
            await ada.hello("ada")
            raise ZeroDivisionError
    assert trio.current_time() == 0
    assert store.closed
    assert await ada.ended() is None


async def test_being_cancelled_closes_all_connections(autojump_clock: MockClock) -> None:
    listener, store = PipeListener(), ClosingStore()
    with trio.move_on_after(5):
        async with open_server(listeners=[listener], store=store):
            ada = RawClient(listener.dial(65_536, ""))
            await ada.hello("ada")
            await trio.sleep_forever()
    assert trio.current_time() == 5
    assert store.closed
    assert await ada.ended() is None


async def test_the_store_is_closed_last(autojump_clock: MockClock) -> None:
    store = ClosingStore()
    async with serving(store=store) as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(Say("lobby", "last words"))
        await trio.sleep(1)
        assert not store.closed
    assert store.closed
    await ada.answer(Said, text="last words")


async def test_a_store_that_does_not_close_delays_the_end_only_briefly(autojump_clock: MockClock) -> None:
    class StuckStore(MemoryStore):
        async def aclose(self) -> None:
            await trio.sleep_forever()

    async with serving(store=StuckStore(), goodbye_s=3):
        pass
    assert trio.current_time() == 3


async def test_a_bug_in_the_committer_ends_the_server_with_an_exception(autojump_clock: MockClock) -> None:
    """Without the exception, every author would wait for ever."""
    listener = PipeListener()
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="have no hole"), flatten_subgroups=True):
        async with open_server(listeners=[listener], store=HolesStore()):
            ada = RawClient(listener.dial(65_536, ""))
            await ada.hello("ada")
            await ada.join("lobby")
            ada.send(Say("lobby", "hi", ref="s"))
            await trio.sleep(10)
    assert await ada.ended() is None


async def test_servers_with_the_same_seed_give_the_same_tokens(autojump_clock: MockClock) -> None:
    tokens = []
    for _ in range(2):
        async with serving() as harness:
            ada = await harness.enter("ada")
            tokens.append((ada.token, (await ada.join("lobby")).epoch))
    assert tokens[0] == tokens[1]


def test_a_limit_that_cannot_work_is_said() -> None:
    with pytest.raises(CannotStart, match="rooms: got 0, expected at least 1"):
        Limits(rooms=0)


async def test_a_link_that_is_closed_at_once(autojump_clock: MockClock) -> None:
    async with serving(store=SlowStore()) as harness:
        zoe = await harness.observer()
        for _ in range(20):
            harness.dial().link.close()
        eve = harness.dial()
        eve.send_bytes(b"\0")
        eve.link.close()
        assert await zoe.presence_changes() == []
        with pytest.raises((LinkBroken, trio.ClosedResourceError)):
            await eve.next()
