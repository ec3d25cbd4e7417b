"""A progress bar for long work, shown only if standard error is a terminal."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["bar"]

BETWEEN_S = 0.1  # drawing more often would cost more than the work itself


@contextmanager
def bar(label: str, *, hidden: bool = False) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function to call with the work done and the total; yield None if no bar is shown."""
    if hidden or not sys.stderr.isatty():
        yield None
        return
    with ExitStack() as stack:
        shown: list[click._termui_impl.ProgressBar[int]] = []

        drawn_at = 0.0

        def update(done: int, total: int) -> None:
            nonlocal drawn_at
            if done < total and time.monotonic() < drawn_at + BETWEEN_S:
                return
            drawn_at = time.monotonic()
            if not shown:
                made = click.progressbar(length=total, label=label, file=sys.stderr)
                shown.append(stack.enter_context(made))
            shown[0].update(done - shown[0].pos)

        yield update
