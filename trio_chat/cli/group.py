"""The command `trio-chat`, with all its subcommands."""

import sys
from typing import Any

import click

from trio_chat.cli import join, journal, loadtest, serve
from trio_chat.cli.interrupt import INTERRUPTED, exit_on_interrupt, raise_on_interrupt
from trio_chat.cli.one_line import report_errors
from trio_chat.cli.streams import standard_error, standard_output

__all__ = ["main"]


class _Commands(click.Group):
    """A group whose commands end with one line and status 130 at Ctrl-C, unless a command handles it.

    A failed write to a standard stream is handled as `streams.py` describes.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        is_ours = exit_on_interrupt()  # False if the console script did it already: nothing runs after that
        try:
            with standard_error(), report_errors(), standard_output():
                return super().main(*args, **kwargs)
        finally:
            if is_ours:
                raise_on_interrupt()

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.secho("trio-chat: interrupted", fg="red", err=True)
            sys.exit(INTERRUPTED)


@click.group(
    cls=_Commands,
    commands=[serve.serve, join.join, journal.journal, loadtest.loadtest],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="trio-chat", message="%(prog)s %(version)s")
def main() -> None:
    """A small, reliable chat server: one command to start, nothing to configure.

    \b
        trio-chat serve                  in one terminal
        trio-chat join ada@127.0.0.1     in another
    """
