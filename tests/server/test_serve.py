"""The server as a whole: where it listens, whom it turns away, and how the block ends."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from tests.server.peer import Peer, PipeListener, serving
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
    """Says when it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: list[float] = []  # when

    async def aclose(self) -> None:
        await super().aclose()
        self.closed.append(trio.current_time())


class HolesStore(MemoryStore):
    """Has a bug that the committer does not expect: it leaves numbers out."""

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        outcomes = await super().commit(drafts, now_ms)
        return [CommitResult(2 * outcome.seq, outcome.payload) for outcome in outcomes]


# --- where it listens -----------------------------------------------------------------------------------


async def test_it_listens_when_the_block_begins() -> None:
    async with open_server(Config(port=0)) as server:
        (address,) = server.addresses
        assert address.startswith("tcp://127.0.0.1:")
        port = int(address.rpartition(":")[2])
        ada, bob = Peer(await dial_tcp("127.0.0.1", port)), Peer(await dial_tcp("localhost", port))
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


async def test_a_port_in_use_is_said_before_the_block() -> None:
    async with open_server(Config(port=0)) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        with pytest.raises(CannotStart, match="in use"):
            async with open_server(Config(port=port)):
                pytest.fail("it cannot start")


async def test_a_journal_that_cannot_be_is_said_before_the_block(tmp_path: Path) -> None:
    listener = PipeListener()
    with pytest.raises(CannotStart, match="papyrus: No such file or directory"):
        async with open_server(Config(journal=f"{tmp_path}/none/papyrus"), listeners=[listener]):
            pytest.fail("it cannot start")
    with pytest.raises(trio.BrokenResourceError):
        listener.dial(1, "")


async def test_any_stream_can_be_served(autojump_clock: MockClock) -> None:
    async with serving() as house, trio.open_nursery() as nursery:
        here, there = memory_stream_pair()
        nursery.start_soon(house.server.serve_stream, there, "somewhere")
        zoe = await house.bystander()
        async with open_stream_link(here) as link:
            ada = Peer(link)
            await ada.hello("ada")
            await ada.join("lobby")
            assert await zoe.noticed() == ["+ada"]
            assert await ada.say("by another way") == 2
        assert await zoe.noticed() == ["-ada lost"]


# --- whom it turns away ---------------------------------------------------------------------------------


async def _turned_away(peer: Peer) -> Bye:
    bye = await peer.ended()
    assert bye is not None and bye.reconnect
    return bye


async def test_a_full_server_turns_away_and_has_a_place_again(autojump_clock: MockClock) -> None:
    async with serving(connections=2) as house:
        zoe = await house.bystander()
        ada = await house.enter("ada", "lobby")
        bye = await _turned_away(house.dial())
        assert (bye.code, bye.detail, bye.after_s) == ("too_many_connections", "the server is full", 5)
        assert await zoe.noticed() == ["+ada"]
        ada.link.close()
        assert await zoe.noticed() == ["-ada lost"]
        await house.enter("bob", "lobby")


async def test_one_address_gets_no_more_than_its_share(autojump_clock: MockClock) -> None:
    async with serving(connections_per_address=2) as house:
        there = [await house.enter(name, address="192.0.2.1") for name in ("ada", "bob")]
        bye = await _turned_away(house.dial(address="192.0.2.1"))
        assert (bye.code, bye.detail) == ("too_many_connections", "at most 2 connections from one address")
        await house.enter("elsewhere", address="192.0.2.2")
        there[1].link.close()
        await trio.sleep(1)
        await house.enter("bob", address="192.0.2.1")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", ""])
async def test_all_of_this_machine_may_come(address: str, autojump_clock: MockClock) -> None:
    async with serving(connections_per_address=1) as house:
        for name in ("ada", "bob", "eve"):
            await house.enter(name, address=address)


async def test_a_crowd_at_the_door_is_told_up_to_a_bound(autojump_clock: MockClock) -> None:
    """Nobody of it reads: those beyond the bound are closed without a word, and nobody waits for them."""
    async with serving(connections=1) as house:
        zoe = await house.bystander()
        crowd = [house.dial() for _ in range(300)]
        await trio.sleep(0.5)
        assert await zoe.noticed(0.1) == []
        told = [peer for peer in crowd if any(isinstance(event, Bye) for event in await peer.hears(0.001))]
        assert len(told) == 100
        await trio.sleep(2)
        await _turned_away(house.dial())


# --- how the block ends ---------------------------------------------------------------------------------


async def test_an_exception_in_the_block_ends_all_at_once(autojump_clock: MockClock) -> None:
    listener, store = PipeListener(), ClosingStore()
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with open_server(listeners=[listener], store=store):
            ada = Peer(listener.dial(65_536, ""))
            await ada.hello("ada")
            raise ZeroDivisionError
    assert trio.current_time() == 0
    assert store.closed
    assert await ada.ended() is None


async def test_being_cancelled_ends_all_at_once(autojump_clock: MockClock) -> None:
    listener, store = PipeListener(), ClosingStore()
    with trio.move_on_after(5):
        async with open_server(listeners=[listener], store=store):
            ada = Peer(listener.dial(65_536, ""))
            await ada.hello("ada")
            await trio.sleep_forever()
    assert trio.current_time() == 5
    assert store.closed
    assert await ada.ended() is None


async def test_the_store_is_closed_last(autojump_clock: MockClock) -> None:
    store = ClosingStore()
    async with serving(store=store) as house:
        ada = await house.enter("ada", "lobby")
        ada.send(Say("lobby", "last words"))
        await trio.sleep(1)
        assert not store.closed
    assert store.closed
    await ada.answer(Said, text="last words")


async def test_a_store_that_does_not_close_holds_nobody_up_for_long(autojump_clock: MockClock) -> None:
    class StuckStore(MemoryStore):
        async def aclose(self) -> None:
            await trio.sleep_forever()

    async with serving(store=StuckStore(), goodbye_s=3):
        pass
    assert trio.current_time() == 3


async def test_a_bug_in_the_committer_ends_the_server_loudly(autojump_clock: MockClock) -> None:
    """Silently it would leave every author waiting for ever."""
    listener = PipeListener()
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="without a hole"), flatten_subgroups=True):
        async with open_server(listeners=[listener], store=HolesStore()):
            ada = Peer(listener.dial(65_536, ""))
            await ada.hello("ada")
            await ada.join("lobby")
            ada.send(Say("lobby", "hi", ref="s"))
            await trio.sleep(10)
    assert await ada.ended() is None


async def test_servers_with_the_same_seed_give_the_same_tokens(autojump_clock: MockClock) -> None:
    tokens = []
    for _ in range(2):
        async with serving() as house:
            ada = await house.enter("ada")
            tokens.append((ada.token, (await ada.join("lobby")).epoch))
    assert tokens[0] == tokens[1]


def test_a_limit_that_cannot_work_is_said() -> None:
    with pytest.raises(CannotStart, match="rooms: got 0, expected at least 1"):
        Limits(rooms=0)


async def test_a_link_that_is_dead_on_arrival(autojump_clock: MockClock) -> None:
    async with serving(store=SlowStore()) as house:
        zoe = await house.bystander()
        for _ in range(20):
            house.dial().link.close()
        eve = house.dial()
        eve.send_bytes(b"\0")
        eve.link.close()
        assert await zoe.noticed() == []
        with pytest.raises((LinkBroken, trio.ClosedResourceError)):
            await eve.next()
