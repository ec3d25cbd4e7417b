"""The reader pauses while the inbox is full, and resumes when a call needs it."""

import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom, chatting, said
from trio_chat.wire import framing
from trio_chat.wire.codec import encode


class EntryFlood:
    """Sends entries as fast as the client takes them."""

    def __init__(self, peer: ScriptedConnection) -> None:
        self._link = peer.link
        self._seq = 0
        self._rest = b""

    async def send(self, count: int = 1000) -> int:
        """Send up to `count` entries and return how many bytes the client took before it paused."""
        poured = 0
        for _ in range(count):
            if not self._rest:
                self._seq += 1
                self._rest = framing.pack([encode(said(self._seq))])
            took = self._link.send_nowait(self._rest)
            if took == 0:
                break
            poured += took
            self._rest = self._rest[took:]
            await wait_all_tasks_blocked()
        return poured


async def test_reading_pauses_while_the_inbox_is_full(
    nursery: trio.Nursery,
) -> None:
    async with chatting(nursery, inbox_events=8, buffer_bytes=1000) as (chat, peer):
        flood = EntryFlood(peer)
        assert 1000 < await flood.send() < 3000
        assert await flood.send() == 0
        await anext(aiter(chat))
        await wait_all_tasks_blocked()
        assert await flood.send() > 0


async def test_reading_continues_over_a_full_inbox_while_a_request_is_open(nursery: trio.Nursery) -> None:
    scripted_room = ScriptedRoom()
    async with chatting(nursery, inbox_events=8, buffer_bytes=1000) as (chat, peer):
        nursery.start_soon(scripted_room.serve, peer)
        await chat.join("lobby")
        for n in range(500):
            scripted_room.show(scripted_room.add("bob", str(n)))
        await wait_all_tasks_blocked()
        assert await chat.say("lobby", "over it") == 501


async def test_sending_a_command_without_an_answer_resumes_reading(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """A server with many unsent replies reads nothing more, so a client that waits to send must read."""

    async def server(peer: ScriptedConnection) -> None:
        for seq in range(1, 200):
            await peer.say(said(seq))
        while await peer.command() is not None:
            pass

    async with chatting(nursery, inbox_events=8, buffer_bytes=1000) as (chat, peer):
        nursery.start_soon(server, peer)
        await wait_all_tasks_blocked()
        for _ in range(3):
            with trio.move_on_after(0):
                await chat.say("lobby", "x" * 30_000)
        await wait_all_tasks_blocked()
        await chat.typing("lobby")
        assert trio.current_time() == 0


async def test_a_paused_reader_reads_every_20_seconds(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async with chatting(nursery, inbox_events=8, buffer_bytes=1000) as (_, peer):
        flood = EntryFlood(peer)
        for _ in range(3):
            await flood.send()
            await trio.sleep(19)
            assert await flood.send() == 0
            await trio.sleep(1.5)
            assert await flood.send() > 5000, "the reader must take all that is there, not one read"
            await trio.sleep(1)
