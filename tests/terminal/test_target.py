"""Parsing the target of `join`."""

import socket

import pytest

from trio_chat.errors import CannotConnect
from trio_chat.terminal.target import Target, name_hint, parse_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("", Target()),
        ("chat.example", Target(host="chat.example")),
        ("ada@chat.example:70", Target("ada", "chat.example", 70)),
        (":6000", Target(port=6000)),
        ("ada@", Target("ada")),
        ("ada@:6000", Target("ada", port=6000)),
        ("[::1]", Target(host="::1")),
        ("ada@[fe80::1%eth0]:6000", Target("ada", "fe80::1%eth0", 6000)),
        ("ada@home@[::1]", Target("ada@home", "::1")),
        ("ada:lovelace@10.0.0.7", Target("ada:lovelace", "10.0.0.7")),
        ("@ada@10.0.0.7", Target("ada", "10.0.0.7")),
    ],
)
def test_every_part_of_a_target_is_optional(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    ("text", "target", "address"),
    [
        ("ws://chat.example", Target(host="ws://chat.example"), "chat.example:80"),
        ("ada@ws://chat.example:70", Target("ada", "ws://chat.example:70"), "chat.example:70"),
        ("ws://ada@[::1]:70/chat/", Target("ada", "ws://[::1]:70/chat/"), "[::1]:70"),
        ("ws://10.0.0.7/a@b", Target(host="ws://10.0.0.7/a@b"), "10.0.0.7:80"),
        ("ada@home@tcp://10.0.0.7", Target("ada@home", "tcp://10.0.0.7"), "10.0.0.7:5555"),
        ("tcp://ada@home@10.0.0.7:6000", Target("ada@home", "tcp://10.0.0.7:6000"), "10.0.0.7:6000"),
    ],
)
def test_a_url_may_replace_the_host(text: str, target: Target, address: str) -> None:
    assert parse_target(text) == target
    assert str(target.address) == address


def test_the_default_target_is_this_machine() -> None:
    assert Target() == Target("", "127.0.0.1", 5555)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("::1", r"invalid target: got '::1', expected NAME@HOST:PORT, with an IPv6 address in brackets"),
        ("host:port", "invalid target: got 'host:port', expected NAME@HOST:PORT$"),
        ("host:", "expected NAME@HOST:PORT"),
        ("[::1", "expected NAME@HOST:PORT"),
        ("host:0", "invalid port: got 0, expected 1 to 65535"),
        ("host:65536", "invalid port: got 65536, expected 1 to 65535"),
        ("host:555555", "expected NAME@HOST:PORT"),
        (
            "http://host:5555",
            r"^invalid address: got 'http://host:5555', expected one such as ws://127.0.0.1:5555$",
        ),
        ("ada@ws://", "invalid address: got 'ws://'"),
        ("ws://host:0", "invalid address: got"),
        ("ada@tcp://host/lobby", "invalid address: got"),
        ("a\udcff@host", r"invalid target: got 'a\\udcff@host', expected NAME@HOST:PORT$"),
        ("a\x1b[2J@host", r"invalid target: got 'a\\x1b\[2J@host', expected NAME@HOST:PORT$"),
    ],
)
def test_an_invalid_target_is_refused_with_the_expected_form(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_target(text)


def unknown() -> CannotConnect:
    error = CannotConnect("cannot connect to that host")
    error.__cause__ = socket.gaierror(-2, "Name or service not known")
    return error


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("ada", "ada@127.0.0.1"),
        ("ada:6000", "ada@127.0.0.1:6000"),
        ("ada.lovelace", "ada.lovelace@127.0.0.1"),
        ("zoë", "zoë@127.0.0.1"),
    ],
)
def test_a_name_without_a_host_is_suggested_with_one(text: str, command: str) -> None:
    hint = name_hint(parse_target(text), unknown())
    assert hint == f"to join as {text.partition(':')[0]} on this machine: trio-chat join {command}"
    assert parse_target(command) == Target(text.partition(":")[0], port=parse_target(text).port)


def test_a_single_word_may_be_a_name_even_if_it_resolves() -> None:
    assert name_hint(parse_target("ada"), CannotConnect("no server there"))


@pytest.mark.parametrize(
    "text",
    ["", ":6000", "ada@", "ada@nowhere", "localhost", "127.0.0.1", "10.0.0.7", "ws://ada", "[::1]", "a b"],
)
def test_no_name_is_suggested_for_a_clear_host(text: str) -> None:
    assert name_hint(parse_target(text), CannotConnect("no server there")) == ""
