"""`trio-chat join`: chatting, in a terminal or a pipe."""

import sys
from pathlib import Path

import click

from trio_chat.cli.one_line import errors_in_one_line
from trio_chat.cli.standard_output import refuse_standard

__all__ = ["join"]


@click.command()
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
    "--tokens",
    envvar="TRIO_CHAT_TOKENS",
    show_envvar=True,
    metavar="PATH",
    callback=refuse_standard,
    help="The file that remembers who you are, for each server and name; with `none` you are somebody new."
    "  [default: tokens.json in your directory for such state]",
)
def join(target: str, rooms: tuple[str, ...], as_json: bool, tokens: str | None) -> None:
    """Chat, line by line, in a terminal or in a pipe.

    What is typed is said; a line that begins with a slash is a command (/help). Without a name one is who
    one is on this machine; the host is this machine and the port 5555 unless given. Where only HTTP gets
    through, ws://HOST:PORT in place of the host goes the way that browsers take.

    A lost connection comes back by itself, and what is typed meanwhile is said then. A pipe waits for that
    for five minutes; then what could not be said is shown, and the exit status is 3.
    """
    import os
    from dataclasses import replace

    import trio

    from trio_chat.terminal.lines import run
    from trio_chat.terminal.target import parse_target
    from trio_chat.terminal.tokens import Tokens, default_path

    try:
        where = parse_target(target)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    where = replace(where, name=where.name or os.environ.get("USER") or "guest")
    remembered = None if tokens == "none" else Tokens(Path(tokens) if tokens else default_path())
    with errors_in_one_line():
        try:
            trio.run(lambda: run(where, rooms, remembered, as_json=as_json))
        except BrokenPipeError:  # nobody reads any more, as with `| head`: no news to anyone
            sys.exit(1)
