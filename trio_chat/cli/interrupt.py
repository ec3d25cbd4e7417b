"""Handle Ctrl-C before a command begins and after its verdict: an exit status and no traceback.

A KeyboardInterrupt during an import shows a traceback of foreign modules, and some modules catch it. So until
a command begins, the handler of SIGINT ends the process itself; nothing needs to be undone yet. This module
imports almost nothing, since it is loaded before all others.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # `typing` takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object] | signal.Handlers

__all__ = ["INTERRUPTED", "KeptVerdict", "exit_on_interrupt", "keep_verdict", "raise_on_interrupt"]

INTERRUPTED = 130  # as in shells: 128 plus the number of SIGINT


class KeptVerdict:
    """Handle SIGINT and SIGTERM while the verdict of a command is written, and after it.

    The first signal is ignored, since the exit status must match the verdict. A second signal ends the
    process until `ignore_signals` is called: the reader of the verdict may have stopped reading.
    """

    def __init__(self) -> None:
        self._is_decided = False
        self._is_repeated = False

    def __call__(self, number: int, frame: object) -> None:
        if not self._is_decided and self._is_repeated:
            _exit(number, frame)
        self._is_repeated = True

    def ignore_signals(self) -> None:
        """Ignore both signals from now on, also while the interpreter ends and drops its handlers."""
        self._is_decided = True
        numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is self]
        _ignored.extend(number for number in numbers if _handle(number, signal.SIG_IGN))


_ignored: list[int] = []  # signals that a verdict has ignored


def exit_on_interrupt() -> bool:
    """Let Ctrl-C end the process at once, unless SIGINT is ignored or has another handler.

    Return whether this call has changed the handler.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    return _handle(signal.SIGINT, _exit)


def raise_on_interrupt() -> bool:
    """Let Ctrl-C raise KeyboardInterrupt again, if `exit_on_interrupt` or `keep_verdict` changed that.

    Return whether this call has changed the handler.
    """
    defaults: dict[int, Handler] = {
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
    }
    changed = [number for number in defaults if number in _ignored or _is_ours(signal.getsignal(number))]
    _ignored.clear()
    return signal.SIGINT in [number for number in changed if _handle(number, defaults[number])]


def keep_verdict() -> KeptVerdict:
    """Keep the verdict when SIGINT or SIGTERM arrives; the caller calls `ignore_signals` on the result.

    A signal that is ignored, or that has a handler of the surrounding program, is left alone.
    """
    verdict = KeptVerdict()
    if signal.getsignal(signal.SIGINT) in (_exit, signal.default_int_handler):
        _handle(signal.SIGINT, verdict)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        _handle(signal.SIGTERM, verdict)
    return verdict


def _is_ours(handler: object) -> bool:
    return handler is _exit or isinstance(handler, KeptVerdict)


def _handle(number: int, handler: Handler) -> bool:
    try:
        signal.signal(number, handler)
    except ValueError:  # not in the main thread
        return False
    return True


def _exit(number: int, _: object) -> None:
    word = b"interrupted" if number == signal.SIGINT else b"terminated"
    try:
        os.write(2, b"trio-chat: %s\n" % word)
    finally:
        os._exit(128 + number)
