"""`trio-chat loadtest`: load a server with users and check every delivery."""

import sys

import click

from trio_chat.cli.interrupt import keep_verdict
from trio_chat.cli.one_line import report_errors
from trio_chat.errors import OutputError

__all__ = ["loadtest"]


@click.command()
@click.argument("address", metavar="[HOST:PORT|ws://HOST:PORT]", default="")
@click.option("--target", metavar="ADDRESS", help="The address as an option instead of an argument.")
@click.option(
    "--users", default=200, show_default=True, help="Number of users, each with its own connection."
)
@click.option("--rooms", default=1, show_default=True, help="Number of rooms; each user is in one.")
@click.option("--rate", default=50.0, show_default=True, help="Messages per second of all users together.")
@click.option("--duration", default=10.0, show_default=True, help="Seconds of load.")
@click.option("--size", default=100, show_default=True, help="Bytes of each message.")
@click.option(
    "--disconnects",
    default="10%",
    show_default=True,
    help="Share of the users that disconnect, in several ways, and reconnect after a second.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="The same seed makes the same plan of messages and disconnects.",
)
@click.option(
    "--fail-if",
    "fail_if",
    multiple=True,
    metavar="THRESHOLD",
    help="Exit with status 1 if this is true, such as 'p99 > 50ms'; may be repeated.",
)
@click.option(
    "--json",
    "json_path",
    metavar="FILE",
    help="Write the whole report to a file; `-` is standard output, and other output goes to standard error.",
)
@click.option("--yes", is_flag=True, help="Do not ask before loading a server that is not on this machine.")
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
    """Load a server with users and check every delivery.

    Without an address it starts a server of its own. Another server keeps the rooms of the test in its
    journal: the report ends with the command that removes them. The last line is the verdict.

    \b
    Exit status:
      0    all checks passed
      1    a --fail-if threshold was exceeded
      2    could not run
      3    a delivery was wrong
      4    the run is invalid
      130  interrupted by Ctrl-C; the report is partial
      143  ended by SIGTERM; the report is partial
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
        raise click.UsageError("invalid arguments: got an address and --target, expected one of them")
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
            raise OutputError(str(screen.failure))  # the report of the run is nowhere
    sys.exit(status)
