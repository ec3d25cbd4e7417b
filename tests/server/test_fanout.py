"""Fan-out: all sessions share the same bytes, with one send each, and a full socket delays no other."""

from collections.abc import Callable

import trio
from trio.testing import assert_checkpoints, assert_no_checkpoints

from tests.server.outbound_harness import OutboundHarness, Receiver, outbound_harness, private
from trio_chat.dialects.frames import FRAMES, FramePacking
from trio_chat.server.fanout import SENDS_AT_ONCE, publish, send_batch, send_unsent
from trio_chat.server.outbound import OutboundQueue
from trio_chat.server.stream import Batch
from trio_chat.wire.codec import encode
from trio_chat.wire.framing import pack
from trio_chat.wire.messages import Members, Presence, Said, TypingNotice

HI = encode(Said("Lobby", 1, 0, "ada", "hi"))


def readers_in(
    harness: OutboundHarness, count: int, room: str = "lobby", *, width: int | None = None
) -> list[Receiver]:
    readers = [Receiver(harness) if width is None else Receiver(harness, width) for _ in range(count)]
    for reader in readers:
        reader.join(room)
    return readers


# --- one step ---------------------------------------------------------------------------------------


async def test_each_session_in_the_room_gets_the_batch_in_one_send() -> None:
    async with outbound_harness() as harness:
        readers = readers_in(harness, 3)
        (elsewhere,) = readers_in(harness, 1, "attic")
        with assert_no_checkpoints():
            await publish(harness.rooms["lobby"], 1, [HI])
        for reader in readers:
            assert bytes(reader.link.taken) == pack([HI])
            assert reader.link.sends == 1
        assert elsewhere.link.sends == 0


async def test_private_replies_go_before_the_batch_in_the_same_send() -> None:
    async with outbound_harness() as harness:
        one, other = readers_in(harness, 2)
        one.outbound.send(private(1))
        one.outbound.send(private(2))
        await publish(harness.rooms["lobby"], 1, [HI])
        assert bytes(one.link.taken) == pack([private(1), private(2), HI])
        assert bytes(other.link.taken) == pack([HI])
        assert one.link.sends == 1
        assert (one.outbound.replies, one.outbound.replies_bytes) == ([], 0)


class BracketPacking(FramePacking):
    """A second dialect, which puts a batch in brackets."""

    @staticmethod
    def pack(payloads: object) -> bytes:
        assert isinstance(payloads, list)
        return b"[%s]" % b",".join(payloads)


async def test_each_session_gets_the_batch_in_its_own_dialect() -> None:
    async with outbound_harness() as harness:
        readers = [Receiver(harness) for _ in range(4)]
        brackets = BracketPacking()
        for reader in readers[1::2]:
            reader.outbound = OutboundQueue(reader.link, brackets, reader)
        for reader in readers:
            reader.join("lobby")
        await publish(harness.rooms["lobby"], 1, [HI])
        assert [bytes(reader.link.taken) for reader in readers] == [pack([HI]), b"[%s]" % HI] * 2


async def test_a_full_socket_leaves_the_live_set_without_blocking_others() -> None:
    async with outbound_harness() as harness:
        lobby = harness.rooms["lobby"]
        first, none, part, last = (Receiver(harness, width) for width in (1_000, 0, 10, 1_000))
        for reader in (first, none, part, last):
            reader.join("lobby")
        batch = await harness.commit("hi")
        with assert_no_checkpoints():
            await publish(*batch)
        assert list(lobby.live) == [first.outbound, last.outbound]
        assert (none.writer_starts, part.writer_starts, first.writer_starts) == (1, 1, 0)
        await harness.say("more")
        assert first.texts() == last.texts() == ["hi", "more"]
        for reader in (none, part):
            assert reader.outbound.streams == {lobby: 1}
            reader.link.allow()
        await trio.testing.wait_all_tasks_blocked()
        assert none.texts() == part.texts() == ["hi", "more"]


async def test_a_stall_of_all_sessions_copies_nothing() -> None:
    """All sessions keep the same object: the bytes of the batch."""
    async with outbound_harness() as harness:
        lobby = harness.rooms["lobby"]
        answers = pack([private(1)])
        readers = [
            Receiver(harness, width) for width in (0, 1, len(answers) - 1, len(answers), len(answers) + 9)
        ]
        for number, reader in enumerate(readers):
            reader.join("lobby")
            if number:
                reader.outbound.send(private(1))
        batch = Batch(1, [HI])
        lobby.append(1, batch.payloads)
        send_batch(lobby.live, batch)
        shared = batch.packed(FRAMES)
        kept = [
            (reader.outbound._remainder, reader.outbound._sent, reader.outbound._next_remainder)
            for reader in readers
        ]
        assert kept == [
            (shared, 0, b""),
            (answers, 1, shared),
            (answers, len(answers) - 1, shared),
            (shared, 0, b""),
            (shared, 9, b""),
        ]
        assert [remainder is shared or then is shared for remainder, _, then in kept] == [True] * 5
        for reader in readers:
            reader.link.allow()
        await trio.testing.wait_all_tasks_blocked()
        for number, reader in enumerate(readers):
            assert bytes(reader.link.taken) == (answers if number else b"") + shared
            assert reader.outbound.live


async def test_a_broken_connection_is_reported_after_all_other_sends() -> None:
    async with outbound_harness() as harness:
        readers = readers_in(harness, 4)
        for reader in readers[1:3]:
            reader.link.reset()
        await publish(harness.rooms["lobby"], 1, [HI])
        assert [reader.losses for reader in readers] == [0, 1, 1, 0]
        assert [reader.texts() for reader in readers] == [["hi"], [], [], ["hi"]]
        assert list(harness.rooms["lobby"].live) == [readers[0].outbound, readers[3].outbound]


# --- in chunks --------------------------------------------------------------------------------------

MANY = 3 * SENDS_AT_ONCE + 100


def when_sent(reader: Receiver, action: Callable[[], None]) -> None:
    """Call a function in the middle of a fan-out: just before the send to this receiver."""
    send = reader.outbound.send_bare

    def send_bare(data: bytes) -> int:
        action()
        return send(data)

    reader.outbound.send_bare = send_bare


async def test_a_batch_is_sent_in_chunks_in_a_very_large_room() -> None:
    async with outbound_harness() as harness:
        readers = readers_in(harness, MANY)
        lobby = harness.rooms["lobby"]
        done: list[int] = []

        async def watch() -> None:
            while True:
                done.append(MANY - len(lobby.unsent))
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            with assert_checkpoints():
                await publish(lobby, 1, [HI])
            nursery.cancel_scope.cancel()
        assert set(done) <= {0, SENDS_AT_ONCE, 2 * SENDS_AT_ONCE, 3 * SENDS_AT_ONCE, MANY}
        assert set(done) - {0, MANY}, "other tasks run between chunks"
        assert not lobby.unsent
        assert all(reader.texts() == ["hi"] for reader in readers)


async def in_the_midst(harness: OutboundHarness, readers: list[Receiver]) -> trio.Nursery:
    """Start a fan-out and stop after the first chunk: a thousand sessions have the batch."""
    lobby = harness.rooms["lobby"]
    begun = trio.Event()
    when_sent(readers[0], begun.set)
    harness.writers.start_soon(publish, *await harness.commit("hi"))
    await begun.wait()
    assert readers[0].outbound not in lobby.unsent and readers[-1].outbound in lobby.unsent
    return harness.writers


async def test_a_session_that_leaves_between_chunks_does_not_get_the_batch() -> None:
    async with outbound_harness() as harness:
        readers = readers_in(harness, MANY)
        await in_the_midst(harness, readers)
        readers[-1].leave("lobby")
        readers[0].leave("lobby")
        await trio.testing.wait_all_tasks_blocked()
        assert (readers[0].texts(), readers[-1].texts(), readers[-2].texts()) == (["hi"], [], ["hi"])


async def test_a_session_that_joins_between_chunks_starts_at_the_head() -> None:
    async with outbound_harness() as harness:
        readers = readers_in(harness, MANY)
        await in_the_midst(harness, readers)
        live, behind = Receiver(harness), Receiver(harness)
        assert live.join("lobby") == 1
        behind.join("lobby", recent=1)
        await trio.testing.wait_all_tasks_blocked()
        assert (live.texts(), behind.texts()) == ([], ["hi"])
        await harness.say("more")
        assert (live.texts(), behind.texts()) == (["more"], ["hi", "more"])


async def test_a_session_that_falls_behind_before_its_chunk_gets_the_batch_once_from_the_tail() -> None:
    async with outbound_harness() as harness:
        readers = readers_in(harness, MANY)
        last = readers[-1]
        await in_the_midst(harness, readers)
        last.link.capacity = 5
        last.outbound.send(private(1))
        last.outbound.flush()
        assert last.outbound.streams == {harness.rooms["lobby"]: 0}
        last.link.allow()
        await trio.testing.wait_all_tasks_blocked()
        assert last.texts() == ["hi"] and last.outbound.live


async def test_a_full_socket_in_a_chunk_still_moves_the_cursor_to_the_head() -> None:
    async with outbound_harness() as harness:
        readers = readers_in(harness, MANY, width=10)
        await harness.say("hi")
        assert all(not reader.outbound.live for reader in readers)
        for reader in readers:
            reader.link.allow()
        await trio.testing.wait_all_tasks_blocked()
        assert all(reader.texts() == ["hi"] and reader.outbound.live for reader in readers)


async def test_send_unsent_sends_the_batch_at_once_and_only_once() -> None:
    async with outbound_harness() as harness:
        readers = readers_in(harness, MANY)
        lobby = harness.rooms["lobby"]
        await in_the_midst(harness, readers)
        for reader in (readers[0], readers[-1]):
            with assert_no_checkpoints():
                send_unsent(lobby, reader.outbound)
            assert reader.texts() == ["hi"]
        await trio.testing.wait_all_tasks_blocked()
        assert readers[0].texts() == readers[-1].texts() == ["hi"]


# --- notices ----------------------------------------------------------------------------------------


async def test_a_notice_is_sent_to_live_sessions() -> None:
    async with outbound_harness() as harness:
        readers = readers_in(harness, 2)
        (behind,) = readers_in(harness, 1, width=0)
        behind.outbound.send(private(1))
        behind.outbound.flush()
        with assert_no_checkpoints():
            await harness.notify()
        assert all(reader.events == [Presence("Lobby", 1)] for reader in readers)
        behind.link.allow()
        await trio.testing.wait_all_tasks_blocked()
        assert behind.events[1:] == [Members("Lobby", [], 1, more=False)]


async def test_a_session_that_falls_behind_in_a_notice_gets_it_and_the_member_list() -> None:
    async with outbound_harness() as harness:
        (reader,) = readers_in(harness, 1, width=5)
        await harness.notify()
        reader.link.allow()
        await trio.testing.wait_all_tasks_blocked()
        assert reader.events == [Presence("Lobby", 1), Members("Lobby", [], 1, more=False)]


async def test_a_notice_is_sent_in_chunks_and_skips_sessions_that_left() -> None:
    async with outbound_harness() as harness:
        readers = readers_in(harness, MANY)
        begun = trio.Event()
        when_sent(readers[0], begun.set)
        harness.writers.start_soon(harness.notify)
        await begun.wait()
        readers[-1].leave("lobby")
        await trio.testing.wait_all_tasks_blocked()
        assert all(reader.events == [Presence("Lobby", 1)] for reader in readers[:-1])
        assert readers[-1].events == []


async def test_a_session_that_was_behind_only_in_its_chunk_gets_the_member_list() -> None:
    """It falls behind in the first chunk, is skipped in the second, and is live from the third on."""
    async with outbound_harness() as harness:
        readers = readers_in(harness, 9 * SENDS_AT_ONCE)
        late = readers[SENDS_AT_ONCE]

        def narrow() -> None:
            late.link.capacity = 0
            late.outbound.send(private(1))
            late.outbound.flush()

        when_sent(readers[0], narrow)
        when_sent(readers[2 * SENDS_AT_ONCE - 1], late.link.allow)
        await harness.notify()
        await trio.testing.wait_all_tasks_blocked()
        assert late.outbound.live and late.writer_starts == 1
        assert late.events[1:] == [Members("Lobby", [], 1, more=False)]


async def test_a_session_that_falls_behind_in_a_typing_notice_gets_no_member_list() -> None:
    async with outbound_harness() as harness:
        (reader,) = readers_in(harness, 1, width=5)
        typing = TypingNotice("Lobby", "ada")
        send_batch([reader.outbound], Batch(0, [encode(typing)]))
        await harness.say("hi")
        reader.link.allow()
        await trio.testing.wait_all_tasks_blocked()
        assert reader.events[0] == typing
        assert reader.texts() == ["hi"]
