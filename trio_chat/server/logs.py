"""Format the log of a server process, and escape text from peers so that it cannot forge lines."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_chat.server.refusals import RefusalReport

__all__ = ["LEVELS", "LogFormatter", "escaped", "log_presence", "log_reports", "set_up_logging"]

LEVELS = ("debug", "info", "warning", "error")

refusals_log = logging.getLogger("trio_chat.refusals")
presence_log = logging.getLogger("trio_chat.presence")

_JOURNAL_STREAM = re.compile(r"([0-9]{1,20}):([0-9]{1,20})", re.ASCII)


def escaped(text: str) -> str:
    """Return a text with unprintable characters escaped: one line without control sequences."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class LogFormatter(logging.Formatter):
    """Format records as printable text; only tracebacks have more than one line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging gives the name
        """Return the first line of a record."""
        record.message = escaped(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging gives the name
        """Return a traceback, line by line."""
        text = super().formatException(ei)  # type: ignore[arg-type]  # typed too narrowly by typeshed
        return "\n".join(escaped(line) for line in text.split("\n"))


def set_up_logging(level: str) -> None:
    """Log to standard error from this level on; with the time, unless systemd's journal adds it."""
    time = "" if is_systemd_journal(2, os.environ.get("JOURNAL_STREAM", "")) else "%(asctime)s "
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(f"{time}%(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=level.upper())


def is_systemd_journal(descriptor: int, journal_stream: str) -> bool:
    """Return whether a descriptor is the stream to systemd's journal that JOURNAL_STREAM names."""
    found = _JOURNAL_STREAM.fullmatch(journal_stream)
    if found is None:
        return False
    try:
        stat = os.fstat(descriptor)
    except OSError:  # it is closed
        return False
    return (stat.st_dev, stat.st_ino) == (int(found[1]), int(found[2]))


def log_reports(reports: list[RefusalReport]) -> None:
    """Log a line for each kind of refusal."""
    for report in reports:
        refusals_log.log(logging.INFO if report.is_ordinary else logging.WARNING, "%s", report.text)


def log_presence(name: str, what: str, session: int, address: str) -> None:
    """Log that a member has connected or left, if the log level is info or lower."""
    if presence_log.isEnabledFor(logging.INFO):
        origin = escaped(address) or "this machine"
        presence_log.info("%s %s: session %d from %s", escaped(name), what, session, origin)
