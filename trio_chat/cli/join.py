"""`trio-chat join`: chat in a terminal or a pipe."""

import sys
from pathlib import Path

import click

from trio_chat.cli.one_line import errors_in_one_line
from trio_chat.cli.standard_output import refuse_standard
from trio_chat.errors import OutputError

__all__ = ["join"]


@click.command(
    epilog="""
\b
Exit status:
  0    every line was sent; ended by end of input, /quit or a signal
  1    a piped line was not sent, or the name or the room was refused
  2    an option or the target is invalid, or standard output cannot be written
  3    no trio-chat server found, the connection was lost and not restored, or
       a different server was found after an outage
  130  interrupted by Ctrl-C before the chat began
"""
)
@click.argument("target", metavar="[NAME@]HOST[:PORT]", default="")
@click.option(
    "--room",
    "rooms",
    multiple=True,
    default=["lobby"],
    show_default=True,
    help="A room to join; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON, one per line.")
@click.option(
    "--commands",
    "has_commands",
    is_flag=True,
    help="Run commands (/help) from a pipe, too.",
)
@click.option(
    "--tokens",
    envvar="TRIO_CHAT_TOKENS",
    show_envvar=True,
    metavar="PATH",
    callback=refuse_standard,
    help="The file with your identity (token) for each server and name; `none` makes a new identity."
    "  [default: tokens.json in your user state directory]",
)
def join(target: str, rooms: tuple[str, ...], as_json: bool, has_commands: bool, tokens: str | None) -> None:
    """Chat in a terminal or a pipe, line by line.

    Each line that you type is sent to the room; a line that begins with a slash is a command (/help). NAME
    defaults to your login name, HOST to this machine, PORT to 5555. If a firewall or proxy lets only HTTP
    through, use ws://HOST:PORT to connect over WebSocket, as browsers do.

    From a pipe or a file every line is sent as it is, slash or not, and the command ends when all lines are
    acknowledged. With /dev/null, without standard input, or in the background the command shows its rooms
    until a signal (SIGTERM, SIGINT, SIGHUP), then ends with status 0.

    A lost connection is restored automatically, and lines that were typed meanwhile are sent then. A pipe
    waits five minutes for that; then the unsent lines are shown, and the exit status is 3.
    """
    import os
    from dataclasses import replace

    import trio

    from trio_chat.errors import CannotConnect
    from trio_chat.terminal.commands import without_mark
    from trio_chat.terminal.line_client import run
    from trio_chat.terminal.target import name_hint, parse_target
    from trio_chat.terminal.tokens import TokenFile, default_path

    try:
        given = parse_target(target)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    where = replace(given, name=given.name or os.environ.get("USER") or "guest")
    remembered = None if tokens == "none" else TokenFile(Path(tokens) if tokens else default_path())
    with errors_in_one_line():
        try:
            names = [without_mark(room, "#") for room in rooms]
            trio.run(lambda: run(where, names, remembered, as_json=as_json, has_commands=has_commands))
        except CannotConnect as error:
            if hint := name_hint(given, error):
                raise CannotConnect(f"{error}; {hint}", code=error.code) from error
            raise
        except BrokenPipeError:  # the reader ended on purpose, as with `| head`
            sys.exit(OutputError.exit_status)
