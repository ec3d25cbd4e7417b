"""The trusted proxies (`--proxy`), and the peer's address in their `X-Forwarded-For`. PURE.

Each proxy appends the address of its own peer, so the header is read from its end: trusted proxies are
skipped, and the first other address is the peer's. Entries to the left of that address may be forged by the
peer. If an entry is not an address, the peer's address is unknown: entries to the left of it are not read,
and all unknown peers behind one proxy count as one address. They do not count as the proxy, which may be on
this machine and exempt.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trio_chat.errors import CannotStart
from trio_chat.net.address import parse_address, parse_network

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio_chat.net.address import Network

__all__ = ["Proxies"]

HOPS_MAX = 16  # proxies in a row; each costs a parse and a comparison with every `--proxy`
ENTRY_MAX = 64  # characters
SHOWN_MAX = 64

_PORT = re.compile(r"(?::[0-9]{1,5})?")


class Proxies:
    """The addresses and networks of trusted proxies. Raises `CannotStart` for a text that is neither."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._networks = tuple(dict.fromkeys(map(_network, texts)))

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client_of(self, proxy: str, forwarded_for: str) -> str:
        """Return the address of the peer behind `proxy`, which sent this `X-Forwarded-For`.

        It is the last address that is not a trusted proxy's. If all are, it is the first.
        """
        address = proxy
        entries = forwarded_for.rsplit(",", HOPS_MAX)
        for entry in reversed(entries[-HOPS_MAX:]):
            forwarded = _address_in(entry)
            if not forwarded:
                return _unknown_behind(address)
            address = forwarded
            if address not in self:
                return address
        return address if len(entries) <= HOPS_MAX else _unknown_behind(address)


def _network(text: str) -> Network:
    network = parse_network(text)
    if network is None:
        shown = text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
        raise CannotStart(
            f"invalid proxy: got {shown!r}, expected an address or a network, as 127.0.0.1 or 10.0.0.0/8"
        )
    return network


def _address_in(entry: str) -> str:
    """Return the address of one entry, without brackets and port; empty if it is not an address."""
    if len(entry) > ENTRY_MAX:
        return ""
    host, port = entry.strip(" \t"), ""
    if host.startswith("["):
        host, bracket, port = host[1:].partition("]")
        if not bracket or ":" not in host:
            return ""
    elif host.count(":") == 1:
        host, colon, port = host.partition(":")
        port = colon + port
    address = parse_address(host)
    return "" if address is None or not _PORT.fullmatch(port) else str(address)


def _unknown_behind(proxy: str) -> str:
    return f"unknown behind {proxy}"
