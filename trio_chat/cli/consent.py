"""Ask before a load test of a remote server, since the test's rooms stay in the journal of that server."""

import socket
import sys
from collections.abc import Callable, Iterable

import click

from trio_chat.cli.interrupt import exit_on_interrupt, raise_on_interrupt

__all__ = ["ask_before_load", "has_terminal", "is_only_loopback"]

Resolve = Callable[[str, int], Iterable[str]]


def ask_before_load(host: str, port: int) -> None:
    """Return if the load test may start: the address is this machine's, or the user agrees.

    Raises `CannotRun` otherwise, also without a terminal to ask on; KeyboardInterrupt at Ctrl-C.
    """
    from loadtest.scenario import CannotRun
    from loadtest.target import shown

    if is_only_loopback(host, port):
        return
    where = shown(host, port)
    rooms_stay = "the rooms of a load test stay in the journal of its server"
    if not has_terminal():
        raise CannotRun(f"{where} is not on this machine, and {rooms_stay}; add --yes to start the test")
    is_changed = raise_on_interrupt()  # so that the line of the question ends before another line is written
    try:
        agreed = click.confirm(f"{where} is not on this machine, and {rooms_stay}. Start it?", err=True)
    except click.Abort as error:  # Ctrl-C, or the end of the input
        click.echo(err=True)
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        agreed = False
    finally:
        if is_changed:
            exit_on_interrupt()
    if not agreed:
        raise CannotRun("not started")


def has_terminal() -> bool:
    """Return whether standard input and standard error are terminals, so that a user can reply."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def is_only_loopback(host: str, port: int, *, resolve: Resolve | None = None) -> bool:
    """Return whether every address of a host is a loopback address. `host` may be a URL.

    Raises `CannotRun` if the host has no address.
    """
    from loadtest.scenario import CannotRun
    from trio_chat.client.address import parse_address
    from trio_chat.net.address import is_loopback

    if "://" in host:
        parsed = parse_address(host, port)
        host, port = parsed.host, parsed.port
    try:
        addresses = list((resolve or _resolve)(host, port))
    except (OSError, UnicodeError) as error:  # UnicodeError: the text cannot be a host name
        raise CannotRun(f"cannot resolve {host}: {getattr(error, 'strerror', None) or error}") from error
    return bool(addresses) and all(address and is_loopback(address) for address in addresses)


def _resolve(host: str, port: int) -> Iterable[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
