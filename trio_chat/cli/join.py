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
  0    every line was sent; the end of the input, /quit or a signal ended it
  1    a piped line was not sent, or the name or the room was refused
  2    an option or the target is wrong, or standard output cannot be written
  3    no trio-chat server answers, the connection is lost for good, or another
       server answers after an outage
  130  interrupted before the start
"""
)
@click.argument("target", metavar="[NAME@]HOST[:PORT]", default="")
@click.option(
    "--room",
    "rooms",
    multiple=True,
    default=["lobby"],
    show_default=True,
    help="Room to join; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON, one per line.")
@click.option(
    "--commands",
    "has_commands",
    is_flag=True,
    help="Obey commands (/help) also in a pipe.",
)
@click.option(
    "--tokens",
    envvar="TRIO_CHAT_TOKENS",
    show_envvar=True,
    metavar="PATH",
    callback=refuse_standard,
    help="File of your identities, one for each server and name; `none` makes a new one."
    "  [default: tokens.json in your state directory]",
)
def join(target: str, rooms: tuple[str, ...], as_json: bool, has_commands: bool, tokens: str | None) -> None:
    """Chat in a terminal or a pipe, line by line.

    Each line is sent as a message; a line that begins with a slash is a command (/help). NAME defaults to
    your login name, HOST to this machine and PORT to 5555. ws://HOST:PORT connects by WebSocket, where only
    HTTP gets through.

    In a pipe, or with a file as input, each line is sent as it is, with or without a slash, and the command
    ends when all lines are acknowledged. With /dev/null, without standard input, or in the background, it
    prints the messages of its rooms until a signal (SIGTERM, SIGINT, SIGHUP) ends it with status 0.

    The client reconnects by itself and then sends the lines that were typed meanwhile. A pipe waits up to
    five minutes for that, then prints the lines that were not sent and ends with status 3.
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
        except BrokenPipeError:  # the reader has closed the pipe, as `| head` does; no message is needed
            sys.exit(OutputError.exit_status)
