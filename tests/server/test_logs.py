"""The log of a server process: its lines, and that no peer makes up one of them."""

import logging
import os
import sys
from pathlib import Path

import pytest

from trio_chat.server.logs import (
    LEVELS,
    LogFormatter,
    escaped,
    is_systemd_journal,
    log_presence,
    log_reports,
    set_up_logging,
)
from trio_chat.server.refusals import RefusalReport


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada", "ada"),
        ("Ünïcödé 名前 🎉", "Ünïcödé 名前 🎉"),
        ("eve\n2026-01-01 WARNING ada disconnected", "eve\\n2026-01-01 WARNING ada disconnected"),
        ("\x1b[2J\r\x07\x9b", "\\x1b[2J\\r\\x07\\x9b"),
        ("a\u202eb\u2028c\u200d", "a\\u202eb\\u2028c\\u200d"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, expected: str) -> None:
    assert escaped(text) == expected
    assert escaped(expected) == expected


def record_of(message: str, *args: object, error: Exception | None = None) -> logging.LogRecord:
    exc_info = (type(error), error, None) if error is not None else None
    return logging.LogRecord("trio_chat", logging.WARNING, __file__, 1, message, args, exc_info)


def test_a_message_is_one_line_whatever_its_arguments_are() -> None:
    formatter = LogFormatter("%(levelname)s %(message)s")
    assert formatter.format(record_of("%s left", "eve\nWARNING")) == "WARNING eve\\nWARNING left"


def test_a_traceback_has_lines_and_nothing_else() -> None:
    formatter = LogFormatter("%(levelname)s %(message)s")
    text = formatter.format(record_of("a bug", error=ValueError("\x1b[2J")))
    assert text == "WARNING a bug\nValueError: \\x1b[2J"


def test_a_descriptor_is_the_stream_of_the_journal_where_systemd_says_so(tmp_path: Path) -> None:
    with open(tmp_path / "stream", "w") as file:
        stat = os.fstat(file.fileno())
        assert is_systemd_journal(file.fileno(), f"{stat.st_dev}:{stat.st_ino}")
        assert not is_systemd_journal(file.fileno(), f"{stat.st_dev}:{stat.st_ino + 1}")
        for other in ("", "nonsense", "1:2:3", "1" * 30):
            assert not is_systemd_journal(file.fileno(), other)
    assert not is_systemd_journal(1 << 20, "1:2")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("by_systemd", [False, True])
def test_the_time_is_noted_once(level: str, by_systemd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd notes it for each line that it is sent."""
    handlers: list[logging.Handler] = []
    levels: list[str] = []

    def configure(*, handlers: list[logging.Handler], level: str) -> None:
        found.extend(handlers)
        levels.append(level)

    found = handlers
    monkeypatch.setattr(logging, "basicConfig", configure)
    monkeypatch.setattr("trio_chat.server.logs.is_systemd_journal", lambda *_: by_systemd)
    set_up_logging(level)
    (handler,) = handlers
    line = handler.format(record_of("hello"))
    assert line == "WARNING hello" if by_systemd else (line.endswith(" WARNING hello") and line[:2] == "20")
    assert levels == [level.upper()]
    assert isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr


def test_ordinary_refusals_are_information(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    log_reports([RefusalReport("100% of one", is_ordinary=False), RefusalReport("other", is_ordinary=True)])
    found = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    name = "trio_chat.refusals"
    assert found == [(name, "WARNING", "100% of one"), (name, "INFO", "other")]


def test_a_name_in_the_log_cannot_make_up_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log_presence("eve\nWARNING", "connected", 7, "192.0.2.7\x1b[2J")
    assert [record.getMessage() for record in caplog.records] == [
        "eve\\nWARNING connected: session 7 from 192.0.2.7\\x1b[2J"
    ]
    caplog.clear()
