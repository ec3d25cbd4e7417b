"""A socket's link on real connections over loopback; `tests/test_pipes.py` has more of the same contract."""

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.patience import PATIENCE_S
from trio_chat.errors import LinkBroken
from trio_chat.net.link import DISCARD_BYTES, RECEIVE_BYTES, Link, SocketLink, close_gracefully

BUFFER_BYTES = 64 << 10  # set, the kernel grows no buffer by itself
PIECE_BYTES = 64 << 10


@pytest.fixture
async def ends() -> AsyncIterator[tuple[SocketLink, socket.socket]]:
    """A link, and the plain blocking socket at its other end.

    Over loopback TCP the kernel moves bytes from one end to the other when it has time to: a connection that
    has just refused bytes may take some a moment later. For what needs one that stays full there is `local`.
    """
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as peer:
        for sock in (server, peer):  # what is accepted has those of the server
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        peer.settimeout(PATIENCE_S)
        peer.connect(server.getsockname())
        near, (host, *_) = server.accept()
        link = SocketLink(near, host)
        yield link, peer
        link.close()


@pytest.fixture
async def local() -> AsyncIterator[tuple[SocketLink, socket.socket]]:
    """As `ends`, on a pair of local sockets: full is full until the other end reads."""
    near, peer = socket.socketpair()
    with peer:
        peer.settimeout(PATIENCE_S)
        link = SocketLink(near, "")
        yield link, peer
        link.close()


Ends = tuple[SocketLink, socket.socket]


def reset(sock: socket.socket) -> None:
    """Close with a reset: a linger of zero seconds."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_exactly(sock: socket.socket, size: int) -> None:
    while size:
        size -= len(sock.recv(min(size, 65_536)))


def read_to_the_end(sock: socket.socket) -> bytes:
    parts = []
    while part := sock.recv(65_536):
        parts.append(part)
    return b"".join(parts)


async def in_a_thread(work: Callable[[], None]) -> None:
    await trio.to_thread.run_sync(work)


def send_until_refused(link: Link) -> int:
    """Send until the connection takes nothing, whatever it holds, and return how much it took."""
    sent = 0
    while took := link.send_nowait(bytes(PIECE_BYTES)):
        sent += took
    return sent


async def test_bytes_come_and_go(ends: Ends) -> None:
    link, peer = ends
    assert link.address == "127.0.0.1"
    assert link.send_nowait(b"hello") == 5
    assert peer.recv(100) == b"hello"
    peer.sendall(b"there")
    with assert_checkpoints():
        assert await link.receive_some() == b"there"


async def test_a_socket_that_was_not_readable_after_all_is_asked_again() -> None:
    """As Linux has it of a datagram with a bad checksum, and any system may of anything."""

    class Hasty(socket.socket):
        asked = 0

        def recv(self, size: int, flags: int = 0) -> bytes:
            self.asked += 1
            if self.asked == 1:
                raise BlockingIOError
            return super().recv(size, flags)

    near, far = socket.socketpair()
    with far, Hasty(fileno=near.detach()) as hasty:
        link = SocketLink(hasty, "")
        far.sendall(b"here")
        assert await link.receive_some() == b"here"
        assert hasty.asked == 2
        link.close()


async def test_a_receive_takes_a_bounded_piece(ends: Ends) -> None:
    link, peer = ends
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_a_thread, lambda: peer.sendall(bytes(300_000)))
            received = 0
            while received < 300_000:
                piece = await link.receive_some()
                assert 1 <= len(piece) <= RECEIVE_BYTES
                received += len(piece)


async def test_the_peers_end_of_input_is_empty_bytes(ends: Ends) -> None:
    link, peer = ends
    peer.sendall(b"last")
    peer.shutdown(socket.SHUT_WR)
    assert await link.receive_some() == b"last"
    assert await link.receive_some() == b""
    assert link.send_nowait(b"you too") == 7, "the other direction is still open"
    assert peer.recv(100) == b"you too"


async def test_a_send_never_waits(local: Ends) -> None:
    link, peer = local
    sent = send_until_refused(link)
    assert sent > 0
    assert link.send_nowait(memoryview(b"more")) == 0
    with trio.move_on_after(0) as waiting:
        await link.wait_writable()
    assert waiting.cancelled_caught
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.wait_writable)
            await in_a_thread(lambda: read_exactly(peer, sent))
    assert link.send_nowait(b"more") == 4


async def test_a_connection_refuses_and_takes_again(ends: Ends) -> None:
    link, peer = ends
    sent = send_until_refused(link)
    with trio.fail_after(PATIENCE_S):
        await in_a_thread(lambda: read_exactly(peer, sent))
        await link.wait_writable()
    assert link.send_nowait(b"more") == 4


async def test_a_bare_send_is_the_sockets_own(ends: Ends) -> None:
    link, peer = ends
    assert link.send_bare(b"hello") == 5
    assert peer.recv(100) == b"hello"
    piece = bytes(PIECE_BYTES)
    with pytest.raises(BlockingIOError):
        for _ in range(100_000):  # until it refuses: the other end does not read
            link.send_bare(piece)
    link.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        link.send_bare(b"x")


async def test_a_cancelled_receive_takes_nothing(ends: Ends) -> None:
    link, peer = ends
    peer.sendall(b"kept")
    with trio.CancelScope() as scope:
        scope.cancel()
        await link.receive_some()
    assert scope.cancelled_caught
    assert await link.receive_some() == b"kept"


@pytest.mark.parametrize("act", ["interrupt", "close"])
async def test_waits_are_ended_from_outside(local: Ends, act: str) -> None:
    link, peer = local
    send_until_refused(link)
    ended = []

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await link.receive_some()
        ended.append("receive")

    async def write() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await link.wait_writable()
        ended.append("write")

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            nursery.start_soon(write)
            await wait_all_tasks_blocked()
            getattr(link, act)()
    assert sorted(ended) == ["receive", "write"]
    if act == "interrupt":
        peer.sendall(b"still here")
        assert await link.receive_some() == b"still here"


async def test_a_closed_link_says_so(ends: Ends) -> None:
    link, peer = ends
    link.close()
    link.close()
    link.interrupt()
    for wait in (link.receive_some, link.wait_writable):
        with pytest.raises(trio.ClosedResourceError):
            await wait()
    with pytest.raises(LinkBroken):
        link.send_nowait(b"x")
    with pytest.raises(LinkBroken):
        await link.finish()
    assert peer.recv(100) == b""


async def test_a_reset_breaks_a_receive(ends: Ends) -> None:
    link, peer = ends
    reset(peer)
    with pytest.raises(LinkBroken, match="connection lost: Connection reset by peer"):
        await link.receive_some()


async def test_a_reset_breaks_a_send(ends: Ends) -> None:
    link, peer = ends
    send_until_refused(link)
    reset(peer)
    with trio.fail_after(PATIENCE_S), pytest.raises(LinkBroken, match="connection lost: "):
        while True:  # the reset arrives when the kernel has time for it
            await link.wait_writable()
            link.send_nowait(b"x")


async def test_finish_waits_for_the_peer_to_end(ends: Ends) -> None:
    link, peer = ends
    link.send_nowait(b"bye")
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.finish)
            await wait_all_tasks_blocked()
            assert read_to_the_end(peer) == b"bye"
            peer.sendall(b"one word more")
            peer.close()


async def test_closing_over_unread_input_is_a_reset(ends: Ends) -> None:
    """Why there is `close_gracefully`: what the peer had not read yet is lost to it."""
    link, peer = ends
    link.send_nowait(b"bye")
    peer.sendall(b"unread")
    with trio.fail_after(PATIENCE_S):
        await trio.lowlevel.wait_readable(link._sock)
    link.close()
    with pytest.raises(ConnectionResetError):
        read_to_the_end(peer)


async def test_a_polite_close_lets_the_peer_read_to_the_end(ends: Ends) -> None:
    link, peer = ends
    sent = send_until_refused(link)
    peer.sendall(b"unread")
    read: list[bytes] = []

    def go_on_talking_and_read() -> None:
        peer.sendall(b"and unread")
        read.append(read_to_the_end(peer))
        peer.close()

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_a_thread, go_on_talking_and_read)
            await close_gracefully(link, seconds=PATIENCE_S)
    assert [len(each) for each in read] == [sent]
    with pytest.raises(LinkBroken):
        link.send_nowait(b"x")


async def test_a_polite_close_reads_only_so_much_of_a_peer_that_goes_on_sending(ends: Ends) -> None:
    """To read on would cost as much as to serve it."""
    link, peer = ends
    sent = [0]

    def flood() -> None:
        with suppress(OSError):  # the reset
            while sent[0] < 100 * DISCARD_BYTES:
                sent[0] += peer.send(b"x" * 65_536)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_a_thread, flood)
            await close_gracefully(link, seconds=PATIENCE_S, pace=trio.lowlevel.checkpoint)
    assert sent[0] < 50 * DISCARD_BYTES


async def test_a_polite_close_has_its_bound(ends: Ends, autojump_clock: MockClock) -> None:
    link, peer = ends
    before = trio.current_time()
    await close_gracefully(link, seconds=5)
    assert trio.current_time() - before == 5
    assert peer.recv(100) == b"", "closed all the same"


async def test_a_polite_close_of_what_is_gone_is_quiet(ends: Ends) -> None:
    link, peer = ends
    reset(peer)
    await close_gracefully(link, seconds=5)
    await close_gracefully(link, seconds=5)


async def test_a_cancelled_polite_close_is_a_close(ends: Ends) -> None:
    link, peer = ends
    with trio.move_on_after(0):
        await close_gracefully(link, seconds=5)
    assert peer.recv(100) == b""
    with pytest.raises(LinkBroken):
        link.send_nowait(b"x")
