"""Sessions: one connection, from its first byte to its last."""

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import packed, serving
from tests.server.stores import FailingStore, HeldStore, SlowStore
from trio_chat.wire.messages import (
    Ack,
    Departure,
    Error,
    Hello,
    History,
    HistoryPage,
    Join,
    Leave,
    Ping,
    Pong,
    Presence,
    Quit,
    Room,
    Said,
    Say,
    Welcome,
)


async def test_two_members_exchange_messages(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        bob = await harness.enter("bob", "lobby")
        assert await ada.say("hello") == 1
        for peer in (ada, bob):
            await peer.expect(Said, by="ada", text="hello", seq=1)
        assert await bob.say("hello, ada") == 2
        for peer in (ada, bob):
            await peer.expect(Said, by="bob", text="hello, ada", seq=2)


async def test_a_whole_session_in_one_segment(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = harness.dial()
        ada.send(
            Hello(version=1, name="ada"),
            Join("lobby", ref="j"),
            Say("lobby", "hello and goodbye", ref="s"),
            Leave("lobby", ref="l"),
            Ping(n=7),
            Quit(ref="q"),
        )
        await ada.expect(Welcome, name="ada")
        await ada.expect(Room, ref="j", members=1, head=0)
        await ada.expect(Ack, ref="s", seq=1)
        await ada.expect(Said, seq=1)
        await ada.expect(Ack, ref="l")
        await ada.expect(Pong, n=7)
        bye = await ada.ended()
        assert bye is not None and (bye.code, bye.ref, bye.reconnect) == ("quit", "q", False)


async def test_replies_to_commands_before_a_broken_frame_are_sent(autojump_clock: MockClock) -> None:
    """For any division of the bytes into segments."""
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send_bytes(packed(Ping(n=1)) + bytes(4))
        await ada.expect(Pong, n=1)
        await ada.ended_with("bad_frame")


async def test_no_command_after_a_broken_frame_is_executed(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        zoe = await harness.observer()
        eve = await harness.enter("eve", "lobby")
        assert await zoe.presence_changes() == ["+eve"]
        eve.send_bytes(bytes(4) + packed(Say("lobby", "after the end")))
        await eve.ended()
        assert await zoe.presence_changes() == ["-eve lost"]
        assert [entry.by for entry in zoe.entries()] == ["zoe", "zoe"]


async def test_the_tenth_bad_message_within_a_minute_ends_it(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        zoe = await harness.observer()
        eve = await harness.enter("eve", "lobby")
        assert await zoe.presence_changes() == ["+eve"]
        eve.send_payloads(*[b"?"] * 10)
        for _ in range(9):
            await eve.answer(Error, code="bad_message")
        await eve.ended_with("bad_frame")
        assert await zoe.presence_changes() == ["-eve lost"]


async def test_nine_bad_messages_a_minute_do_not_end_a_session(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        eve = await harness.enter("eve", "lobby")
        for _ in range(10):
            eve.send_payloads(*[b"?"] * 9)
            heard = await eve.receive_for(59)
            assert [event.code for event in heard if isinstance(event, Error)] == ["bad_message"] * 9
            eve.send(Ping())
            await eve.receive_for(2)
        assert harness.server.sessions == 1


async def test_bad_messages_before_the_hello_are_counted_too(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        eve = harness.dial()
        eve.send_payloads(*[b"?"] * 10)
        await eve.ended_with("bad_frame")
        assert len(eve.seen) == 10


async def test_the_end_of_input_settles_pending_messages(autojump_clock: MockClock) -> None:
    store = HeldStore()
    async with serving(store=store) as harness:
        zoe = await harness.observer()
        ada = await harness.enter("ada", "lobby")
        ada.send(*[Say("lobby", f"number {n}", ref=f"s{n}") for n in range(1, 4)])
        ada.send_eof()
        assert await zoe.receive_for() != [], (
            "ada has joined and not left yet: her messages are being committed"
        )
        store.holds_commits = False
        store.release()
        for n in range(1, 4):
            await ada.answer(Ack, ref=f"s{n}", seq=n)
        assert await ada.ended() is None
        assert await zoe.presence_changes() == ["-ada lost"]
        assert zoe.seqs() == [1, 2, 3, 4]


async def test_messages_committed_after_a_reset_are_still_published(autojump_clock: MockClock) -> None:
    store = HeldStore()
    async with serving(store=store) as harness:
        zoe = await harness.observer()
        ada = await harness.enter("ada", "lobby")
        ada.send(Say("lobby", "last words", ref="s"))
        await zoe.receive_for()
        ada.link.close()
        await zoe.expect(Presence, left=[_lost("ada")])
        store.holds_commits = False
        store.release()
        await zoe.expect(Said, by="ada", text="last words")


@pytest.mark.parametrize("failing", [False, True])
async def test_nothing_is_sent_after_the_goodbye(
    failing: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Drafts were pending when the connection broke a rule, and its goodbye is not read yet."""
    store = HeldStore(FailingStore(failing=failing))
    async with serving(store=store) as harness:
        eve = await harness.enter("eve", "lobby", buffer_bytes=300)
        eve.send(*[Ping(n=n) for n in range(10)])
        await trio.sleep(1)
        eve.send(Say("lobby", "hi", ref="s"))
        await trio.sleep(1)
        eve.send_bytes(bytes(4))
        await trio.sleep(1)
        store.holds_commits = False
        store.release()
        await trio.sleep(1)
        await eve.ended_with("bad_frame")
    caplog.clear()  # the failing journal is logged


async def test_quit_waits_for_pending_messages(autojump_clock: MockClock) -> None:
    store = SlowStore(commit_s=3)
    async with serving(store=store) as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(Say("lobby", "one", ref="s1"), Say("lobby", "two", ref="s2"), Quit())
        await ada.answer(Ack, ref="s1", seq=1)
        await ada.answer(Ack, ref="s2", seq=2)
        await ada.ended_with("quit")


async def test_no_entry_is_sent_after_the_reply_to_leave(autojump_clock: MockClock) -> None:
    store = SlowStore(commit_s=1)
    async with serving(store=store) as harness:
        ada = await harness.enter("ada", "lobby")
        bob = await harness.enter("bob", "lobby")
        bob.send(*[Say("lobby", f"bob's {n}") for n in range(5)])
        ada.send(Say("lobby", "mine", ref="s"), Leave("lobby", ref="l"))
        bob.send(*[Say("lobby", f"bob's {n}") for n in range(5, 10)])
        await ada.answer(Ack, ref="l", room="lobby")
        mine = [entry.seq for entry in ada.entries() if entry.by == "ada"]
        assert ada.seqs() == list(range(1, ada.seqs()[-1] + 1)), "all earlier entries, in order"
        assert mine, "the own messages are published before the leave"
        await ada.receive_for(0.001)  # entries that were read together with the reply
        assert not [event for event in await ada.receive_for(10) if not isinstance(event, Presence)]


async def test_a_session_may_end_during_a_query(autojump_clock: MockClock) -> None:
    """The room is empty and closed before the journal replies."""
    store = SlowStore(read_s=5)
    async with serving(store=store, ping_s=1, silence_s=2, sessions=1) as harness:
        ada = await harness.enter("ada", "lobby")
        token = ada.token
        ada.send(*map(_history, ["h1", "h2"]))
        again = await harness.enter("ada", token=token)
        await ada.ended_with("replaced")
        assert not [event for event in ada.seen if isinstance(event, HistoryPage)]
        assert again.seen, "the new session gets its welcome"


async def test_the_journal_cannot_be_opened(autojump_clock: MockClock) -> None:
    store = FailingStore(failing=False)
    store.opening_fails = True
    async with serving(store=store) as harness:
        ada = await harness.enter("ada")
        ada.send(Join("lobby", ref="j"))
        await ada.expect(Error, code="unavailable", ref="j")
        store.opening_fails = False
        await ada.join("lobby")
        assert await ada.say("here at last") == 1


@pytest.mark.parametrize("size", [1, 3, 7, 64])
async def test_small_segments_make_no_difference(size: int, autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = harness.dial(buffer_bytes=size)
        commands = (Hello(version=1, name="ada"), Join("lobby"), Say("lobby", "hello", ref="s"), Quit())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ada.send_all, packed(*commands))
            await ada.expect(Welcome)
            await ada.expect(Room)
            await ada.answer(Ack, seq=1)
            await ada.ended_with("quit")


def _history(ref: str) -> History:
    return History("lobby", ref=ref)


def _lost(name: str) -> Departure:
    return Departure(name, "lost")
