"""Parse the target of `join`: `[NAME@]HOST[:PORT]`, or a URL in place of the host."""

import re
import socket
from dataclasses import dataclass

from trio_chat.client.address import Address, parse_address
from trio_chat.errors import CannotConnect
from trio_chat.terminal.commands import without_mark

__all__ = ["Target", "name_hint", "parse_target"]

HOST = "127.0.0.1"
PORT = 5555

# The name is greedy: a name may contain @, a host may not.
_TARGET = re.compile(r"(?:(?P<name>.+)@)?(?:\[(?P<ip>[^]]*)\]|(?P<host>[^:@[\]]*))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Target:
    """An address as `connect` takes it, and a name; an empty name means that none was given."""

    name: str = ""
    host: str = HOST
    port: int = PORT

    @property
    def address(self) -> Address:
        """Return the address, which is the same for TCP and for WebSocket."""
        return parse_address(self.host, self.port)


def parse_target(text: str) -> Target:
    """Return the target that `text` names; every part may be left out.

    `ws://HOST:PORT` and `tcp://HOST:PORT` may replace the host, with the name before the URL or after its
    `//`. Raises ValueError with a message for the user.
    """
    if not text.isprintable():  # also rejects surrogates, which stand for invalid UTF-8 in an argument
        raise ValueError(f"invalid target: got {text!a}, expected NAME@HOST:PORT")
    if "://" in text:
        return _parse_url(text)
    match = _TARGET.fullmatch(text)
    if match is None:
        hint = ", with an IPv6 address in brackets" if text.count(":") > 1 else ""
        raise ValueError(f"invalid target: got {text!r}, expected NAME@HOST:PORT{hint}")
    port = int(match["port"] or PORT)
    if not 0 < port < 65_536:
        raise ValueError(f"invalid port: got {port}, expected 1 to 65535")
    return Target(without_mark(match["name"] or "", "@"), match["ip"] or match["host"] or HOST, port)


def name_hint(target: Target, error: CannotConnect) -> str:
    """Return a hint for a user who gave a name in place of a host; empty when that is unlikely.

    A host may be meant as a name when it does not resolve, or when it is a single word.
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
