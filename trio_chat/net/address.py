"""IP addresses as text: parse them, group them by peer, recognize those of this machine. PURE.

One peer can have many addresses. A provider gives each customer at least an IPv6 /64, so limits count
those 2^64 addresses as one. An IPv4 address has a second spelling as an IPv4-mapped IPv6 address
(`::ffff:192.0.2.1`), and an IPv6 address one for each zone id (`fe80::1%eth0`). Any other text,
such as the name of a simulated host, is compared unchanged.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

__all__ = [
    "Address",
    "Network",
    "is_loopback",
    "is_unspecified",
    "parse_address",
    "parse_network",
    "prefix_of",
]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

TEXT_MAX = 64  # characters: 45 are the longest IPv6 address, 16 a zone id as Linux has them
_INTERFACE_BITS = 64
_MAPPED = IPv6Network("::ffff:0:0/96")


def parse_address(text: str) -> Address | None:
    """Return the address that `text` names, without its zone id, or None for any other text.

    An IPv4-mapped IPv6 address is returned as its IPv4 address.
    """
    return _parse(text) if len(text) <= TEXT_MAX else None


@lru_cache(maxsize=1_024)  # each connection parses its address several times
def _parse(text: str) -> Address | None:
    try:
        if ":" not in text:
            return IPv4Address(text)
        address = IPv6Address(text)
    except ValueError:
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv6Address(int(address)) if address.scope_id else address


def parse_network(text: str) -> Network | None:
    """Return the network that `text` names, or None for any other text. A single address is a network of size
    one.

    A network of IPv4-mapped IPv6 addresses is returned as its IPv4 network.
    """
    if "/" not in text:
        address = parse_address(text)
        if address is None:
            return None
        return IPv4Network(address) if isinstance(address, IPv4Address) else IPv6Network(address)
    if len(text) > TEXT_MAX:
        return None
    try:
        if ":" not in text:
            return IPv4Network(text)
        network = IPv6Network(text)
    except ValueError:
        return None
    if network.subnet_of(_MAPPED):
        ipv4 = int(network.network_address) & 0xFFFF_FFFF
        return IPv4Network((ipv4, network.prefixlen - _MAPPED.prefixlen))
    return network


def prefix_of(address: str) -> str:
    """Return the key for limits by address: an IPv4 address, an IPv6 /64, or the text itself."""
    parsed = parse_address(address)
    if parsed is None:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    network = IPv6Address(int(parsed) >> _INTERFACE_BITS << _INTERFACE_BITS)
    return f"{network}/{_INTERFACE_BITS}"


def is_loopback(address: str) -> bool:
    """Return whether the address is a loopback address. An empty address counts: its connection used no
    network."""
    if not address:
        return True
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback


def is_unspecified(address: str) -> bool:
    """Return whether the address means all addresses of this machine: `0.0.0.0`, `::`."""
    parsed = parse_address(address)
    return parsed is not None and parsed.is_unspecified
