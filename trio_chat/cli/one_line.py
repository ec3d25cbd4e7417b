"""What went wrong, in one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from trio_chat.cli.interrupt import raise_on_interrupt
from trio_chat.errors import ChatError

__all__ = ["errors_in_one_line"]


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """What we raise on purpose ends the command with one line and its exit status; a bug is not hidden.

    All is imported: from here on Ctrl-C raises KeyboardInterrupt.
    """
    raise_on_interrupt()
    try:
        yield
    except ChatError as error:
        click.secho(f"trio-chat: {error}", fg="red", err=True)
        sys.exit(error.exit_status)
