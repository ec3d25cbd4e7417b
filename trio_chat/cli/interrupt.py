"""Ctrl-C before a command has begun its work: one line and an exit status, whatever is being imported.

A KeyboardInterrupt inside an import is a traceback of other people's modules, and some of those catch it.
So until a command begins, the handler of SIGINT ends the process itself; there is nothing to undo yet. This
module imports next to nothing, as it has to be there before everything else.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # `typing` takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["INTERRUPTED", "exit_on_interrupt", "raise_on_interrupt"]

INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT
# `loadtest` says by its exit status what it has proved; 130 is none of these.
_ENDS = {"loadtest": (2, "interrupted, and nothing is proved")}


def exit_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, unless SIGINT is ignored or has another handler."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        _handle_interrupt(_exit)


def raise_on_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, if `exit_on_interrupt` has changed that."""
    if signal.getsignal(signal.SIGINT) is _exit:
        _handle_interrupt(signal.default_int_handler)


def _handle_interrupt(handler: Callable[[int, FrameType | None], object]) -> None:
    try:  # noqa: SIM105 - contextlib takes longer to import than all of this
        signal.signal(signal.SIGINT, handler)
    except ValueError:  # only the main thread may
        pass


def _exit(_: int, frame: object) -> None:
    status, words = _ENDS.get("".join(sys.argv[1:2]), (INTERRUPTED, "interrupted"))
    try:
        os.write(2, f"trio-chat: {words}\n".encode())
    finally:
        os._exit(status)
