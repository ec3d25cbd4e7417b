"""Rows 7, 21, 23, 24, 26, 27 and 35 of the table of faults, where it takes a kernel to tell them.

Few, on any free port, and bounded in time: a story that hangs is ended, and none looks at a clock.
"""

import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing, suppress

import pytest
import trio

from tests.patience import PATIENCE_S
from tests.server.harness import Observer, RawClient, packed
from trio_chat import open_server
from trio_chat.errors import LinkBroken
from trio_chat.net.link import SocketLink
from trio_chat.server.config import Config, Limits
from trio_chat.wire.messages import Ack, Hello, Join, Ping, Pong, Said, Say

MAIN = "from trio_chat.cli import main; main(prog_name='trio-chat')"
FEW_FILES = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))"


class Door:
    """A port of this machine, and all who came to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socks: list[socket.socket] = []

    def dial(self, *, receive_bytes: int = 0) -> socket.socket:
        sock = socket.socket()
        self._socks.append(sock)
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.connect(("127.0.0.1", self.port))
        return sock

    async def enter(self, name: str, *, receive_bytes: int = 0) -> tuple[RawClient, socket.socket]:
        """Return a member of the lobby and its socket."""
        sock = self.dial(receive_bytes=receive_bytes)
        peer = RawClient(SocketLink(sock, ""))
        await peer.hello(name)
        await peer.join("lobby")
        return peer, sock

    async def observer(self) -> Observer:
        zoe = Observer(SocketLink(self.dial(), ""))
        await zoe.hello("zoe")
        await zoe.join("lobby")
        await sees(zoe, "+zoe")
        return zoe

    def close(self) -> None:
        for sock in self._socks:
            sock.close()


@asynccontextmanager
async def listening(**limits: int) -> AsyncGenerator[Door]:
    """A server that listens, for as long as the story lasts."""
    config = Config(port=0, rate_limit=False, limits=Limits(**limits))
    with trio.fail_after(PATIENCE_S):
        async with open_server(config) as server:
            with closing(Door(int(server.addresses[0].rpartition(":")[2]))) as acceptor:
                yield acceptor


async def sees(zoe: Observer, *changes: str) -> None:
    """The bystander sees these changes, sooner or later, and none besides."""
    seen: list[str] = []
    while len(seen) < len(changes):
        seen += await zoe.presence_changes(0.02)
    assert seen == list(changes)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def test_a_reset_while_the_server_reads() -> None:
    async with listening() as acceptor:
        zoe = await acceptor.observer()
        _, sock = await acceptor.enter("eve")
        await sees(zoe, "+eve")
        reset(sock)
        await sees(zoe, "-eve lost")


async def test_a_reset_while_the_server_writes() -> None:
    async with listening(journal_room_bytes=64 << 20) as acceptor:
        zoe = await acceptor.observer()
        _, sock = await acceptor.enter("eve", receive_bytes=4_096)
        await sees(zoe, "+eve")
        await _fill(zoe)
        reset(sock)
        await sees(zoe, "-eve lost")


async def _fill(zoe: Observer) -> int:
    """Say more than any socket's buffers hold; the number of the last."""
    commands = packed(*[Say("lobby", "x" * 4_000)] * 250)
    for _ in range(10):
        await zoe.send_all(commands)
        said = 0
        while said < 250:
            said += isinstance(await zoe.next(), Said)
    return await zoe.say("done")


async def test_asleep_on_a_real_socket() -> None:
    async with listening(journal_room_bytes=64 << 20) as acceptor:
        zoe = await acceptor.observer()
        sleepy, sock = await acceptor.enter("sleepy", receive_bytes=4_096)
        await sees(zoe, "+sleepy")
        last = await _fill(zoe)
        sleepy.send(Ping(n=1))
        assert await zoe.presence_changes(0.05) == []
        # Awake: with a window so small, reading all of it would take minutes.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        await sleepy.answer(Pong, n=1)
        await sleepy.answer(Said, seq=last)
        seqs = sleepy.seqs()
        assert seqs == list(range(seqs[0], seqs[-1] + 1))


async def test_given_up_on_a_real_socket() -> None:
    async with listening(stalled_s=1, goodbye_s=1, journal_room_bytes=64 << 20) as acceptor:
        zoe = await acceptor.observer()
        sleepy, _ = await acceptor.enter("sleepy", receive_bytes=4_096)
        await sees(zoe, "+sleepy")
        await _fill(zoe)
        await sees(zoe, "-sleepy slow")


async def test_little_by_little_on_a_real_socket() -> None:
    """Never for three seconds does the kernel take nothing, though it may not say when it takes something."""
    async with listening(stalled_s=3, journal_room_bytes=64 << 20) as acceptor:
        zoe = await acceptor.observer()
        slow, sock = await acceptor.enter("slow", receive_bytes=4_096)
        await sees(zoe, "+slow")
        await _fill(zoe)
        for _ in range(45):
            await trio.lowlevel.wait_readable(sock)
            slow.take(sock.recv(4_096))
            assert await zoe.presence_changes(0.1) == []
        assert slow.seqs() == list(range(slow.seqs()[0], slow.seqs()[-1] + 1))


async def test_ten_says_and_the_end_of_input() -> None:
    """printf … | nc -N"""
    async with listening() as acceptor:
        zoe = await acceptor.observer()
        says = [Say("lobby", f"number {n}", ref=f"s{n}") for n in range(10)]
        sock = acceptor.dial()
        sock.sendall(packed(Hello(version=1, name="nc"), Join("lobby"), *says))
        sock.shutdown(socket.SHUT_WR)
        nc = RawClient(SocketLink(sock, ""))
        assert await nc.ended() is None
        assert [event.ref for event in nc.seen if isinstance(event, Ack)] == [f"s{n}" for n in range(10)]
        assert nc.seqs() == list(range(nc.seqs()[0], nc.seqs()[0] + 10))
        seen = await zoe.presence_changes(0.05)
        while seen == ["+nc"]:
            seen += await zoe.presence_changes(0.05)
        assert seen in (["+nc", "-nc lost"], [])


async def test_a_peer_that_ignores_the_goodbye() -> None:
    async with listening(goodbye_s=1) as acceptor:
        eve, sock = await acceptor.enter("eve")
        eve.send_bytes(bytes(4))
        await eve.ended_with("bad_frame")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                sock.send(b"\0")
                await trio.sleep(0.05)
        sock.close()


# --- as a process ---------------------------------------------------------------------------------------


@asynccontextmanager
async def process(*options: str, first: str = "") -> AsyncGenerator[tuple[trio.Process, Door]]:
    """`trio-chat serve` as a process of its own, and its port; the story ends it. `first` runs before it."""
    serve = ["serve", "--port=0", "--journal=memory"]
    command = [sys.executable, "-c", f"{first}\n{MAIN}", *serve, *options]
    server = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stderr is not None
    with trio.fail_after(PATIENCE_S):
        try:
            first_line = await server.stdout.receive_some()
            assert first_line.startswith(b"listening on tcp://127.0.0.1:"), await server.stderr.receive_some()
            port = first_line.partition(b"\n")[0].rpartition(b":")[2]
            with closing(Door(int(port))) as acceptor:
                yield server, acceptor
            errors = b"".join([chunk async for chunk in server.stderr])
            assert b"Traceback" not in errors, errors.decode()
        finally:
            if server.returncode is None:
                server.kill()
            with trio.CancelScope(shield=True):
                await server.wait()
                await server.stdout.aclose()
                await server.stderr.aclose()


async def test_out_of_file_descriptors() -> None:
    """Connected peers are served; new ones are accepted as soon as file descriptors are free."""
    async with process("--no-rate-limit", first=FEW_FILES) as (server, acceptor):
        zoe = await acceptor.observer()
        crowd = [acceptor.dial() for _ in range(60)]
        for sock in crowd:
            sock.sendall(packed(Hello(version=1, name=f"n{sock.fileno()}")))
        while not select.select(crowd, [], [], 0)[0]:
            assert await zoe.presence_changes(0.05) == []
        assert await zoe.presence_changes(0.3) == []
        assert 0 < len([sock for sock in crowd if _answered(sock)]) < 40
        late, _ = await acceptor.enter("late")
        await sees(zoe, "+late")
        await late.say("it goes on")
        server.send_signal(signal.SIGTERM)
        assert await server.wait() == 0


def _answered(sock: socket.socket) -> bool:
    """Whether something came; closes it."""
    with sock, suppress(BlockingIOError):
        return bool(sock.recv(1, socket.MSG_DONTWAIT))
    return False


async def test_sigterm_settles_and_says_goodbye() -> None:
    """The server waits for no peer: neither of the two closes, and a goodbye may take an hour."""
    async with process("--limit", "goodbye_s=3600", "--limit", "drain_s=3600") as (server, acceptor):
        ada, _ = await acceptor.enter("ada")
        stranger = RawClient(SocketLink(acceptor.dial(), ""))
        stranger.send(Ping())
        await stranger.next()
        ada.send(*[Say("lobby", f"number {n}", ref=f"s{n}") for n in range(10)])
        await ada.answer(Ack, ref="s9")
        server.send_signal(signal.SIGTERM)
        await ada.ended_with("draining")
        await stranger.ended_with("draining")
        with pytest.raises(ConnectionRefusedError):
            acceptor.dial()
        assert await server.wait() == 0


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
async def test_what_was_just_said_is_acked_or_unknown(sent: signal.Signals) -> None:
    """The signal comes in the middle of a flood: all acks are there, in order, and then the goodbye."""
    async with process("--no-rate-limit") as (server, acceptor):
        ada, _ = await acceptor.enter("ada")
        says = packed(*[Say("lobby", f"number {n}", ref=f"s{n}") for n in range(20_000)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pour_until_closed, ada, says)
            await ada.answer(Ack, ref="s100")
            server.send_signal(sent)
            await ada.ended_with("draining")
            nursery.cancel_scope.cancel()
        acks = [event.seq for event in ada.seen if isinstance(event, Ack)]
        assert acks == list(range(1, len(acks) + 1))
        assert len(ada.seqs()) <= len(acks)
        assert await server.wait() == 0


async def _pour_until_closed(peer: RawClient, data: bytes) -> None:
    with suppress(LinkBroken, trio.ClosedResourceError):
        await peer.send_all(data)


@asynccontextmanager
async def draining(first: signal.Signals) -> AsyncGenerator[tuple[trio.Process, socket.socket]]:
    """A server that drains for an hour after this signal, and the socket of the member that it waits for."""
    options = ("--no-rate-limit", "--limit", "goodbye_s=3600", "--limit", "drain_s=3600")
    async with process(*options) as (server, acceptor):
        zoe = await acceptor.observer()
        sleepy, sock = await acceptor.enter("sleepy", receive_bytes=4_096)
        await sees(zoe, "+sleepy")
        await _fill(zoe)
        server.send_signal(first)
        await zoe.ended_with("draining")
        assert server.returncode is None
        yield server, sock


async def test_a_second_ctrl_c_ends_it_at_once() -> None:
    """A signal too soon after the first counts as the first, so signals are sent until the server ends."""
    async with draining(signal.SIGINT) as (server, _):
        await _send_until_ended(server, signal.SIGINT)
        assert server.returncode == 1


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGHUP])
async def test_more_signals_of_a_supervisor_do_not_end_the_drain(again: signal.Signals) -> None:
    """They are sent until the process has gone, also while the interpreter ends."""
    async with draining(signal.SIGTERM) as (server, sock), trio.open_nursery() as nursery:
        for _ in range(10):
            server.send_signal(again)
            await trio.sleep(0.01)
        assert server.returncode is None
        nursery.start_soon(_send_until_ended, server, again)
        reset(sock)
        assert await server.wait() == 0


async def _send_until_ended(server: trio.Process, number: signal.Signals) -> None:
    while server.poll() is None:
        server.send_signal(number)
        await trio.sleep(0.01)
