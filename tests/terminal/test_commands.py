"""What was typed, as an action."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.terminal import commands
from trio_chat.terminal.commands import Action, parse, split_text


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("hello", commands.Say("hello")),
        ("  indented", commands.Say("  indented")),
        ("//etc/passwd", commands.Say("/etc/passwd")),
        ("///", commands.Say("//")),
        ("", commands.Nothing()),
        (" \t", commands.Nothing()),
        ("/me waves ", commands.Say("waves", action=True)),
        ("/join garden", commands.Join("garden")),
        ("/JOIN garden", commands.Join("garden")),
        ("/leave", commands.Leave()),
        ("/leave garden", commands.Leave("garden")),
        ("/rooms", commands.Rooms()),
        ("/who", commands.Who()),
        ("/msg bob two words", commands.Tell("bob", "two words")),
        ("/nick eva", commands.Nick("eva")),
        ("/topic ducks, mostly", commands.Topic("ducks, mostly")),
        ("/history", commands.History(20)),
        ("/history 200", commands.History(200)),
        ('/search "two" OR words*', commands.Search('"two" OR words*')),
        ("/search", commands.Search()),
        ("/quit", commands.Quit()),
        ("/quit supper time", commands.Quit("supper time")),
        ("/help", commands.Help()),
        ("/join #garden", commands.Join("garden")),
        ("/join #", commands.Join("#")),
        ("/leave #garden", commands.Leave("garden")),
        ("/msg @bob two words", commands.Tell("bob", "two words")),
        ("/msg @ two words", commands.Tell("@", "two words")),
        ("/nick @eva", commands.Nick("eva")),
        ("/topic #1 of many", commands.Topic("#1 of many")),
        ("/me @bob", commands.Say("@bob", action=True)),
    ],
)
def test_a_line_is_an_action(line: str, action: Action) -> None:
    assert parse(line) == action


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/join", "/join what? (/help)"),
        ("/me ", "/me what? (/help)"),
        ("/msg", "/msg what? (/help)"),
        ("/msg bob", "/msg bob what? (/help)"),
        ("/history 0", "/history takes a number from 1 to 200 (/help)"),
        ("/history 201", "/history takes a number from 1 to 200 (/help)"),
        ("/history all", "/history takes a number from 1 to 200 (/help)"),
        ("/history \u0663", "/history takes a number from 1 to 200 (/help)"),
        ("/dance now", "no such command: /dance (/help, or //dance to say it)"),
        ("/", "no such command: / (/help, or // to say it)"),
    ],
)
def test_what_is_unclear_is_told_why(line: str, why: str) -> None:
    assert parse(line) == commands.Unclear(why)


def test_every_command_is_in_the_help() -> None:
    for word in ("join", "leave", "rooms", "who", "msg", "me", "nick", "topic", "history", "search", "quit"):
        assert f"/{word} " in commands.HELP
        assert not isinstance(parse(f"/{word} 1" + " b" * (word == "msg")), commands.Unclear)


@pytest.mark.parametrize("line", ["/quit", "//", "/msg bob hi", " / ", "plain"])
def test_a_line_as_text_is_no_command(line: str) -> None:
    assert commands.as_text(line) == commands.Say(line)


@pytest.mark.parametrize("line", ["", " ", "\t\u3000"])
def test_a_blank_line_as_text_is_nothing(line: str) -> None:
    assert commands.as_text(line) == commands.Nothing()


@given(st.text())
def test_every_line_is_some_action(line: str) -> None:
    parse(line)


@given(st.text(st.characters(codec="utf-8")), st.integers(4, 20))
def test_a_split_text_loses_nothing_and_fits(text: str, bytes_max: int) -> None:
    pieces = list(split_text(text, bytes_max))
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= bytes_max for piece in pieces)
    assert all(pieces) or not text


def test_a_text_is_split_no_more_than_needed() -> None:
    assert list(split_text("a" * 4096, 4096)) == ["a" * 4096]
    assert list(split_text("a" * 4097, 4096)) == ["a" * 4096, "a"]
    assert list(split_text("€" * 3, 4)) == ["€", "€", "€"]
