"""Addresses as text, held against `ipaddress`: which are one peer, and which are this machine."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.net.address import TEXT_MAX, is_loopback, parse_address, parse_network, prefix_of

IPV4 = st.ip_addresses(v=4).map(lambda address: IPv4Address(int(address)))
ZONES = st.from_regex(r"[a-z0-9.]{1,15}", fullmatch=True)


def is_not_mapped(address: IPv6Address) -> bool:
    return address.ipv4_mapped is None


IPV6 = st.ip_addresses(v=6).map(lambda address: IPv6Address(int(address))).filter(is_not_mapped)


def spellings(address: IPv6Address) -> list[str]:
    return [str(address), address.exploded, str(address).upper()]


# --- prefixes -------------------------------------------------------------------------------------------


@given(IPV4)
def test_an_ipv4_address_counts_as_itself_in_both_its_spellings(address: IPv4Address) -> None:
    assert prefix_of(str(address)) == str(address)
    assert prefix_of(f"::ffff:{address}") == str(address)
    assert prefix_of(str(IPv6Address(0xFFFF_0000_0000 | int(address)))) == str(address)


@given(IPV6, st.integers(0, 2**64 - 1), ZONES)
def test_an_ipv6_64_counts_as_one(address: IPv6Address, interface: int, zone: str) -> None:
    network = IPv6Network((int(address) >> 64 << 64, 64))
    neighbour = IPv6Address(int(network.network_address) | interface)
    for each in spellings(address):
        assert prefix_of(each) == prefix_of(f"{each}%{zone}") == str(network)
    if neighbour.ipv4_mapped is None:
        assert prefix_of(str(neighbour)) == str(network)


@given(IPV6, st.integers(0, 63))
def test_another_64_is_another(address: IPv6Address, bit: int) -> None:
    other = IPv6Address(int(address) ^ 1 << 64 + bit)
    assert prefix_of(str(other)) != prefix_of(str(address))


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:0DB8:0:0:ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("::192.0.2.1", "::/64"),
    ],
)
def test_prefixes_are_these(address: str, prefix: str) -> None:
    assert prefix_of(address) == prefix


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "memory",
        "127.1",
        "192.0.2.01",
        "192.0.2.1%eth0",
        "192.0.2.1:80",
        "[2001:db8::1]",
        "2001:db8::1%",
        "2001:db8::1%a%b",
        "2001:db8::1/64",
        " 192.0.2.1",
        "192.0.2.1\n",
        "١٩٢.0.2.1",
        "1" * 10_000_000,
        ":" * 10_000_000,
        "::1%" + "z" * TEXT_MAX,
    ],
    ids=lambda text: text[:20],
)
def test_a_text_that_is_no_address_counts_as_itself(text: str) -> None:
    assert parse_address(text) is None
    assert prefix_of(text) == text


@given(st.text(max_size=80) | st.from_regex(r"[0-9a-fA-F:.%/]{0,70}", fullmatch=True))
def test_every_text_is_an_address_exactly_if_ipaddress_says_so(text: str) -> None:
    try:
        known = ip_address(text)
    except ValueError:
        assert parse_address(text) is None
        assert prefix_of(text) == text
    else:
        parsed = parse_address(text)
        assert parsed is not None
        mapped = known.ipv4_mapped if isinstance(known, IPv6Address) else None
        assert int(parsed) == int(mapped or known)


def test_a_zone_id_is_no_part_of_an_address() -> None:
    assert parse_address("fe80::1%eth0") == IPv6Address("fe80::1")


def test_the_longest_address_is_read() -> None:
    longest = "2001:0db8:1111:2222:3333:4444:255.255.255.255%enp0s31f6.4094a"
    assert len(longest) <= TEXT_MAX
    assert prefix_of(longest) == "2001:db8:1111:2222::/64"


# --- loopback -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "0:0:0:0:0:0:0:1",
        "::1%lo",
        "::ffff:127.3.2.1",
        "::ffff:7f00:1",
        "",
    ],
)
def test_loopback_is_this_machine(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    [
        "128.0.0.1",
        "0.0.0.0",
        "::",
        "::2",
        "::127.0.0.1",
        "::ffff:128.0.0.1",
        "127.0.0.1.example",
        "127.",
        "127.0.0.1:80",
        "localhost",
        "2001:db8::1",
    ],
)
def test_other_addresses_and_names_are_not(address: str) -> None:
    assert not is_loopback(address)


@given(st.ip_addresses())
def test_loopback_is_what_ipaddress_says(address: IPv4Address | IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert is_loopback(str(address)) == (mapped or address).is_loopback


# --- networks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("127.0.0.1", IPv4Network("127.0.0.1/32")),
        ("10.0.0.0/8", IPv4Network("10.0.0.0/8")),
        ("0.0.0.0/0", IPv4Network("0.0.0.0/0")),
        ("::1", IPv6Network("::1/128")),
        ("2001:db8::/32", IPv6Network("2001:db8::/32")),
        ("::ffff:192.0.2.7", IPv4Network("192.0.2.7/32")),
        ("::ffff:10.0.0.0/104", IPv4Network("10.0.0.0/8")),
        ("::/0", IPv6Network("::/0")),
    ],
)
def test_networks_are_these(text: str, network: IPv4Network | IPv6Network) -> None:
    assert parse_network(text) == network


@pytest.mark.parametrize(
    "text",
    ["", "/", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10/8", "2001:db8::1/32", "::1/", "1/" * 1_000_000],
    ids=lambda text: text[:20],
)
def test_other_texts_are_no_network(text: str) -> None:
    assert parse_network(text) is None
