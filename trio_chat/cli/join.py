"""`trio-chat join`: chatting, in a terminal or a pipe."""

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
  0  all was said, and the end of the input, /quit or a signal ended it
  1  a piped line was not said, or the name or the room was refused
  2  an option or the target is wrong, or standard output cannot be written
  3  no trio-chat server is there, the connection is lost for good, or another
     server answers after an outage
"""
)
@click.argument("target", metavar="[NAME@]HOST[:PORT]", default="")
@click.option(
    "--room",
    "rooms",
    multiple=True,
    default=["lobby"],
    show_default=True,
    help="Which to enter; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what comes as JSON, an event a line.")
@click.option(
    "--commands",
    "has_commands",
    is_flag=True,
    help="Obey commands that come through a pipe, too.",
)
@click.option(
    "--tokens",
    envvar="TRIO_CHAT_TOKENS",
    show_envvar=True,
    metavar="PATH",
    callback=refuse_standard,
    help="The file that remembers who you are, for each server and name; with `none` you are somebody new."
    "  [default: tokens.json in your directory for such state]",
)
def join(target: str, rooms: tuple[str, ...], as_json: bool, has_commands: bool, tokens: str | None) -> None:
    """Chat, line by line, in a terminal or in a pipe.

    What is typed is said; a line that begins with a slash is a command (/help). Without a name one is who
    one is on this machine; the host is this machine and the port 5555 unless given. Where only HTTP gets
    through, ws://HOST:PORT in place of the host goes the way that browsers take.

    From a pipe or a file every line is said as it is, slash or not, and the command ends when all are acked.
    With /dev/null, with no standard input, or in the background it follows its rooms until a signal (SIGTERM,
    SIGINT, SIGHUP), then ends with status 0.

    A lost connection comes back by itself, and what is typed meanwhile is said then. A pipe waits for that
    for five minutes; then what could not be said is shown, and the exit status is 3.
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
        except BrokenPipeError:  # nobody reads any more, as with `| head`: no news to anyone
            sys.exit(OutputError.exit_status)
