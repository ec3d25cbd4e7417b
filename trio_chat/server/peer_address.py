"""The address of each connection's peer, and how many connections each address has.

Without proxies the address is known when the connection is accepted. A trusted proxy (`--proxy`) sends it:

    a PROXY header      before the first byte of any dialect
    X-Forwarded-For     in the request that becomes a WebSocket

From any other address neither is believed. If a PROXY header names another trusted proxy, that proxy's
`X-Forwarded-For` is believed too. A connection from a proxy counts in all at once, and by address when the
peer's is known. Without either header the address is the proxy's own. Plain HTTP through a proxy is not
counted by address: the proxy uses one connection for the requests of several peers.

A trusted proxy may name any address. The peer is exempt as loopback only if the proxy names a loopback
address; a proxy on this machine is not enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_chat.net.address import is_loopback, prefix_of
from trio_chat.net.proxy_header import parse_proxy_header

if TYPE_CHECKING:
    from trio_chat.net.link import Link
    from trio_chat.server.config import Limits
    from trio_chat.server.proxies import Proxies

__all__ = ["SERVER_FULL", "ConnectionCounts", "CountedConnection", "receive_proxy_header"]

SERVER_FULL = "the server is full"


class ConnectionCounts:
    """Count the open connections of one server: in all, and by address prefix, loopback exempt."""

    def __init__(self, limits: Limits, proxies: Proxies) -> None:
        self.proxies = proxies
        self.total = 0
        self._by_prefix: dict[str, int] = {}
        self._total_max = limits.connections
        self._by_prefix_max = limits.connections_per_address

    def why_full(self, address: str) -> str:
        """Return why a connection from `address` cannot be opened; empty when it can."""
        if self.total >= self._total_max:
            return SERVER_FULL
        return "" if address in self.proxies else self.why_full_by_prefix(_counted_prefix(address))

    def why_full_by_prefix(self, prefix: str) -> str:
        """Return why no further connection of this prefix can be counted; empty when it can."""
        if self._by_prefix.get(prefix, 0) >= self._by_prefix_max:
            return f"at most {self._by_prefix_max} connections from one address"
        return ""

    def add(self, prefix: str) -> None:
        """Count one more connection of this prefix."""
        self._by_prefix[prefix] = self._by_prefix.get(prefix, 0) + 1

    def remove(self, prefix: str) -> None:
        """Count one connection of this prefix less."""
        self._by_prefix[prefix] -= 1
        if not self._by_prefix[prefix]:
            del self._by_prefix[prefix]


class CountedConnection:
    """One connection, counted until `close`.

    `address` is the peer's as far as it is known. `full` is why the limit by address refuses the connection;
    empty while it does not.
    """

    __slots__ = ("_counts", "_is_open", "_prefix", "address", "full")

    def __init__(self, counts: ConnectionCounts, address: str) -> None:
        self.address = address
        self.full = ""
        self._counts = counts
        self._is_open = True
        self._prefix: str | None = None  # not counted by address yet; empty: exempt
        counts.total += 1
        self._count_if_known()

    @property
    def prefix(self) -> str:
        """The prefix that the connection is counted by; empty for a peer that is exempt."""
        return self._prefix or ""

    def close(self) -> None:
        """Stop counting the connection; idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        self._counts.total -= 1
        if self._prefix:
            self._counts.remove(self._prefix)

    async def receive_proxy_header(self, link: Link) -> bytes:
        """Receive the PROXY header of a connection from a proxy, and count the address that it names.

        Return the bytes that were received behind it. For other connections, return `b""` at once. Raises as
        the function of this name.
        """
        if not self._is_proxy():
            return b""
        address, rest = await receive_proxy_header(link)
        if address:
            self.address = address
            self._count_if_known()
        return rest

    def count_forwarded(self, forwarded_for: str | None) -> str:
        """Count the address that an `X-Forwarded-For` names, if a trusted proxy sent it; return `full`."""
        if forwarded_for is not None and self._is_proxy():
            self.address = self._counts.proxies.client_of(self.address, forwarded_for)
        return self.count()

    def count(self) -> str:
        """Count the connection by the address that is known now, unless it is counted; return `full`."""
        if self._prefix is None:
            prefix = _counted_prefix(self.address)
            if prefix:
                self.full = self._counts.why_full_by_prefix(prefix)
                if self.full:
                    return self.full
                self._counts.add(prefix)
            self._prefix = prefix
        return self.full

    def _count_if_known(self) -> None:
        if not self._is_proxy():
            self.count()

    def _is_proxy(self) -> bool:
        """Return whether the address known now is a trusted proxy's, which may name the peer's."""
        return self._prefix is None and self.address in self._counts.proxies


async def receive_proxy_header(link: Link) -> tuple[str, bytes]:
    """Wait for a PROXY header, or for bytes that begin otherwise.

    Return the address that the header names, empty without one, and the bytes received behind it. Raises
    `FrameError` for a malformed header, and as `receive_some`. Cancelling loses what was received.
    """
    data = b""
    while (header := parse_proxy_header(data)) is None:
        received = await link.receive_some()
        if not received:  # the end of input, before a whole header
            return "", data
        data += received
    return header.address, data[header.length :]


def _counted_prefix(address: str) -> str:
    """Return the prefix to count by; empty for a peer that is exempt."""
    return "" if is_loopback(address) else prefix_of(address)
