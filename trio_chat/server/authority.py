"""Parse the host and port of a request, and compare them with its `Origin`. PURE.

One host has several spellings: letters of either case, a dot at the end of a name, the forms of an IPv6
address. `Authority.host` is the same for all of them. A port that is left out is the default of the scheme:
443 for https, 80 for http. Behind a proxy that ends TLS, only the `Origin` has the scheme, so it decides
the port of a `Host` that names no port.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

__all__ = ["Authority", "is_address", "is_same_origin", "parse_authority", "split_target"]

PORT_MAX = 65_535
DEFAULT_PORTS = {b"http": 80, b"https": 443}

_AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,254})(?::([0-9]{0,5}))?")
_URL = re.compile(rb"(https?)://([^/?#]{1,300})(.*)", re.IGNORECASE | re.DOTALL)


class Authority(NamedTuple):
    """A host and a port as a URL names them; `port` is None for the default of the scheme."""

    host: str
    port: int | None

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


def parse_authority(text: bytes) -> Authority | None:
    """Return the authority of a `Host` or of a URL; None if `text` is neither a name nor an address."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return None
    host = found[1].decode().lower().removesuffix(".")
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return None
    port = int(found[2]) if found[2] else None
    if not host or (port is not None and port > PORT_MAX):
        return None
    return Authority(host, port)


def is_address(host: str) -> bool:
    """Return whether the host of an `Authority` is an IP address."""
    if host.startswith("["):
        return True
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def is_same_origin(origin: bytes, authority: Authority) -> bool:
    """Return whether a page of this `Origin` came from the authority that its request names."""
    found = _URL.fullmatch(origin)
    if found is None or found[3]:
        return False
    ours = parse_authority(found[2])
    if ours is None or ours.host != authority.host:
        return False
    default = DEFAULT_PORTS[found[1].lower()]
    # Not `or`: port 0 differs from a missing port.
    port = default if authority.port is None else authority.port
    return port == (default if ours.port is None else ours.port)


def split_target(target: bytes) -> tuple[bytes, bytes] | None:
    """Return the authority and the rest of a target in absolute form; None for a target in another form."""
    found = _URL.fullmatch(target)
    if found is None:
        return None
    rest = found[3]
    return found[2], rest if rest.startswith(b"/") else b"/" + rest
