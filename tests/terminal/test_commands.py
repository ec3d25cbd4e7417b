"""Parsing typed lines into actions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.terminal import commands
from trio_chat.terminal.commands import Action, parse, split_text


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("hello", commands.SayLine("hello")),
        ("  indented", commands.SayLine("  indented")),
        ("//etc/passwd", commands.SayLine("/etc/passwd")),
        ("///", commands.SayLine("//")),
        ("", commands.EmptyLine()),
        (" \t", commands.EmptyLine()),
        ("/me waves ", commands.SayLine("waves", action=True)),
        ("/join garden", commands.JoinLine("garden")),
        ("/JOIN garden", commands.JoinLine("garden")),
        ("/leave", commands.LeaveLine()),
        ("/leave garden", commands.LeaveLine("garden")),
        ("/rooms", commands.RoomsLine()),
        ("/who", commands.WhoLine()),
        ("/msg bob two words", commands.WhisperLine("bob", "two words")),
        ("/nick eva", commands.NickLine("eva")),
        ("/topic ducks, mostly", commands.TopicLine("ducks, mostly")),
        ("/history", commands.HistoryLine(20)),
        ("/history 200", commands.HistoryLine(200)),
        ('/search "two" OR words*', commands.SearchLine('"two" OR words*')),
        ("/search", commands.SearchLine()),
        ("/quit", commands.QuitLine()),
        ("/quit supper time", commands.QuitLine("supper time")),
        ("/help", commands.HelpLine()),
        ("/join #garden", commands.JoinLine("garden")),
        ("/join #", commands.JoinLine("#")),
        ("/leave #garden", commands.LeaveLine("garden")),
        ("/msg @bob two words", commands.WhisperLine("bob", "two words")),
        ("/msg @ two words", commands.WhisperLine("@", "two words")),
        ("/nick @eva", commands.NickLine("eva")),
        ("/topic #1 of many", commands.TopicLine("#1 of many")),
        ("/me @bob", commands.SayLine("@bob", action=True)),
    ],
)
def test_lines_are_parsed_into_actions(line: str, action: Action) -> None:
    assert parse(line) == action


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/join", "/join: missing argument (/help)"),
        ("/me ", "/me: missing argument (/help)"),
        ("/msg", "/msg: missing argument (/help)"),
        ("/msg bob", "/msg bob: missing text (/help)"),
        ("/history 0", "invalid /history: got '0', expected 1 to 200 (/help)"),
        ("/history 201", "invalid /history: got '201', expected 1 to 200 (/help)"),
        ("/history all", "invalid /history: got 'all', expected 1 to 200 (/help)"),
        ("/history \u0663", "invalid /history: got '\u0663', expected 1 to 200 (/help)"),
        ("/dance now", "unknown command: /dance (/help, or //dance to send it as text)"),
        ("/", "unknown command: / (/help, or // to send it as text)"),
    ],
)
def test_an_invalid_line_says_why(line: str, why: str) -> None:
    assert parse(line) == commands.InvalidLine(why)


def test_every_command_is_in_the_help() -> None:
    for word in ("join", "leave", "rooms", "who", "msg", "me", "nick", "topic", "history", "search", "quit"):
        assert f"/{word} " in commands.HELP
        assert not isinstance(parse(f"/{word} 1" + " b" * (word == "msg")), commands.InvalidLine)


@pytest.mark.parametrize("line", ["/quit", "//", "/msg bob hi", " / ", "plain"])
def test_a_line_as_text_is_not_a_command(line: str) -> None:
    assert commands.as_text(line) == commands.SayLine(line)


@pytest.mark.parametrize("line", ["", " ", "\t\u3000"])
def test_a_blank_line_as_text_does_nothing(line: str) -> None:
    assert commands.as_text(line) == commands.EmptyLine()


@given(st.text())
def test_every_line_has_an_action(line: str) -> None:
    parse(line)


@given(st.text(st.characters(codec="utf-8")), st.integers(4, 20))
def test_split_text_is_complete_and_within_the_limit(text: str, bytes_max: int) -> None:
    pieces = list(split_text(text, bytes_max))
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= bytes_max for piece in pieces)
    assert all(pieces) or not text


def test_text_is_split_only_where_needed() -> None:
    assert list(split_text("a" * 4096, 4096)) == ["a" * 4096]
    assert list(split_text("a" * 4097, 4096)) == ["a" * 4096, "a"]
    assert list(split_text("€" * 3, 4)) == ["€", "€", "€"]
