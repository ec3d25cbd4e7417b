"""Where a server is, and what is spoken there: a host and a port, or a URL that has both."""

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
    """`path` is that of a WebSocket; without one it is frames that are spoken."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(host: str, port: int) -> Address:
    """The address that `host` and `port` name; a URL in place of the host (`ws://HOST:PORT`, `tcp://HOST:PORT`)
    has its own port. A WebSocket is at `/ws` unless the URL says otherwise. Raises `CannotConnect`.
    """
    if "://" not in host:
        return Address(host, port)
    found = _URL.fullmatch(host)
    scheme = found["scheme"].lower() if found else ""
    number = int((found and found["port"]) or _PORTS.get(scheme, 0))
    path = (found and found["path"]) or ""
    if found is None or not 0 < number < 65_536 or (scheme == "tcp" and path.strip("/")):
        raise CannotConnect(f"{host!r} is no address: it looks like ws://127.0.0.1:5555")
    if path in ("", "/"):
        path = "/ws" if scheme == "ws" else ""
    name = found["ip"] or found["host"]
    try:  # as HTTP wants it said; what dials would take it as it is
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError as error:
        raise CannotConnect(f"{name!r} is no host's name") from error
    return Address(name, number, path)
