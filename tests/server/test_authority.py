"""The host and port of a request: its spellings, and which origins are the same."""

import pytest

from trio_chat.server.authority import (
    Authority,
    is_address,
    is_same_origin,
    parse_authority,
    split_target,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (b"Chat.Example", "chat.example", None),
        (b"chat.example.", "chat.example", None),
        (b"chat.example:", "chat.example", None),
        (b"chat.example.:443", "chat.example", 443),
        (b"my_chat:0", "my_chat", 0),
        (b"127.0.0.1:65535", "127.0.0.1", 65_535),
        (b"[::1]", "[::1]", None),
        (b"[0:0:0:0:0:0:0:1]:80", "[::1]", 80),
        (b"[2001:DB8::A]", "[2001:db8::a]", None),
        (b"a" * 253 + b".", "a" * 253, None),
    ],
)
def test_each_spelling_of_a_host_is_the_same_authority(text: bytes, host: str, port: int | None) -> None:
    assert parse_authority(text) == Authority(host, port)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b".",
        b":80",
        b"a:65536",
        b"a:123456",
        b"a:-1",
        b"a:b",
        b"a:80:80",
        b"::1",
        b"[::1",
        b"[::1]x",
        b"[1.2.3.4]",
        b"[:::]",
        b"[fe80::1%25eth0]",
        b"user@a",
        b"a b",
        b"a/b",
        b"a, a",
        b"a\n",
        "bücher.example".encode(),
        b"a" * 256,
    ],
)
def test_what_is_neither_a_name_nor_an_address_has_no_authority(text: bytes) -> None:
    assert parse_authority(text) is None


def test_addresses_are_told_from_names() -> None:
    for host in ("127.0.0.1", "192.0.2.9", "[::1]"):
        assert is_address(host)
    for host in ("localhost", "127.1", "0x7f.1", "127.0.0.1.example", "1.2.3.4.5"):
        assert not is_address(host)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"name:443", b"https://name"),
        (b"name", b"https://name:443"),
        (b"name", b"https://name"),
        (b"name:80", b"http://name"),
        (b"name", b"http://name:80"),
        (b"name", b"http://name"),
        (b"NAME", b"HTTPS://Name"),
        (b"name.", b"https://name."),
        (b"name.:443", b"https://name"),
        (b"[::1]:443", b"https://[0:0::1]"),
        (b"127.0.0.1:5555", b"http://127.0.0.1:5555"),
        (b"name:8443", b"https://name:8443"),
        (b"name:", b"https://name"),
    ],
)
def test_a_default_port_may_be_named_or_left_out(host: bytes, origin: bytes) -> None:
    authority = parse_authority(host)
    assert authority is not None
    assert is_same_origin(origin, authority)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"name:80", b"https://name"),
        (b"name:443", b"http://name"),
        (b"name", b"https://name:80"),
        (b"name", b"http://name:443"),
        (b"name:5555", b"http://name"),
        (b"name:0", b"http://name"),
        (b"name", b"http://other"),
        (b"name", b"http://name.evil"),
        (b"name", b"http://evil.name"),
        (b"name", b"http://user@name"),
        (b"name", b"http://name/"),
        (b"name", b"http://name, http://name"),
        (b"name", b"ftp://name"),
        (b"name", b"null"),
        (b"name", b""),
        (b"name", b"http://"),
        (b"name", b"http://name\n"),
        (b"[::1]", b"http://[::2]"),
    ],
)
def test_another_host_port_or_scheme_is_another_origin(host: bytes, origin: bytes) -> None:
    authority = parse_authority(host)
    assert authority is not None
    assert not is_same_origin(origin, authority)


@pytest.mark.parametrize(
    ("target", "host", "rest"),
    [
        (b"http://a/b?c", b"a", b"/b?c"),
        (b"HTTPS://a:443", b"a:443", b"/"),
        (b"http://a?c", b"a", b"/?c"),
        (b"http://a//b", b"a", b"//b"),
        (b"http://user@a/", b"user@a", b"/"),
    ],
)
def test_a_target_in_absolute_form_is_split(target: bytes, host: bytes, rest: bytes) -> None:
    assert split_target(target) == (host, rest)


@pytest.mark.parametrize("target", [b"/", b"//a/b", b"*", b"a:443", b"ftp://a/", b"http:/a", b"http:///a"])
def test_a_target_in_another_form_is_not_split(target: bytes) -> None:
    assert split_target(target) is None
