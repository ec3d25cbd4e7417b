"""Where to join, and as whom: `[NAME@]HOST[:PORT]`, or a URL in place of the host."""

import re
import socket
from dataclasses import dataclass

from trio_chat.client.address import Address, parse_address
from trio_chat.errors import CannotConnect
from trio_chat.terminal.commands import without_mark

__all__ = ["Target", "name_hint", "parse_target"]

HOST = "127.0.0.1"
PORT = 5555

# The name is greedy: it may hold an @ itself, which a host does not.
_TARGET = re.compile(r"(?:(?P<name>.+)@)?(?:\[(?P<ip>[^]]*)\]|(?P<host>[^:@[\]]*))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Target:
    """An address as `connect` takes it, and a name; empty when none was given."""

    name: str = ""
    host: str = HOST
    port: int = PORT

    @property
    def address(self) -> Address:
        """Where that is: the same whether frames are spoken there or a WebSocket."""
        return parse_address(self.host, self.port)


def parse_target(text: str) -> Target:
    """The target that `text` names; every part may be left out. Raises ValueError, fit to be shown.

    `ws://HOST:PORT` and `tcp://HOST:PORT` stand for the host, with the name before them or behind the `//`.
    """
    if not text.isprintable():  # nor are bytes that are no UTF-8, as Python has them in an argument
        raise ValueError(f"{text!a} is not NAME@HOST:PORT")
    if "://" in text:
        return _parse_url(text)
    match = _TARGET.fullmatch(text)
    if match is None:
        hint = ", with brackets round an IPv6 address" if text.count(":") > 1 else ""
        raise ValueError(f"{text!r} is not NAME@HOST:PORT{hint}")
    port = int(match["port"] or PORT)
    if not 0 < port < 65_536:
        raise ValueError(f"there is no port {port}")
    return Target(without_mark(match["name"] or "", "@"), match["ip"] or match["host"] or HOST, port)


def name_hint(target: Target, error: CannotConnect) -> str:
    """Return the command that was perhaps meant when a name was given for a host; empty when none was.

    A host is perhaps a name when it does not resolve, or when it is one word.
    """
    host = target.host
    if target.name or "://" in host or host in (HOST, "localhost") or not host.isprintable() or " " in host:
        return ""
    is_unknown = isinstance(error.__cause__, socket.gaierror | UnicodeError)
    if not is_unknown and any(mark in host for mark in ".:"):
        return ""
    port = f":{target.port}" if target.port != PORT else ""
    return f"to join as {host} on this machine: trio-chat join {host}@{HOST}{port}"


def _parse_url(text: str) -> Target:
    before, _, behind = text.partition("://")
    name, _, scheme = before.rpartition("@")
    place, slash, path = behind.partition("/")
    user, _, place = place.rpartition("@")
    url = f"{scheme}://{place}{slash}{path}"
    try:
        parse_address(url, PORT)
    except CannotConnect as error:
        raise ValueError(str(error)) from error
    return Target(name or user, url)
