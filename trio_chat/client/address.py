"""Addresses of servers: a host and a port, or a URL with both."""

import re
from typing import NamedTuple

from trio_chat.errors import CannotConnect

__all__ = ["Address", "parse_address"]

_URL = re.compile(
    r"(?P<scheme>tcp|ws)://(?:\[(?P<ip>[0-9A-Fa-f:.]+)\]|(?P<host>[^][:/@?#\s]+))"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)?",
    re.ASCII | re.IGNORECASE,
)
_PORTS = {"tcp": 5555, "ws": 80}


class Address(NamedTuple):
    """The address of a server. `path` is that of a WebSocket; without it the connection uses frames."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(host: str, port: int) -> Address:
    """Return the address of `host` and `port`; a URL in place of the host (`ws://HOST:PORT`, `tcp://HOST:PORT`)
    has its own port. The path of a WebSocket is `/ws` unless the URL has one. Raises `CannotConnect`.
    """
    if "://" not in host:
        return Address(host, port)
    found = _URL.fullmatch(host)
    scheme = found["scheme"].lower() if found else ""
    number = int((found and found["port"]) or _PORTS.get(scheme, 0))
    path = (found and found["path"]) or ""
    if found is None or not 0 < number < 65_536 or (scheme == "tcp" and path.strip("/")):
        raise CannotConnect(f"invalid address: got {host!r}, expected one such as ws://127.0.0.1:5555")
    if path in ("", "/"):
        path = "/ws" if scheme == "ws" else ""
    name = found["ip"] or found["host"]
    try:  # HTTP needs the ASCII form; dialing does not
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError as error:
        raise CannotConnect(f"invalid host name: got {name!r}") from error
    return Address(name, number, path)
