"""A link on any Trio stream: the same promises, kept by a buffer and a task."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import (
    MemoryReceiveStream,
    MemorySendStream,
    MockClock,
    assert_checkpoints,
    lockstep_stream_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from trio_chat.errors import LinkBroken
from trio_chat.net.link import Link, close_gracefully
from trio_chat.net.stream import StreamLink, open_stream_link

Memory = trio.StapledStream[MemorySendStream, MemoryReceiveStream]


@pytest.fixture
async def ends() -> AsyncIterator[tuple[StreamLink, Memory]]:
    """A link of eight bytes on a stream that takes everything, and the stream's other end."""
    near, far = memory_stream_pair()
    async with open_stream_link(near, "far away", buffer_bytes=8) as link:
        yield link, far


@pytest.fixture
async def narrow() -> AsyncIterator[tuple[StreamLink, trio.abc.Stream]]:
    """A link of eight bytes on a stream that takes nothing before it is read, and the other end."""
    near, far = lockstep_stream_pair()
    async with open_stream_link(near, buffer_bytes=8) as link:
        yield link, far


Ends = tuple[StreamLink, Memory]
Narrow = tuple[StreamLink, trio.abc.Stream]


async def read_to_the_end(stream: trio.abc.ReceiveStream) -> bytes:
    with trio.fail_after(10):
        return b"".join([part async for part in stream])


async def test_bytes_come_and_go(ends: Ends) -> None:
    link, far = ends
    as_promised: Link = link
    assert as_promised.address == "far away"
    assert link.send_nowait(b"hello") == 5
    assert await far.receive_some() == b"hello"
    await far.send_all(b"there")
    with assert_checkpoints():
        assert await link.receive_some() == b"there"
    await far.send_eof()
    assert await link.receive_some() == b""


async def test_a_send_takes_what_fits_and_never_waits(narrow: Narrow) -> None:
    link, _ = narrow
    assert link.send_nowait(memoryview(b"0123456789")) == 8
    assert link.send_nowait(b"x") == 0
    await wait_all_tasks_blocked()
    assert link.send_bare(b"x") == link.send_nowait(b"x") == 0, "what the stream is sending was not sent yet"


async def test_a_wait_ends_when_there_is_space(narrow: Narrow) -> None:
    link, far = narrow
    with assert_checkpoints():
        await link.wait_writable()
    link.send_nowait(b"01234567")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.wait_writable)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        received = await far.receive_some(8)
    assert received == b"01234567"
    assert link.send_nowait(b"89") == 2
    assert await far.receive_some() == b"89"


async def test_a_cancelled_receive_takes_nothing(ends: Ends) -> None:
    link, far = ends
    with trio.move_on_after(0) as scope:
        await link.receive_some()
    assert scope.cancelled_caught
    await far.send_all(b"kept")
    assert await link.receive_some() == b"kept"


@pytest.mark.parametrize("act", ["interrupt", "close"])
@pytest.mark.parametrize("wait", ["receive_some", "wait_writable", "finish"])
async def test_waits_are_ended_from_outside(narrow: Narrow, act: str, wait: str) -> None:
    link, far = narrow
    link.send_nowait(b"01234567")

    async def wait_for_it() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await getattr(link, wait)()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_it)
        await wait_all_tasks_blocked()
        getattr(link, act)()
    if act == "interrupt":
        assert await far.receive_some(8) == b"01234567", "the connection stays"


async def test_an_interruption_ends_the_second_half_of_a_finish_too(ends: Ends) -> None:
    link, far = ends

    async def finish() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await link.finish()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(finish)
        assert await read_to_the_end(far) == b""
        link.interrupt()


async def test_a_closed_link_says_so(ends: Ends) -> None:
    link, _ = ends
    link.close()
    link.close()
    link.interrupt()
    for wait in (link.receive_some, link.wait_writable, link.finish):
        with pytest.raises(trio.ClosedResourceError):
            await wait()
    with pytest.raises(LinkBroken):
        link.send_nowait(b"x")


async def test_closing_closes_the_stream_at_once(ends: Ends) -> None:
    """Not at the end of the block: who closes a link need not be who opened it."""
    link, far = ends
    link.close()
    assert await read_to_the_end(far) == b""


async def test_closing_does_not_wait_for_a_stream_that_takes_nothing(narrow: Narrow) -> None:
    link, far = narrow
    link.send_nowait(b"is being sent")
    await wait_all_tasks_blocked()
    link.close()
    await wait_all_tasks_blocked()
    with pytest.raises(trio.BrokenResourceError):
        await far.send_all(b"a lost message")


async def test_a_broken_stream_breaks_the_link(ends: Ends) -> None:
    link, far = ends
    await far.send_all(b"last words")
    await trio.aclose_forcefully(far)
    link.send_nowait(b"a lost message")
    await wait_all_tasks_blocked()
    with pytest.raises(LinkBroken):
        link.send_nowait(b"x")
    await link.wait_writable()
    assert await link.receive_some() == b"last words"
    with pytest.raises(LinkBroken):
        await link.finish()


async def test_a_stream_that_breaks_while_read_breaks_the_link() -> None:
    class Breaking(trio.abc.ReceiveStream):
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError("reset")

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    near, _ = memory_stream_pair()
    async with open_stream_link(trio.StapledStream(near, Breaking())) as link:
        with pytest.raises(LinkBroken, match="connection lost"):
            await link.receive_some()


async def test_finish_sends_what_was_taken_and_waits_for_the_peer(narrow: Narrow) -> None:
    link, far = narrow
    link.send_nowait(b"goodbye")
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.finish)
            assert await read_to_the_end(far) == b"goodbye"
            assert nursery.child_tasks, "the peer has not ended yet"
            await far.send_all(b"unread")
            await far.aclose()


async def test_a_polite_close_has_its_bound(narrow: Narrow, autojump_clock: MockClock) -> None:
    link, far = narrow
    link.send_nowait(b"goodbye")
    before = trio.current_time()
    await close_gracefully(link, seconds=5)
    assert trio.current_time() - before == 5
    with pytest.raises(trio.BrokenResourceError):
        await far.send_all(b"a lost message")


class Whole(trio.abc.Stream):
    """A stream without `send_eof`, as TLS is."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_a_stream_without_half_a_close_is_finished_all_the_same() -> None:
    near, far = memory_stream_pair()
    async with open_stream_link(Whole(near)) as link:
        link.send_nowait(b"goodbye")
        await far.send_eof()
        await link.finish()
    assert await read_to_the_end(far) == b"goodbye"


async def test_the_end_of_the_block_closes_the_stream(autojump_clock: MockClock) -> None:
    near, far = memory_stream_pair()
    with pytest.raises(trio.TooSlowError), trio.fail_after(1):
        async with open_stream_link(near):
            await trio.sleep_forever()
    assert await read_to_the_end(far) == b""


async def test_what_the_block_raises_comes_out_and_the_stream_is_closed() -> None:
    near, far = memory_stream_pair()
    with pytest.RaisesGroup(ZeroDivisionError):
        async with open_stream_link(near):
            raise ZeroDivisionError
    assert await read_to_the_end(far) == b""
