"""`trio-chat loadtest`: load a server with users, and check every delivery."""

import sys

import click

from trio_chat.cli.interrupt import keep_verdict
from trio_chat.cli.one_line import report_errors
from trio_chat.errors import OutputError

__all__ = ["loadtest"]


@click.command()
@click.argument("address", metavar="[HOST:PORT|ws://HOST:PORT]", default="")
@click.option("--target", metavar="ADDRESS", help="The same as the argument; use only one of them.")
@click.option(
    "--users", default=200, show_default=True, help="Number of users, each with its own connection."
)
@click.option("--rooms", default=1, show_default=True, help="Number of rooms; each user joins one.")
@click.option("--rate", default=50.0, show_default=True, help="Messages per second, of all users together.")
@click.option("--duration", default=10.0, show_default=True, help="How long messages are sent, in seconds.")
@click.option("--size", default=100, show_default=True, help="Size of each message, in bytes.")
@click.option(
    "--disconnects",
    default="10%",
    show_default=True,
    help="Share of users that disconnect, each in a different way, and reconnect after a second.",
)
@click.option(
    "--seed", default=0, show_default=True, help="Seed of the random choices; the same seed repeats them."
)
@click.option(
    "--fail-if",
    "fail_if",
    multiple=True,
    metavar="THRESHOLD",
    help="Exit with status 1 if this is true, as 'p99 > 50ms'; may be repeated.",
)
@click.option(
    "--json",
    "json_path",
    metavar="FILE",
    help="Write the full report to a file; with `-`, to standard output, and the rest to standard error.",
)
@click.option(
    "--yes", is_flag=True, help="Do not ask before a load test of a server that is not on this machine."
)
def loadtest(
    address: str,
    target: str | None,
    users: int,
    rooms: int,
    rate: float,
    duration: float,
    size: int,
    disconnects: str,
    seed: int,
    fail_if: tuple[str, ...],
    json_path: str | None,
    yes: bool,
) -> None:
    """Load a server with users, and check every delivery.

    Without an address the command starts its own server. Any other server keeps the rooms of the test in its
    journal; the report has the command that removes them. The last line is the verdict.

    \b
    Exit status:
      0    every delivery is correct and no threshold is exceeded
      1    a threshold is exceeded
      2    the test cannot run
      3    delivery is broken: messages were lost, repeated, reordered or made up
      4    the run is invalid, for example because this machine was too slow
      130  interrupted by Ctrl-C
      143  ended by SIGTERM
    """
    import trio

    from loadtest.command import measure
    from loadtest.report import report
    from loadtest.scenario import Scenario
    from loadtest.screen import ReportOutput
    from loadtest.target import parse_address, parse_share
    from loadtest.thresholds import parse_threshold
    from trio_chat.cli.consent import ask_before_load

    if address and target:
        raise click.UsageError("use an address or --target, not both")
    try:
        where = parse_address(address or target or "")
        share = parse_share(disconnects)
        thresholds = [parse_threshold(text) for text in fail_if]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with report_errors():  # Ctrl-C ends the process until `measure` handles it, and again after that
        scenario = Scenario(users, rooms, rate, duration, size, share, seed)
        screen = ReportOutput.standard(error=json_path == "-")
        if where is not None and not yes:
            ask_before_load(*where)
        result = trio.run(measure, scenario, where, thresholds, json_path, screen)
        report(scenario, where, result, json_path, screen, keep_verdict)
        status = result.verdict.value
        if screen.failure is not None and status == 0 and json_path is None:
            raise OutputError(str(screen.failure))  # the report was not written anywhere
    sys.exit(status)
