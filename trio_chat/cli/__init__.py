"""The command line: parses, calls, and says in one line what went wrong.

A module for each command. Each imports its own world inside its body, so that `--help` is quick and a client
loads no server.
"""

import click

from trio_chat.cli import join, journal, loadtest, serve

__all__ = ["main"]


@click.group(
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
