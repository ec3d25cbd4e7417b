"""Tests of connecting: a link, or an error of one line."""

import errno
import socket

import pytest
import trio

from tests.patience import PATIENCE_S
from trio_chat.errors import CannotConnect
from trio_chat.net.dial import Dial, dial_tcp


async def test_dial_returns_a_link() -> None:
    dial: Dial = dial_tcp
    with socket.create_server(("127.0.0.1", 0)) as server, trio.fail_after(PATIENCE_S):
        link = await dial(*server.getsockname())
        peer, _ = server.accept()
        with peer:
            assert link.address == "127.0.0.1"
            assert link.send_nowait(b"hello") == 5
            assert peer.recv(100) == b"hello"
            peer.sendall(b"there")
            assert await link.receive_some() == b"there"
            link.close()


async def test_a_refused_connection_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(CannotConnect, match=rf"^cannot connect to 127\.0\.0\.1:{port}: Connection refused$"):
        await dial_tcp("127.0.0.1", port)


class FailingSocketFactory(trio.abc.SocketFactory):
    """A socket factory that fails with the given error."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def socket(self, family: int = 0, type: int = 0, proto: int = 0) -> trio.socket.SocketType:
        raise self.error


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("::1", r"cannot connect to \[::1\]:5555: No route to host"),
        ("127.0.0.1", r"cannot connect to 127\.0\.0\.1:5555: No route to host"),
    ],
)
async def test_the_error_of_the_first_address_is_reported(host: str, message: str) -> None:
    trio.socket.set_custom_socket_factory(FailingSocketFactory(OSError(errno.EHOSTUNREACH, "another text")))
    with pytest.raises(CannotConnect, match=f"^{message}$"):
        await dial_tcp(host, 5555)


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
async def test_an_invalid_host_name_is_an_error(host: str) -> None:
    with pytest.raises(CannotConnect, match=f"^cannot connect to {host}:5555: invalid host name$"):
        await dial_tcp(host, 5555)


async def test_an_unknown_host_name_is_an_error() -> None:
    with pytest.raises(CannotConnect, match=r"^cannot connect to chat\.invalid:5555: "):
        await dial_tcp("chat.invalid", 5555)


async def test_a_cancelled_dial_leaves_no_socket() -> None:
    """An open socket would cause a ResourceWarning, which is an error in tests."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with trio.move_on_after(0) as scope:
            await dial_tcp(*server.getsockname())
        assert scope.cancelled_caught
