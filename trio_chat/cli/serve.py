"""`trio-chat serve`: run a server until a signal ends it."""

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
    """`--port`, whose variable Kubernetes and Docker set to a URL for a service named trio-chat."""

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
    help="Address to listen on; 0.0.0.0 means every IPv4 address, :: every IPv6 and IPv4 address.",
)
@click.option(
    "--port",
    cls=_PortOption,
    default=5555,
    envvar="TRIO_CHAT_PORT",
    show_default=True,
    show_envvar=True,
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--no-web",
    is_flag=True,
    envvar="TRIO_CHAT_NO_WEB",
    show_envvar=True,
    help="Serve no HTTP, no WebSocket and no page.",
)
@click.option(
    "--public-name",
    "public_names",
    multiple=True,
    metavar="NAME",
    envvar="TRIO_CHAT_PUBLIC_NAME",
    show_envvar=True,
    help="Host name that browsers may use for this server, without a port; may be repeated."
    " Addresses and localhost are always allowed.",
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
    help="File of the messages; `memory` keeps them until the server ends."
    "  [default: journal.db in your data directory; `serve` prints the path]",
)
@click.option(
    "--durability",
    default="normal",
    envvar="TRIO_CHAT_DURABILITY",
    show_default=True,
    show_envvar=True,
    type=click.Choice(["normal", "full"]),
    help="Acknowledged messages survive a crash of the server (normal) or of the machine (full).",
)
@click.option(
    "--keep",
    envvar="TRIO_CHAT_KEEP",
    show_envvar=True,
    metavar="AGE",
    help="Remove messages that are older than this: 12h, 90d, 4w.  [default: keep all]",
)
@click.option(
    "--keep-entries",
    envvar="TRIO_CHAT_KEEP_ENTRIES",
    show_envvar=True,
    type=click.IntRange(min=1),
    help="Keep only this many of the newest messages in each room.  [default: keep all]",
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
    help="Limit no rates; for load tests.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    envvar="TRIO_CHAT_LIMIT",
    show_envvar=True,
    help="Set a limit of the server; `--limit help` lists all with units and defaults.",
)
@click.option(
    "--log-level",
    default="warning",
    envvar="TRIO_CHAT_LOG_LEVEL",
    show_default=True,
    show_envvar=True,
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="Least severe messages on standard error; info also logs connections by name and address.",
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
      0    stopped in order
      1    ended at once by a second Ctrl-C
      2    cannot start
      75   cannot start now, because the disk is full or fails
      130  interrupted before the start
    """
    import trio

    from trio_chat.journal.store import RetentionRule
    from trio_chat.server.config import Config, Limits, parse_age, parse_limits
    from trio_chat.server.logs import set_up_logging
    from trio_chat.server.process import default_journal, run_process

    set_up_logging(log_level)
    if "help" in limits:
        click.echo(Limits.described())
        return
    with errors_in_one_line():
        settings = parse_limits(limits)
        if max_connections is not None:
            settings["connections"] = max_connections
        limited = Limits(**settings)
        place = journal or default_journal()
        kept = RetentionRule(parse_age(keep) if keep else 0, keep_entries or 0)
        config = Config(
            host,
            port,
            place,
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
            raise ChatError("stopped at once: some members were not told")


def _say(lines: Sequence[str]) -> None:
    """Write lines to standard output in one write. The server runs on where they cannot be written."""
    try:
        click.echo("\n".join(map(printable, lines)))
    except OutputClosed:
        pass
    except OutputError as error:
        log.warning("%s; the server runs on", error)
