"""The pipe is held to what a socket does: every story here runs on both."""

import socket
from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_chat.errors import LinkBroken
from trio_chat.net.link import Link, SocketLink
from trio_chat.testing.pipe import PipeLink, link_pair

MORE_THAN_FITS = 8_000_000


def _sockets() -> tuple[Link, Link]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        left = socket.create_connection(server.getsockname())
        right, _ = server.accept()
    return SocketLink(left, "left"), SocketLink(right, "right")


@pytest.fixture(params=[link_pair, _sockets], ids=["pipe", "socket"])
def pair(request: pytest.FixtureRequest) -> Callable[[], tuple[Link, Link]]:
    make: Callable[[], tuple[Link, Link]] = request.param
    return make


async def test_bytes_come_as_they_went(pair: Callable[[], tuple[Link, Link]]) -> None:
    left, right = pair()
    assert left.send_nowait(b"ab") == 2
    assert left.send_nowait(memoryview(b"cd")) == 2
    assert await right.receive_some() == b"abcd"
    assert right.send_nowait(b"back") == 4
    assert await left.receive_some() == b"back"
    left.close()
    right.close()


async def test_a_send_takes_what_fits_and_a_wait_ends_when_there_is_space(
    pair: Callable[[], tuple[Link, Link]],
) -> None:
    left, right = pair()
    took = left.send_nowait(bytes(MORE_THAN_FITS))
    assert 0 < took < MORE_THAN_FITS
    while left.send_nowait(b"x"):
        took += 1
    with trio.move_on_after(0) as waiting:
        await left.wait_writable()
    assert waiting.cancelled_caught
    read = 0
    while read < took:
        read += len(await right.receive_some())
    with trio.fail_after(5):
        await left.wait_writable()
    assert left.send_nowait(b"x") == 1
    left.close()
    right.close()


async def test_cancelling_a_receive_takes_nothing(pair: Callable[[], tuple[Link, Link]]) -> None:
    left, right = pair()
    left.send_nowait(b"here")
    with trio.move_on_after(0) as receiving:
        await right.receive_some()
    assert receiving.cancelled_caught
    assert await right.receive_some() == b"here"
    left.close()
    right.close()


async def test_the_end_comes_after_the_bytes(pair: Callable[[], tuple[Link, Link]]) -> None:
    left, right = pair()
    left.send_nowait(b"last")
    left.close()
    assert await right.receive_some() == b"last"
    assert await right.receive_some() == b""
    assert await right.receive_some() == b""
    right.close()


async def test_finishing_waits_for_the_peer_to_finish(pair: Callable[[], tuple[Link, Link]]) -> None:
    left, right = pair()
    left.send_nowait(b"bye")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(left.finish)
        assert await right.receive_some() == b"bye"
        assert await right.receive_some() == b""
        right.send_nowait(b"unheard")
        await wait_all_tasks_blocked()
        assert nursery.child_tasks
        right.close()
    with pytest.raises(LinkBroken):
        left.send_nowait(b"more")
    left.close()


async def test_closing_over_unread_input_is_a_reset(pair: Callable[[], tuple[Link, Link]]) -> None:
    left, right = pair()
    right.send_nowait(b"unread")
    await wait_all_tasks_blocked()
    left.close()
    with pytest.raises(LinkBroken):
        while await right.receive_some():
            pass
    right.close()


async def test_the_first_send_to_one_who_closed_is_lost_and_the_second_fails(
    pair: Callable[[], tuple[Link, Link]],
) -> None:
    left, right = pair()
    right.close()
    assert left.send_nowait(b"lost") == 4
    with pytest.raises(LinkBroken):
        left.send_nowait(b"lost too")
    with trio.fail_after(5):
        await left.wait_writable()
    left.close()


async def test_a_reset_behind_the_end_leaves_the_end(pair: Callable[[], tuple[Link, Link]]) -> None:
    left, right = pair()
    right.send_nowait(b"last")
    right.close()
    assert left.send_nowait(b"lost") == 4
    await wait_all_tasks_blocked()
    assert await left.receive_some() == b"last"
    assert await left.receive_some() == b""
    with pytest.raises(LinkBroken):
        left.send_nowait(b"x")
    left.close()


async def test_one_task_waits_for_one_thing(pair: Callable[[], tuple[Link, Link]]) -> None:
    left, right = pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(left.receive_some)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await left.receive_some()
        right.send_nowait(b"x")
    left.close()
    right.close()


@pytest.mark.parametrize("end", ["interrupt", "close"])
async def test_a_wait_is_ended(pair: Callable[[], tuple[Link, Link]], end: str) -> None:
    left, right = pair()
    while left.send_nowait(bytes(MORE_THAN_FITS)):
        pass
    ended = 0

    async def wait(what: str) -> None:
        nonlocal ended
        with pytest.raises(trio.ClosedResourceError):
            await (left.receive_some() if what == "receive" else left.wait_writable())
        ended += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "receive")
        nursery.start_soon(wait, "write")
        await wait_all_tasks_blocked()
        getattr(left, end)()
    assert ended == 2
    left.close()
    right.close()


async def test_closed_is_closed(pair: Callable[[], tuple[Link, Link]]) -> None:
    left, right = pair()
    left.close()
    left.close()
    left.interrupt()
    with pytest.raises(LinkBroken):
        left.send_nowait(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await left.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await left.wait_writable()
    right.close()


async def test_a_reset_breaks_both_ends_and_forgets() -> None:
    left, right = link_pair()
    left.send_nowait(b"forgotten")
    left.reset()
    for end in (left, right):
        with pytest.raises(LinkBroken):
            await end.receive_some()
        with pytest.raises(LinkBroken):
            end.send_nowait(b"x")
        end.close()


def test_a_pipe_is_a_link() -> None:
    link: Link = link_pair()[0]
    assert isinstance(link, PipeLink)
