"""The command line: parses, calls, and says in one line what went wrong.

Each command imports its own world inside its body, so that `--help` is quick and a client loads no server.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import click

from trio_chat.errors import ChatError

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trio-chat", message="%(prog)s %(version)s")
def main() -> None:
    """A chat that one command starts and that people can rely on.

    \b
        trio-chat serve                  in one terminal
        trio-chat join ada@127.0.0.1     in another
    """


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """What we raise on purpose ends the command with one line and its exit status; a bug is not hidden."""
    try:
        yield
    except ChatError as error:
        click.secho(f"trio-chat: {error}", fg="red", err=True)
        sys.exit(error.exit_status)


@main.command()
@click.option(
    "--host",
    default="127.0.0.1",
    envvar="TRIO_CHAT_HOST",
    show_default=True,
    show_envvar=True,
    help="Where to listen; 0.0.0.0 is everywhere.",
)
@click.option(
    "--port",
    default=5555,
    envvar="TRIO_CHAT_PORT",
    show_default=True,
    show_envvar=True,
    type=click.IntRange(0, 65_535),
    help="0 takes any free one.",
)
@click.option(
    "--journal",
    envvar="TRIO_CHAT_JOURNAL",
    show_envvar=True,
    metavar="PATH",
    help="The file in which what is said is kept; `memory` keeps it until the server ends."
    "  [default: journal.db in your directory for such data; `serve` says where that is]",
)
@click.option(
    "--durability",
    default="normal",
    envvar="TRIO_CHAT_DURABILITY",
    show_default=True,
    show_envvar=True,
    type=click.Choice(["normal", "full"]),
    help="What was acked survives the server (normal), or the machine as well (full).",
)
@click.option(
    "--max-connections",
    envvar="TRIO_CHAT_MAX_CONNECTIONS",
    show_envvar=True,
    type=click.IntRange(min=1),
    help="The same as --limit connections=N.  [default: 10000]",
)
@click.option(
    "--no-rate-limit",
    is_flag=True,
    envvar="TRIO_CHAT_NO_RATE_LIMIT",
    show_envvar=True,
    help="Nobody is ever too fast: for load tests.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    envvar="TRIO_CHAT_LIMIT",
    show_envvar=True,
    help="Set one of the server's limits; `--limit help` lists them.",
)
def serve(
    host: str,
    port: int,
    journal: str | None,
    durability: Literal["normal", "full"],
    max_connections: int | None,
    no_rate_limit: bool,
    limits: tuple[str, ...],
) -> None:
    """Run a chat server until Ctrl-C or SIGTERM.

    It then takes its leave of everybody: what was said is settled first. A second Ctrl-C ends it at once.
    """
    import trio

    from trio_chat.server.config import Config, Limits, parse_limits
    from trio_chat.server.process import default_journal, run_process

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    if "help" in limits:
        click.echo(Limits.described())
        return
    with errors_in_one_line():
        settings = parse_limits(limits)
        if max_connections is not None:
            settings["connections"] = max_connections
        limited = Limits(**settings)
        journal = journal or default_journal()
        config = Config(host, port, journal, durability, rate_limit=not no_rate_limit, limits=limited)
        if not trio.run(run_process, config, _say):
            raise ChatError("stopped at once: not everybody was told")


def _say(line: str) -> None:
    """A line for standard output, at once: whoever started the server waits for it."""
    click.echo(line)
    sys.stdout.flush()


@main.command()
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
def join(target: str, rooms: tuple[str, ...], as_json: bool) -> None:
    """Chat, line by line, in a terminal or in a pipe.

    What is typed is said; a line that begins with a slash is a command (/help). Without a name one is who
    one is on this machine; the host is this machine and the port 5555 unless given.
    """
    import os
    from dataclasses import replace

    import trio

    from trio_chat.terminal.lines import run
    from trio_chat.terminal.target import parse_target

    try:
        where = parse_target(target)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    where = replace(where, name=where.name or os.environ.get("USER") or "guest")
    with errors_in_one_line():
        try:
            trio.run(lambda: run(where, rooms, as_json=as_json))
        except BrokenPipeError:  # nobody reads any more, as with `| head`: no news to anyone
            sys.exit(1)


@main.command()
@click.argument("address", metavar="[HOST:PORT]", default="")
@click.option("--users", default=200, show_default=True, help="How many, each with its own connection.")
@click.option("--rooms", default=1, show_default=True, help="How many; each user is in one.")
@click.option("--rate", default=50.0, show_default=True, help="Messages a second, of all users together.")
@click.option("--duration", default=10.0, show_default=True, help="Seconds of talk.")
@click.option("--size", default=100, show_default=True, help="Bytes of each text.")
@click.option(
    "--disconnects",
    default="10%",
    show_default=True,
    help="The share of the users that goes, each in another way, and comes back after a second.",
)
@click.option("--seed", default=0, show_default=True, help="Who speaks and who goes, when: the same again.")
@click.option(
    "--fail-if",
    "fail_if",
    multiple=True,
    metavar="THRESHOLD",
    help="Exit with 1 when this is true, as 'p99 > 50ms'; may be repeated.",
)
@click.option(
    "--json",
    "json_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the whole report to a file.",
)
def loadtest(
    address: str,
    users: int,
    rooms: int,
    rate: float,
    duration: float,
    size: int,
    disconnects: str,
    seed: int,
    fail_if: tuple[str, ...],
    json_path: Path | None,
) -> None:
    """Load a server with users, and prove every delivery.

    Without an address it starts a server of its own. The last line is the verdict.

    \b
    Exit status: 0 fine, 1 a threshold was missed, 2 could not run,
                 3 delivery is broken, 4 the run is invalid.
    """
    import trio

    from loadtest.command import loadtest as run
    from loadtest.scenario import CannotRun, Scenario
    from loadtest.screen import Screen
    from loadtest.target import parse_address, parse_share
    from loadtest.thresholds import parse_threshold

    try:
        where = parse_address(address)
        share = parse_share(disconnects)
        thresholds = [parse_threshold(text) for text in fail_if]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with errors_in_one_line():
        scenario = Scenario(users, rooms, rate, duration, size, share, seed)
        try:
            status = trio.run(run, scenario, where, thresholds, json_path, Screen.standard())
        except KeyboardInterrupt:  # before the run has seen to signals itself
            raise CannotRun("interrupted, and nothing is proved") from None
    sys.exit(status)
