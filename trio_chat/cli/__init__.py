"""The command line: parses, calls, and says in one line what went wrong.

A module for each command. Each imports its own world inside its body, so that `--help` is quick and a client
loads no server.
"""

from typing import Any

import click

from trio_chat.cli import join, journal, loadtest, serve
from trio_chat.cli.one_line import errors_in_one_line
from trio_chat.cli.streams import standard_error, standard_output

__all__ = ["main"]


class _Commands(click.Group):
    """The commands, run with standard streams that can be written to or say why not."""

    def main(self, *args: Any, **extra: Any) -> Any:
        with standard_error(), errors_in_one_line(), standard_output():
            return super().main(*args, **extra)


@click.group(
    cls=_Commands,
    commands=[serve.serve, join.join, journal.journal, loadtest.loadtest],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="trio-chat", message="%(prog)s %(version)s")
def main() -> None:
    """A chat that one command starts and that people can rely on.

    \b
        trio-chat serve                  in one terminal
        trio-chat join ada@127.0.0.1     in another
    """
