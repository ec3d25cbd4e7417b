"""`trio-chat serve`: run a server until a signal."""

import logging
import re
from collections.abc import Sequence
from typing import Literal

import click

from trio_chat.cli.one_line import errors_in_one_line
from trio_chat.cli.printable import printable
from trio_chat.cli.standard_output import refuse_standard
from trio_chat.errors import CannotStart, ChatError, JournalInUse, OutputClosed, OutputError

__all__ = ["serve"]

log = logging.getLogger("trio_chat.server")


class _PortOption(click.Option):
    """`--port`, which ignores TRIO_CHAT_PORT if Kubernetes or Docker set it to the URL of a service."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        value = super().resolve_envvar_value(ctx)
        if value is None or re.match(r"(tcp|udp|sctp)://", value) is None:
            return value
        click.echo(
            f"trio-chat: ignored TRIO_CHAT_PORT={value!r}, which is set for a service named trio-chat;"
            " --port sets the port",
            err=True,
        )
        return None


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    envvar="TRIO_CHAT_HOST",
    show_default=True,
    show_envvar=True,
    help="Address to listen on; 0.0.0.0 is every IPv4 address, :: every IPv6 and IPv4 address.",
)
@click.option(
    "--port",
    cls=_PortOption,
    default=5555,
    envvar="TRIO_CHAT_PORT",
    show_default=True,
    show_envvar=True,
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 chooses a free one.",
)
@click.option(
    "--no-web",
    is_flag=True,
    envvar="TRIO_CHAT_NO_WEB",
    show_envvar=True,
    help="Turn off HTTP, WebSocket and the page for browsers.",
)
@click.option(
    "--public-name",
    "public_names",
    multiple=True,
    metavar="NAME",
    envvar="TRIO_CHAT_PUBLIC_NAME",
    show_envvar=True,
    help="A host name of this server for browsers, without a port; may be repeated."
    " Addresses and localhost always work.",
)
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    envvar="TRIO_CHAT_PROXY",
    show_envvar=True,
    help="Address or network of a proxy whose X-Forwarded-For or PROXY header is trusted; may be repeated.",
)
@click.option(
    "--journal",
    envvar="TRIO_CHAT_JOURNAL",
    show_envvar=True,
    metavar="PATH",
    callback=refuse_standard,
    help="The file that keeps the messages; `memory` keeps them until the server ends."
    "  [default: journal.db in your user data directory; `serve` prints the path]",
)
@click.option(
    "--durability",
    default="normal",
    envvar="TRIO_CHAT_DURABILITY",
    show_default=True,
    show_envvar=True,
    type=click.Choice(["normal", "full"]),
    help="Acknowledged messages survive a crash of the server (normal) or also of the machine (full).",
)
@click.option(
    "--keep",
    envvar="TRIO_CHAT_KEEP",
    show_envvar=True,
    metavar="AGE",
    help="Remove messages older than this many hours, days or weeks: 12h, 90d, 4w.  [default: keep forever]",
)
@click.option(
    "--keep-entries",
    envvar="TRIO_CHAT_KEEP_ENTRIES",
    show_envvar=True,
    type=click.IntRange(min=1),
    help="Keep only this many newest messages of each room.  [default: keep all]",
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
    help="Turn off the rate limits of members, for load tests.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    envvar="TRIO_CHAT_LIMIT",
    show_envvar=True,
    help="Set a limit; may be repeated. `--limit help` lists all limits with defaults and units.",
)
@click.option(
    "--log-level",
    default="warning",
    envvar="TRIO_CHAT_LOG_LEVEL",
    show_default=True,
    show_envvar=True,
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="Least level of log lines on standard error; info also logs each connect and disconnect.",
)
def serve(
    host: str,
    port: int,
    no_web: bool,
    public_names: tuple[str, ...],
    proxies: tuple[str, ...],
    journal: str | None,
    durability: Literal["normal", "full"],
    keep: str | None,
    keep_entries: int | None,
    max_connections: int | None,
    no_rate_limit: bool,
    limits: tuple[str, ...],
    log_level: str,
) -> None:
    """Run a chat server until Ctrl-C, SIGTERM or SIGHUP.

    On exit it commits pending messages, then disconnects everyone. A second Ctrl-C ends it at once.

    \b
    Exit status:
      0    drained
      1    ended at once by a second Ctrl-C
      2    cannot start
      75   cannot start now: the disk is full or fails; try again later
      130  interrupted by Ctrl-C before the start
    """
    import trio

    from trio_chat.journal.store import RetentionRule
    from trio_chat.server.config import Config, Limits, parse_age, parse_limits
    from trio_chat.server.logs import set_up_logging
    from trio_chat.server.process import default_journal, run_process

    set_up_logging(log_level)
    if "help" in limits:
        click.echo(Limits.help_text())
        return
    with errors_in_one_line():
        settings = parse_limits(limits)
        if max_connections is not None:
            settings["connections"] = max_connections
        limited = Limits(**settings)
        path = journal or default_journal()
        kept = RetentionRule(parse_age(keep) if keep else 0, keep_entries or 0)
        config = Config(
            host,
            port,
            path,
            durability,
            kept,
            rate_limit=not no_rate_limit,
            web=not no_web,
            public_names=public_names,
            limits=limited,
            proxies=proxies,
        )
        try:
            drained = trio.run(run_process, config, _say)
        except JournalInUse as error:
            hint = "" if journal else ", or name another journal with --journal PATH"
            raise CannotStart(f"{error}{hint}") from error
        if not drained:
            raise ChatError("stopped at once: some clients got no goodbye")


def _say(lines: Sequence[str]) -> None:
    """Write lines to standard output in one write. If that fails, the server continues."""
    try:
        click.echo("\n".join(map(printable, lines)))
    except OutputClosed:
        pass
    except OutputError as error:
        log.warning("%s; the server continues", error)
