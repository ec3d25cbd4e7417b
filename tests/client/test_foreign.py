"""Servers of other protocols are named by their first bytes."""

import socket
import ssl
from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.client.scripted import ScriptedConnection, ScriptedServer
from trio_chat.client import connect
from trio_chat.client.address import Address
from trio_chat.client.connection import Connection
from trio_chat.client.foreign import OPENING_BYTES, Opening, as_lines, name_of_protocol
from trio_chat.client.tls_probe import PROBE_S, probe_tls
from trio_chat.errors import CannotConnect, ChatError, ForeignServer
from trio_chat.net.link import Link
from trio_chat.testing.pipe import link_pair
from trio_chat.wire import framing
from trio_chat.wire.codec import decode_command, encode
from trio_chat.wire.messages import Bye, Hello, Ping, Pong

SETTINGS = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)  # the first bytes of gRPC servers
ALERT = b"\x15\x03\x01\x00\x02\x02\x46"

BANNERS = [
    (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
    (b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n", "HTTP"),
    (b"HTTP/1.0 400 Bad request syntax\r\n", "HTTP"),
    (b"<!DOCTYPE HTML>\n<html>", "HTTP"),
    (b"<html>\r\n<head><title>400", "HTTP"),
    (SETTINGS, "HTTP/2"),
    (ALERT, "TLS"),
    (b"\x16\x03\x03\x00\x7a\x02", "TLS"),
    (b"220 mail.example ESMTP Postfix\r\n", "SMTP"),
    (b"220-mx.example Sendmail\r\n", "SMTP"),
    (b"554 smtp.example not accepting\r\n", "SMTP"),
    (b"220 (vsFTPd 3.0.5)\r\n", "FTP"),
    (b"220 hello\r\n", "SMTP or FTP"),
    (b"200 news.example ready\r\n", "NNTP"),
    (b"+OK Dovecot ready.\r\n", "POP3"),
    (b"* OK [CAPABILITY IMAP4rev1] ready\r\n", "IMAP"),
    (b":irc.example NOTICE * :*** Looking up your hostname\r\n", "IRC"),
    (b":irc.example 451 * :You have not registered\r\n", "IRC"),
    (b"NOTICE AUTH :*** Checking Ident\r\n", "IRC"),
    (b"ERROR :Closing Link\r\n", "IRC"),
    (b"ERROR\r\n", "memcached"),
    (b"CLIENT_ERROR bad command line format\r\n", "memcached"),
    (b"-ERR Protocol error: unbalanced quotes in request\r\n", "Redis"),
    (b"-DENIED Redis is running in protected mode\r\n", "Redis"),
    (b"-NOAUTH Authentication required.\r\n", "Redis"),
    (b'INFO {"server_id":"N"}\r\n', "NATS"),
    (b"RFB 003.008\n", "VNC"),
    (b"@RSYNCD: 31.0\n", "rsync"),
    (b"AMQP\x00\x00\x09\x01", "AMQP"),
    (b"<?xml version='1.0'?><stream:stream>", "XMPP"),
    (b"J\x00\x00\x00\x0a8.0.36\x00", "MySQL"),
    (b"E\x00\x00\x00\x8eSFATAL\x00", "PostgreSQL"),
    (b"\xff\xfd\x18\xff\xfd\x20", "Telnet"),
    (b"\x03\x00\x00\x0b\x06\xd0", "RDP"),
    (b"welcome to the machine\r\nplease", "'welcome to the machine'"),
    (b"x" * 100, repr("x" * 60 + "...")),
]


@pytest.mark.parametrize(("data", "name"), BANNERS)
def test_a_protocol_is_named_by_its_banner(data: bytes, name: str) -> None:
    assert name_of_protocol(data) == name


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n", b"\xff\xff\xff\xff", b"\x1b[2J\x1b]0;x\x07", "é".encode(), bytes(100)],
    ids=["nothing", "no line", "not text", "escapes", "not ASCII", "zeros"],
)
def test_other_bytes_name_nothing(data: bytes) -> None:
    assert name_of_protocol(data) == ""


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_a_name_is_one_printable_line(data: bytes) -> None:
    name = name_of_protocol(data)
    assert not name or name.isprintable()
    assert len(name) < 150


@given(st.binary(max_size=400))
def test_a_frame_of_json_is_never_another_protocol(payload: bytes) -> None:
    for start in (b"{", b"\r\n{"):
        assert name_of_protocol(framing.pack([start + payload])) == ""


def test_only_the_first_bytes_are_kept() -> None:
    opening = Opening()
    for _ in range(1000):
        opening.feed(b"x" * 1000)
    assert opening._data == b"x" * OPENING_BYTES


@pytest.mark.parametrize("data", [b"", b"H", b"HTTP", b"HTTP/1.1 404 Not Found\r\n"])
def test_bytes_that_are_expected_name_no_server(data: bytes) -> None:
    opening = Opening(expected=b"HTTP/")
    opening.feed(data)
    assert opening.error() is None


def test_a_hello_between_line_ends_is_the_same_hello() -> None:
    hello = Hello(version=1, name="ada")
    assert decode_command(as_lines(encode(hello))) == hello


# --- connect() --------------------------------------------------------------------------------------


async def answered(
    nursery: trio.Nursery, *data: bytes, host: str = "127.0.0.1", closes: bool = False
) -> ChatError:
    """Connect to a server that sends these bytes, and return the error of `connect`."""
    scripted_server = ScriptedServer()

    async def serve() -> None:
        peer: ScriptedConnection = await scripted_server.accept()
        for part in data:
            await peer.send_bytes(part)
            await trio.testing.wait_all_tasks_blocked()
        if closes:
            peer.link.close()

    nursery.start_soon(serve)
    with pytest.raises(ChatError) as caught:
        async with connect(host, name="ada", dial=scripted_server.dial):
            pytest.fail("connect must fail")
    (link,) = scripted_server.client_links
    assert link.is_closed
    return caught.value


@pytest.mark.parametrize("host", ["127.0.0.1", "ws://127.0.0.1:5555"])
@pytest.mark.parametrize(
    ("data", "name"), [each for each in BANNERS if each[1] in ("SSH", "TLS", "SMTP", "IRC", "Redis")]
)
async def test_connecting_to_another_server_names_it_at_once(
    nursery: trio.Nursery, mock_clock: trio.abc.Clock, host: str, data: bytes, name: str
) -> None:
    """The clock does not advance, so no timeout was involved."""
    error = await answered(nursery, data, host=host)
    assert isinstance(error, ForeignServer)
    assert (str(error), error.protocol) == (f"not a trio-chat server: it answered {name}", name)
    assert error.exit_status == 3


async def test_an_http_server_is_named_with_a_hint_at_websockets(
    nursery: trio.Nursery, mock_clock: trio.abc.Clock
) -> None:
    error = await answered(nursery, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert str(error) == (
        "not a trio-chat server: it answered HTTP; if trio-chat is behind this web server, use ws://HOST:PORT"
    )


async def test_a_banner_in_pieces_is_named_all_the_same(
    nursery: trio.Nursery, mock_clock: trio.abc.Clock
) -> None:
    assert "SSH" in str(await answered(nursery, b"SS", b"H", b"-2.0\r\n"))


async def test_bytes_like_half_a_frame_are_identified_at_the_end_of_input(
    nursery: trio.Nursery, mock_clock: trio.abc.Clock
) -> None:
    assert str(await answered(nursery, SETTINGS, closes=True)).endswith("it answered HTTP/2")


async def test_a_server_that_closes_without_an_answer_may_be_another(
    nursery: trio.Nursery, mock_clock: trio.abc.Clock
) -> None:
    for data in ([], [b"\x00\x00\x01"]):
        error = await answered(nursery, *data, closes=True)
        assert isinstance(error, CannotConnect)
        assert str(error).endswith("; it may not be a trio-chat server: check host and port")


async def test_bytes_like_half_a_frame_are_identified_at_the_timeout(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    assert str(await answered(nursery, SETTINGS)).endswith("it answered HTTP/2")


async def test_a_silent_server_is_reported_as_silent(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    error = await answered(nursery)
    assert isinstance(error, CannotConnect)
    assert str(error) == (
        "no answer from 127.0.0.1:5555 for 10 s: it may not be a trio-chat server; check host and port"
    )


async def test_a_protocol_error_after_the_welcome_names_no_foreign_server(
    nursery: trio.Nursery, mock_clock: trio.abc.Clock
) -> None:
    frames = framing.pack([encode(Pong())])
    error = await answered(nursery, frames, b"SSH-2.0-OpenSSH\r\n")
    assert not isinstance(error, ForeignServer)
    assert str(error).startswith("invalid data from the server: ")


async def test_a_bye_names_no_foreign_server(nursery: trio.Nursery, mock_clock: trio.abc.Clock) -> None:
    error = await answered(nursery, framing.pack([encode(Bye("draining", "stopping", reconnect=True))]))
    assert "stopping" in str(error)


async def test_the_hello_ends_a_line_so_that_servers_of_lines_answer(
    nursery: trio.Nursery, mock_clock: trio.abc.Clock
) -> None:
    scripted_server = ScriptedServer()
    lines: list[bytes] = []

    async def serve() -> None:
        peer = await scripted_server.accept()
        data = b""
        while b"\r\n\r\n" not in data:
            data += await peer.link.receive_some()
        lines.extend(data.split(b"\r\n"))
        await peer.send_bytes(b"-ERR unknown command\r\n")

    nursery.start_soon(serve)
    with pytest.raises(ForeignServer, match="it answered Redis"):
        async with connect(name="ada", dial=scripted_server.dial):
            pytest.fail("connect must fail")
    header, hello, *rest = lines
    assert len(header) == 4
    assert hello.startswith(b'{"type":"hello"')
    assert rest == [b"", b""]


async def test_a_ping_is_sent_without_line_ends() -> None:
    await trio.lowlevel.checkpoint()
    here, _ = link_pair()
    assert Connection(here).pack(Ping()) == framing.pack([b'{"type":"ping"}'])


# --- TLS --------------------------------------------------------------------------------------------


async def test_a_real_tls_server_is_named(nursery: trio.Nursery) -> None:
    """The server closes a connection without TLS, and answers the second one with an alert."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def serve(server: socket.socket) -> None:
        for _ in range(2):
            sock, _ = server.accept()
            with sock, pytest.raises(ssl.SSLError):
                context.wrap_socket(sock, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as server:
        nursery.start_soon(trio.to_thread.run_sync, serve, server)
        with pytest.raises(ForeignServer, match=r"it answered TLS$"), trio.fail_after(9):
            async with connect(port=server.getsockname()[1], name="ada"):
                pytest.fail("connect must fail")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"?"])
async def test_a_server_that_answers_no_tls_either_is_not_named(nursery: trio.Nursery, answer: bytes) -> None:
    asked: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        asked.append(await stream.receive_some())
        if len(asked) == 2:
            await stream.send_all(answer)
        await stream.aclose()

    listener, *_ = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(partial(trio.serve_listeners, handle, [listener]))
    with pytest.raises(CannotConnect, match="it may not be a trio-chat server"):
        async with connect(port=listener.socket.getsockname()[1], name="ada"):
            pytest.fail("connect must fail")
    assert [data[:3] for data in asked] == [b"\x00\x00\x00", b"\x16\x03\x01"]
    nursery.cancel_scope.cancel()


async def test_an_unanswered_probe_times_out(autojump_clock: trio.abc.Clock) -> None:
    here, there = link_pair()

    async def dial(host: str, port: int) -> Link:
        await trio.lowlevel.checkpoint()
        return here

    assert await probe_tls(Address("127.0.0.1", 5555), dial) is None
    assert here.is_closed
    assert trio.current_time() == PROBE_S
    there.close()


async def test_a_probe_without_a_server_names_nothing() -> None:
    async def dial(host: str, port: int) -> Link:
        await trio.lowlevel.checkpoint()
        raise CannotConnect("no server there")

    assert await probe_tls(Address("127.0.0.1", 5555), dial) is None
