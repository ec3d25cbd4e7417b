"""Addresses of servers: hosts, ports and URLs."""

import pytest

from trio_chat.client.address import Address, parse_address
from trio_chat.errors import CannotConnect


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("127.0.0.1", 5555, ("127.0.0.1", 5555, "")),
        ("::1", 1, ("::1", 1, "")),
        ("tcp://chat.example", 1, ("chat.example", 5555, "")),
        ("tcp://[::1]:7/", 1, ("::1", 7, "")),
        ("ws://chat.example", 1, ("chat.example", 80, "/ws")),
        ("WS://127.0.0.1:5555/", 1, ("127.0.0.1", 5555, "/ws")),
        (
            "ws://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example:81",
            1,
            ("xn--bcher-kva.example", 81, "/ws"),
        ),
        ("ws://[::1]:5555/chat/ws?a=b", 1, ("::1", 5555, "/chat/ws?a=b")),
    ],
)
def test_an_address_is_a_host_and_a_port_or_a_url(
    host: str, port: int, address: tuple[str, int, str]
) -> None:
    assert parse_address(host, port) == address


@pytest.mark.parametrize(
    "url",
    [
        "wss://chat.example",
        "http://chat.example",
        "ws://",
        "ws://:80",
        "ws://chat.example:0",
        "ws://chat.example:65536",
        "ws://ada@chat.example",
        "ws://chat.example/with space",
        "ws://chat.example/\r\nX: y",
        "tcp://chat.example/ws",
        "ws://[chat.example]",
    ],
)
def test_an_invalid_address_is_an_error(url: str) -> None:
    with pytest.raises(
        CannotConnect, match=r"invalid address: got .*, expected one such as ws://127\.0\.0\.1:5555"
    ):
        parse_address(url, 5555)


def test_an_invalid_host_name_is_an_error() -> None:
    with pytest.raises(CannotConnect, match="invalid host name: got"):
        parse_address("ws://\N{SNOWMAN}" + "a" * 80, 5555)


def test_an_address_is_printed_as_it_is_written() -> None:
    assert str(Address("::1", 80)) == "[::1]:80"
    assert str(Address("chat.example", 80, "/ws")) == "chat.example:80"
