"""Commands out and events in, over a link whose other end the test holds."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import said
from trio_chat.client.connection import OUTBOX_BYTES, Connection
from trio_chat.dialects.frames import FrameCommands
from trio_chat.errors import ConnectionLost, ProtocolError, Refused
from trio_chat.testing.pipe import PipeLink, link_pair
from trio_chat.wire import framing
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Ping, Say, TypingNotice


def connected(buffer_bytes: int = 65_536) -> tuple[Connection, PipeLink, PipeLink]:
    here, there = link_pair(buffer_bytes)
    return Connection(here), here, there


def fill(connection: Connection, frame: bytes) -> int:
    """Send until the outbox is full, and return how often."""
    count = 0
    while not connection.crowded:
        connection.send_nowait(frame)
        count += 1
    return count


async def heard(link: PipeLink, n: int) -> list[object]:
    """Return the next `n` commands that arrive at the other end."""
    reader = FrameCommands()
    reader.welcomed()
    commands: list[object] = []
    while len(commands) < n:
        commands += reader.feed(await link.receive_some())
    return commands


async def test_all_events_are_received_however_the_bytes_are_split() -> None:
    connection, _, there = connected()
    data = framing.pack([encode(said(1)), encode(TypingNotice("lobby", "bob")), b'{"type":"newfangled"}'])
    there.send_nowait(data + data[:10])
    assert await connection.receive() == [said(1), TypingNotice("lobby", "bob")]
    there.send_nowait(data[10:])
    assert await connection.receive() == [said(1), TypingNotice("lobby", "bob")]


async def test_the_end_of_input_raises_connection_lost() -> None:
    connection, _, there = connected()
    there.close()
    with pytest.raises(ConnectionLost, match="the server closed it without a word"):
        await connection.receive()
    connection, _, there = connected()
    there.reset()
    with pytest.raises(ConnectionLost, match="reset by peer"):
        await connection.receive()


async def test_closing_the_connection_locally_raises_connection_lost() -> None:
    connection, here, _ = connected()
    here.close()
    with pytest.raises(ConnectionLost, match="this client closed it"):
        await connection.receive()


async def test_an_invalid_frame_is_a_protocol_error() -> None:
    connection, _, there = connected()
    there.send_nowait(b"\xff\xff\xff\xff")
    with pytest.raises(ProtocolError, match="frame too large: got 4294967295 bytes"):
        await connection.receive()


async def test_a_send_goes_out_at_once_and_needs_no_writer() -> None:
    connection, _, there = connected()
    connection.send_nowait(connection.pack(Ping(1)))
    assert await heard(there, 1) == [Ping(1)]


async def test_the_writer_sends_queued_bytes_in_order(nursery: trio.Nursery) -> None:
    connection, _, there = connected(buffer_bytes=10)
    nursery.start_soon(connection.write)
    for n in range(100):
        connection.send_nowait(connection.pack(Ping(n)))
    assert await heard(there, 100) == [Ping(n) for n in range(100)]
    await wait_all_tasks_blocked()
    connection.send_nowait(connection.pack(Ping(100)))
    assert await heard(there, 1) == [Ping(100)], "a later send goes out at once again"


async def test_the_outbox_is_bounded_and_waiting_senders_are_served_in_order(nursery: trio.Nursery) -> None:
    connection, _, there = connected(buffer_bytes=10)
    nursery.start_soon(connection.write)
    frame = connection.pack(Say("lobby", "x" * 1000))
    count = fill(connection, frame)
    assert count * len(frame) < OUTBOX_BYTES + 2 * len(frame)

    async def send(n: int) -> None:
        await connection.space()
        connection.send_nowait(connection.pack(Ping(n)))

    for n in range(5):
        nursery.start_soon(send, n)
        await wait_all_tasks_blocked()
    commands = await heard(there, count + 5)
    assert commands[count:] == [Ping(n) for n in range(5)]
    assert not connection.crowded


async def test_a_later_sender_does_not_overtake_a_waiting_one(nursery: trio.Nursery) -> None:
    connection, _, there = connected(buffer_bytes=4096)
    nursery.start_soon(connection.write)
    count = fill(connection, connection.pack(Say("lobby", "x" * 1000)))
    asked: list[int] = []

    async def send(n: int) -> None:
        asked.append(n)
        if connection.crowded:
            await connection.space()
        connection.send_nowait(connection.pack(Say("lobby", f"{n:1000}")))

    async def come_one_by_one() -> None:
        for n in range(200):
            nursery.start_soon(send, n)
            await trio.lowlevel.checkpoint()

    for n in range(200, 210):
        nursery.start_soon(send, n)
    await wait_all_tasks_blocked()
    nursery.start_soon(come_one_by_one)
    commands = await heard(there, count + 210)
    assert commands[count:] == [Say("lobby", f"{n:1000}") for n in asked]


async def test_an_abandoned_connection_sends_nothing_more() -> None:
    """The last bytes may be half a frame: further bytes would be read as the rest of it."""
    connection, here, there = connected(buffer_bytes=10)
    connection.send_nowait(connection.pack(Ping()))
    connection.abandon()
    assert len(await there.receive_some()) == 10
    connection.send_nowait(connection.pack(Ping()))
    here.close()
    assert await there.receive_some() == b""


async def test_a_cancelled_wait_for_space_sends_nothing(nursery: trio.Nursery) -> None:
    connection, _, there = connected(buffer_bytes=10)
    nursery.start_soon(connection.write)
    fill(connection, connection.pack(Say("lobby", "x" * 30_000)))
    with trio.move_on_after(0) as waiting:
        await connection.space()
    assert waiting.cancelled_caught
    await heard(there, 3)
    assert not connection.crowded


async def test_a_broken_connection_drops_frames(nursery: trio.Nursery) -> None:
    connection, _, there = connected(buffer_bytes=10)
    nursery.start_soon(connection.write)
    fill(connection, connection.pack(Say("lobby", "x" * 30_000)))
    nursery.start_soon(connection.space)
    await wait_all_tasks_blocked()
    there.reset()
    await wait_all_tasks_blocked()
    assert not connection.crowded
    connection.send_nowait(connection.pack(Ping()))
    assert not nursery.child_tasks


async def test_a_writer_ends_when_its_link_is_closed(nursery: trio.Nursery) -> None:
    connection, here, _ = connected(buffer_bytes=10)
    nursery.start_soon(connection.write)
    fill(connection, connection.pack(Say("lobby", "x" * 30_000)))
    await wait_all_tasks_blocked()
    here.close()
    await wait_all_tasks_blocked()
    assert not nursery.child_tasks


async def test_after_a_failed_send_the_reason_can_still_be_received() -> None:
    connection, _, there = connected()
    there.close()
    connection.send_nowait(connection.pack(Ping()))
    connection.send_nowait(connection.pack(Ping()))
    with pytest.raises(ConnectionLost):
        await connection.receive()


async def test_a_command_larger_than_a_frame_is_refused_by_the_client() -> None:
    connection, _, there = connected()
    connection.frame_bytes = 100
    with pytest.raises(Refused, match=r"longer than a frame \(100 bytes\)") as caught:
        connection.pack(Say("lobby", "x" * 100))
    assert caught.value.code == "too_long"
    connection.send_nowait(connection.pack(Say("lobby", "x" * 20)))
    assert await heard(there, 1) == [Say("lobby", "x" * 20)]
