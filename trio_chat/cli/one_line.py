"""Errors as one line."""

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
    """End the command with one line and an exit status on a `ChatError`; other exceptions pass.

    All imports are done here, so Ctrl-C raises KeyboardInterrupt from now on.
    """
    raise_on_interrupt()
    with report_errors():
        yield


@contextmanager
def report_errors() -> Iterator[None]:
    """End the command as `errors_in_one_line` does, and leave Ctrl-C as it is."""
    try:
        yield
    except OutputClosed as error:  # the reader left, so no message is needed
        sys.exit(error.exit_status)
    except ChatError as error:
        click.secho(f"trio-chat: {printable(str(error))}", fg="red", err=True)
        sys.exit(error.exit_status)
