"""Tests of listening: on loopback, without an address, and without file descriptors."""

import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.patience import PATIENCE_S
from trio_chat.errors import CannotStart
from trio_chat.net.link import Link, SocketLink
from trio_chat.net.listen import (
    ACCEPT_AT_ONCE,
    PAUSE_S,
    SEND_BUFFER_BYTES,
    WARN_S,
    Listener,
    SocketListener,
    open_listeners,
)


class ScriptedSocket(socket.socket):
    """A listening socket that is always readable; the outcomes of `accept` are given in advance."""

    def __init__(self, *outcomes: OSError | None) -> None:
        near, self.other = socket.socketpair()
        super().__init__(fileno=near.detach())
        self.other.send(b"a connection waits")
        self.outcomes = list(outcomes)
        self.accepted: list[socket.socket] = []

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        outcome = self.outcomes.pop(0) if self.outcomes else BlockingIOError()
        if outcome is not None:
            raise outcome
        near, far = socket.socketpair()
        far.close()
        self.accepted.append(near)
        return near, ("192.0.2.1", 1)

    def close(self) -> None:
        self.other.close()
        super().close()


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.fixture
async def listening() -> AsyncIterator[Callable[..., tuple[SocketListener, ScriptedSocket]]]:
    made = []

    def make(*outcomes: OSError | None) -> tuple[SocketListener, ScriptedSocket]:
        sock = ScriptedSocket(*outcomes)
        made.append(SocketListener(sock))
        return made[-1], sock

    yield make
    for listener in made:
        listener.close()


Listening = Callable[..., tuple[SocketListener, ScriptedSocket]]


def close(links: list[Link]) -> None:
    for link in links:
        link.close()


async def test_connections_are_accepted_as_links() -> None:
    (listener,) = await open_listeners("127.0.0.1", 0)
    as_promised: Listener = listener
    assert as_promised.address == f"tcp://127.0.0.1:{listener.port}"
    with trio.fail_after(PATIENCE_S), socket.create_connection(("127.0.0.1", listener.port)) as peer:
        (link,) = await listener.accept()
        assert link.address == "127.0.0.1"
        peer.sendall(b"hello")
        assert await link.receive_some() == b"hello"
        link.close()
    listener.close()


async def test_the_send_buffer_of_an_accepted_socket_is_bounded() -> None:
    """By default the kernel would grow the buffer of a slow reader to megabytes."""
    (listener,) = await open_listeners("127.0.0.1", 0)
    with trio.fail_after(PATIENCE_S), socket.create_connection(("127.0.0.1", listener.port)):
        (link,) = await listener.accept()
        assert isinstance(link, SocketLink)
        assert link.send_buffer_bytes <= 2 * SEND_BUFFER_BYTES
        link.close()
    listener.close()


async def test_all_waiting_connections_are_accepted_at_once() -> None:
    (listener,) = await open_listeners("127.0.0.1", 0)
    peers = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(10)]
    with trio.fail_after(PATIENCE_S):
        links = await listener.accept()
        while len(links) < 10:
            links += await listener.accept()
    close(links)
    listener.close()
    for peer in peers:
        peer.close()


async def test_a_connection_storm_is_accepted_in_bounded_batches(listening: Listening) -> None:
    listener, _ = listening(*[None] * (ACCEPT_AT_ONCE + 3))
    for expected in (ACCEPT_AT_ONCE, 3):
        links = await listener.accept()
        assert len(links) == expected
        close(links)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
async def test_accept_pauses_and_retries_without_file_descriptors(
    listening: Listening, number: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener, _ = listening(error(number), error(number), error(number), None)
    before = trio.current_time()
    close(await listener.accept())
    assert trio.current_time() - before == pytest.approx(3 * PAUSE_S)
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot accept for now: {os.strerror(number)}"
    ]


async def test_a_shortage_is_logged_once_and_at_most_once_a_minute(
    listening: Listening, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    lack = error(errno.EMFILE)
    listener, sock = listening()
    for logged in (1, 1, 2):
        sock.outcomes = [lack, lack, None]
        close(await listener.accept())
        assert [record.levelno for record in caplog.records] == [logging.WARNING] * logged
        await trio.sleep(WARN_S / 2)


async def test_accept_returns_the_accepted_connections_when_descriptors_run_out(
    listening: Listening, autojump_clock: MockClock
) -> None:
    listener, _ = listening(None, None, error(errno.EMFILE))
    before = trio.current_time()
    links = await listener.accept()
    assert len(links) == 2
    assert trio.current_time() == before
    close(links)


async def test_an_aborted_connection_does_not_prevent_the_next_accept(listening: Listening) -> None:
    listener, _ = listening(error(errno.ECONNABORTED), error(errno.EPROTO), None)
    links = await listener.accept()
    assert len(links) == 1
    close(links)


async def test_an_unexpected_error_is_raised_and_closes_accepted_connections(listening: Listening) -> None:
    listener, sock = listening(None, error(errno.EINVAL))
    with pytest.raises(OSError, match="Invalid argument"):
        await listener.accept()
    assert [each.fileno() for each in sock.accepted] == [-1]


async def test_a_cancelled_accept_loses_no_connection(listening: Listening) -> None:
    listener, sock = listening(None)
    with trio.move_on_after(0) as scope:
        await listener.accept()
    assert scope.cancelled_caught
    assert sock.accepted == []


async def test_closing_ends_an_accept() -> None:
    (listener,) = await open_listeners("127.0.0.1", 0)

    async def accept() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            await wait_all_tasks_blocked()
            listener.close()
        listener.close()
        await accept()


async def test_all_addresses_share_the_port() -> None:
    listeners = await open_listeners("", 0)
    try:
        assert len({listener.port for listener in listeners}) == 1
        assert len({listener.address for listener in listeners}) == len(listeners)
        assert f"tcp://0.0.0.0:{listeners[0].port}" in {listener.address for listener in listeners}
    finally:
        for listener in listeners:
            listener.close()


class Resolver(trio.abc.HostnameResolver):
    """A resolver that returns the given addresses for every name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # type: ignore[no-untyped-def]
        await trio.lowlevel.checkpoint()
        return [
            (socket.AF_INET6, type, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, type, 6, "", (address, port))
            for address in self.addresses
        ]

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise NotImplementedError


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["127.0.0.1", "127.0.0.1"], id="one twice"),
        pytest.param(["2001:db8::1", "127.0.0.1"], id="one not of this machine"),
        pytest.param(["127.0.0.1", "192.0.2.1"], id="the last not of this machine"),
    ],
)
async def test_it_listens_on_the_addresses_that_this_machine_has(addresses: list[str]) -> None:
    trio.socket.set_custom_hostname_resolver(Resolver(*addresses))
    (listener,) = await open_listeners("here.example", 0)
    assert listener.address == f"tcp://127.0.0.1:{listener.port}"
    listener.close()


async def test_no_address_of_this_machine_is_an_error() -> None:
    trio.socket.set_custom_hostname_resolver(Resolver("192.0.2.1"))
    with pytest.raises(
        CannotStart, match=r"^cannot listen on far\.example:0: Cannot assign requested address$"
    ):
        await open_listeners("far.example", 0)
    trio.socket.set_custom_hostname_resolver(Resolver())
    with pytest.raises(CannotStart, match=r"^cannot listen on no\.example:0: it has no address$"):
        await open_listeners("no.example", 0)


async def test_a_port_in_use_is_an_error_and_closes_all_listeners() -> None:
    (first,) = await open_listeners("127.0.0.2", 0)
    trio.socket.set_custom_hostname_resolver(Resolver("127.0.0.1", "127.0.0.2"))
    message = rf"^cannot listen on here\.example:{first.port}: Address already in use$"
    with pytest.raises(CannotStart, match=message):
        await open_listeners("here.example", first.port)
    trio.socket.set_custom_hostname_resolver(None)
    first.close()
    (again,) = await open_listeners("127.0.0.1", first.port)
    again.close()


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "é" * 64])
async def test_an_invalid_host_name_is_an_error(host: str) -> None:
    with pytest.raises(CannotStart, match=f"^cannot listen on {host}: invalid host name$"):
        await open_listeners(host, 0)


async def test_an_unknown_host_name_is_an_error() -> None:
    with pytest.raises(CannotStart, match=r"^cannot listen on chat\.invalid: "):
        await open_listeners("chat.invalid", 0)


async def test_an_ipv6_address_is_shown_in_brackets() -> None:
    try:
        (listener,) = await open_listeners("::1", 0)
    except CannotStart:
        pytest.skip("no IPv6 on this machine")
    assert listener.address == f"tcp://[::1]:{listener.port}"
    listener.close()


@pytest.mark.parametrize("host", ["::", "::ffff:127.0.0.1"])
async def test_an_ipv6_listener_takes_ipv4_as_well(host: str) -> None:
    """`::` means all addresses, whatever the value of `net.ipv6.bindv6only`."""
    try:
        (listener,) = await open_listeners(host, 0)
    except CannotStart:
        pytest.skip("no IPv6 on this machine")
    try:
        with socket.create_connection(("127.0.0.1", listener.port), 10):
            (link,) = await listener.accept()
        assert link.address == "::ffff:127.0.0.1"
        link.close()
    finally:
        listener.close()


async def test_a_link_local_address_is_shown_with_its_zone() -> None:
    class Zoned(ScriptedSocket):
        def getsockname(self) -> tuple[str, int, int, int]:  # type: ignore[override]
            return "fe80::7", 1, 0, number

    number, name = socket.if_nameindex()[0]
    listener = SocketListener(Zoned())
    assert listener.address == f"tcp://[fe80::7%{name}]:1"
    listener.close()
