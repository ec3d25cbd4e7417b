"""Collect the log records of a simulated server that have a traceback: each is a bug."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["logged_bugs"]


class _Listening(logging.Handler):
    def __init__(self, bugs: list[str]) -> None:
        super().__init__()
        self._bugs = bugs

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._bugs.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


@contextmanager
def logged_bugs() -> Iterator[list[str]]:
    """Collect the bugs that are logged in the block. Other log records are not shown."""
    bugs: list[str] = []
    logger, listening = logging.getLogger("trio_chat"), _Listening(bugs)
    propagated = logger.propagate
    logger.propagate = False
    logger.addHandler(listening)
    try:
        yield bugs
    finally:
        logger.removeHandler(listening)
        logger.propagate = propagated
