"""The signals that end the server process, and their effects.

    SIGTERM             drains, also when repeated, as a supervisor may do
    SIGHUP              drains: the terminal was closed. Stays ignored if it was, as under nohup
    SIGINT              drains; a second one, REPEAT_S or more after the first, ends the server at once

A terminal sends Ctrl-C to all of its processes, and a wrapper among them may forward it. So two SIGINT within
REPEAT_S may be a single key press.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["REPEAT_S", "HeldSignals", "SignalCount", "hold_signals"]

REPEAT_S = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class SignalCount:
    """Tell a first signal, which asks for a drain, from a second SIGINT, which ends at once. PURE."""

    def __init__(self) -> None:
        self._interrupted_at: float | None = None

    def forces(self, number: int, now: float) -> bool:
        """Return whether the signal, received at `now`, ends the server without a drain."""
        if number != signal.SIGINT:
            return False
        if self._interrupted_at is None:
            self._interrupted_at = now
            return False
        return now - self._interrupted_at >= REPEAT_S


class HeldSignals:
    """The signals that end the server, held so that their defaults do not end the process.

    `received` has the signals that arrived while nothing else handled them. Set `is_over` once the server
    has ended.
    """

    def __init__(self) -> None:
        self.numbers = tuple(
            number
            for number in _SIGNALS
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        )
        self.received: list[int] = []
        self.is_over = False


@contextmanager
def hold_signals() -> Iterator[HeldSignals]:
    """Hold the signals that end the server while the block runs.

    Trio restores the earlier handlers when its receiver closes, and Python restores the system's when it
    ends. A SIGTERM would then kill a process that has drained and is about to exit with 0. So once `is_over`
    is set, the signals are ignored from the end of the block until the process ends.
    """
    held = HeldSignals()
    before = {}
    for number in held.numbers:
        before[number] = signal.signal(number, lambda got, _: held.received.append(got))
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if held.is_over else handler)
