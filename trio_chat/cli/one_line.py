"""Report errors in one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from trio_chat.cli.interrupt import raise_on_interrupt
from trio_chat.cli.printable import printable
from trio_chat.errors import ChatError, OutputClosed

__all__ = ["errors_in_one_line", "report_errors"]


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """End the command with one line and an exit status for a `ChatError`; let other exceptions through.

    Call this after all imports: from here on Ctrl-C raises KeyboardInterrupt.
    """
    raise_on_interrupt()
    with report_errors():
        yield


@contextmanager
def report_errors() -> Iterator[None]:
    """End the command as `errors_in_one_line` does, and leave Ctrl-C as it is."""
    try:
        yield
    except OutputClosed as error:  # the reader ended on purpose, as with `| head`
        sys.exit(error.exit_status)
    except ChatError as error:
        click.secho(f"trio-chat: {printable(str(error))}", fg="red", err=True)
        sys.exit(error.exit_status)
