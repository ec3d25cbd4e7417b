"""What is believed of an `X-Forwarded-For`, and of whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.errors import CannotStart
from trio_chat.net.address import Address, parse_address
from trio_chat.server import proxies as proxies_module
from trio_chat.server.proxies import HOPS_MAX, Proxies

PROXIES = Proxies(["127.0.0.1", "10.0.0.0/8", "2001:db8:f::/48"])
PEER = "203.0.113.7"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.0", "10.255.255.255", "2001:db8:f:1::2", "2001:db8:f::1%eth0"],
)
def test_a_proxy_is_known_by_its_address_or_network(address: str) -> None:
    assert address in PROXIES


@pytest.mark.parametrize(
    "address", ["127.0.0.2", "11.0.0.1", "2001:db8:e::1", "::1", "::a00:1", "", "10.0.0.1:80"]
)
def test_other_addresses_are_no_proxy(address: str) -> None:
    assert address not in PROXIES
    assert address not in Proxies()


@pytest.mark.parametrize("text", ["::ffff:127.0.0.1", "::ffff:127.0.0.0/104"])
def test_a_proxy_may_be_named_by_its_mapped_address(text: str) -> None:
    assert "127.0.0.1" in Proxies([text])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "''"),
        ("localhost", "'localhost'"),
        ("10.0.0.1/8", "'10.0.0.1/8'"),
        ("127.0.0.1:80", "'127.0.0.1:80'"),
        ("a\nb", r"'a\nb'"),
        ("1" * 5_000, repr("1" * 64 + "…")),
    ],
)
def test_a_text_that_is_no_proxy_is_refused_in_one_line(text: str, shown: str) -> None:
    with pytest.raises(CannotStart) as refusal:
        Proxies(["127.0.0.1", text])
    expected = f"invalid proxy: got {shown}, expected an address or a network, as 127.0.0.1 or 10.0.0.0/8"
    assert str(refusal.value) == expected


@pytest.mark.parametrize(
    ("value", "peer"),
    [
        (PEER, PEER),
        (f"198.51.100.1, {PEER}", PEER),
        (f"{PEER}, 10.1.2.3", PEER),
        (f"198.51.100.1,{PEER},10.1.2.3\t,  2001:db8:f::9", PEER),
        (f"127.0.0.1, {PEER}, 127.0.0.1", PEER),
        ("127.0.0.9", "127.0.0.9"),
        ("::1", "::1"),
        (f"{PEER}:56324", PEER),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:56324", "2001:db8::7"),
        ("[::ffff:203.0.113.7]:56324", PEER),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3, 127.0.0.1", "10.1.2.3"),
        (f"unknown, {PEER}", PEER),
        (f"127.0.0.1, unknown, {PEER}, 10.1.2.3:80", PEER),
    ],
)
def test_the_peer_is_the_last_address_that_is_no_proxys(value: str, peer: str) -> None:
    assert PROXIES.client_of("127.0.0.1", value) == peer


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        " ",
        "unknown",
        "_hidden",
        "localhost",
        '"203.0.113.7"',
        "for=203.0.113.7",
        "203.0.113",
        "203.0.113.7:",
        "203.0.113.7:port",
        "203.0.113.7:²",
        "203.0.113.7:80:80",
        "[203.0.113.7]",
        "[2001:db8::7",
        "[2001:db8::7]80",
        "[2001:db8::7]]:80",
        "2001:db8::7]:80",
        "203.0.113.7 10.0.0.1",
        "203.0.113.7" + " " * 64,
        "unix:",
    ],
)
def test_nothing_left_of_garbage_is_believed(garbage: str) -> None:
    """The peer is counted with all others that are unknown behind the proxy; it is never this machine."""
    assert PROXIES.client_of("127.0.0.1", garbage) == "unknown behind 127.0.0.1"
    assert PROXIES.client_of("127.0.0.1", f"{PEER},{garbage}") == "unknown behind 127.0.0.1"
    assert PROXIES.client_of("127.0.0.1", f"{PEER},{garbage},10.1.2.3") == "unknown behind 10.1.2.3"


def test_so_many_proxies_in_a_row_are_believed_and_no_more() -> None:
    chain = ["10.0.0.1"] * HOPS_MAX
    assert PROXIES.client_of("127.0.0.1", ",".join([PEER, *chain[1:]])) == PEER
    assert PROXIES.client_of("127.0.0.1", ",".join(chain)) == "10.0.0.1"
    assert PROXIES.client_of("127.0.0.1", ",".join([PEER, *chain])) == "unknown behind 10.0.0.1"


def test_a_long_header_costs_no_more_than_so_many_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def counted(text: str) -> Address | None:
        parsed.append(text)
        return parse_address(text)

    monkeypatch.setattr(proxies_module, "parse_address", counted)
    PROXIES.client_of("127.0.0.1", "10.0.0.1," * 100_000 + "10.0.0.1")
    assert len(parsed) <= 2 * HOPS_MAX
    parsed.clear()
    PROXIES.client_of("127.0.0.1", "1" * 1_000_000)
    assert not parsed


@given(st.text(max_size=60), st.ip_addresses())
def test_what_a_peer_writes_itself_changes_nothing(written: str, peer: object) -> None:
    """A proxy appends the address that it was connected from; a peer can only write to the left of it."""
    if str(peer) not in PROXIES:
        told = PROXIES.client_of("127.0.0.1", f"{written}, {peer}")
        assert told == PROXIES.client_of("127.0.0.1", str(peer))
        assert not told.startswith("unknown")
