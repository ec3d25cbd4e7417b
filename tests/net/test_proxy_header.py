"""The PROXY protocol: headers as its specification has them, and what is none."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.errors import FrameError
from trio_chat.net.proxy_header import (
    NO_HEADER,
    V1_BYTES_MAX,
    V2_REST_BYTES_MAX,
    ProxyHeader,
    parse_proxy_header,
)

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
LAST = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
LONGEST_LINE = f"PROXY TCP6 {LAST} {LAST} 65535 65535\r\n".encode()
TCP4 = bytes([192, 0, 2, 1, 198, 51, 100, 1]) + (56324).to_bytes(2) + (443).to_bytes(2)
TCP6 = IPv6Address("2001:db8::1").packed + IPv6Address("2001:db8::2").packed + b"\xdc\x04\x01\xbb"
UNIX = b"/run/chat.sock".ljust(108, b"\0") * 2
TLVS = bytes.fromhex("04 0003 000000 03 0004 a1b2c3d4")  # PP2_TYPE_NOOP, PP2_TYPE_CRC32C


def v2(rest: bytes = TCP4, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    size = len(rest) if length is None else length
    return SIGNATURE + bytes([command, family]) + size.to_bytes(2) + rest


HEADERS = [
    # The longest lines that the specification names, of each family.
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
    (LONGEST_LINE, LAST),
    (b"PROXY UNKNOWN" + LONGEST_LINE[10:], ""),
    (b"PROXY UNKNOWN\r\n", ""),
    (b"PROXY UNKNOWN \xff\0 whatever\n\r\n", ""),
    (b"PROXY TCP4 192.0.2.1 198.51.100.1 0 443\r\n", "192.0.2.1"),
    (b"PROXY TCP6 2001:DB8:0::1 ::1 56324 443\r\n", "2001:db8::1"),
    (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 56324 443\r\n", "192.0.2.1"),
    (v2(), "192.0.2.1"),
    (v2(TCP4 + TLVS), "192.0.2.1"),
    (v2(family=0x12), "192.0.2.1"),
    (v2(TCP6, family=0x21), "2001:db8::1"),
    (v2(TCP6 + TLVS, family=0x22), "2001:db8::1"),
    (v2(IPv6Address("::ffff:192.0.2.1").packed + bytes(20), family=0x21), "192.0.2.1"),
    (v2(UNIX, family=0x31), ""),
    (v2(UNIX, family=0x32), ""),
    (v2(b"", family=0x00), ""),
    (v2(TLVS, family=0x00), ""),
    (v2(TCP4, family=0x10), ""),
    (v2(TCP4, family=0x01), ""),
    (v2(b"", command=0x20, family=0x00), ""),
    (v2(TCP4, command=0x20), ""),
    (v2(b"", command=0x20, family=0xFF), ""),
    (v2(TCP4.ljust(V2_REST_BYTES_MAX, b"\0")), "192.0.2.1"),
]


@pytest.mark.parametrize(("header", "address"), HEADERS, ids=range(len(HEADERS)))
def test_a_header_is_read_at_its_last_byte_and_not_before(header: bytes, address: str) -> None:
    for length in range(len(header)):
        assert parse_proxy_header(header[:length]) is None
    for behind in (b"", b"\0", b"\r\n", b"PROXY UNKNOWN\r\n", bytes(70_000)):
        assert parse_proxy_header(header + behind) == ProxyHeader(address, len(header))


def test_the_longest_line_is_as_long_as_a_line_may_be() -> None:
    assert len(LONGEST_LINE) == 104
    assert parse_proxy_header(b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n") == ProxyHeader("", V1_BYTES_MAX)
    with pytest.raises(FrameError, match="no end of line within 107 bytes"):
        parse_proxy_header(b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n")


@pytest.mark.parametrize(
    "data",
    [
        bytes.fromhex("0000002b7b22"),
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n",
        b"PROXY\r\n",
        b"PROXY\tTCP4 ",
        b"proxy TCP4 ",
        b" PROXY TCP4 ",
        b"\x16\x03\x01",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"\r\n\r\nGET",
        SIGNATURE[1:],
    ],
)
def test_other_bytes_are_no_header(data: bytes) -> None:
    assert parse_proxy_header(data) == NO_HEADER


@pytest.mark.parametrize(
    "line",
    [
        "",
        "TCP4",
        "TCP5 192.0.2.1 198.51.100.1 1 2",
        "tcp4 192.0.2.1 198.51.100.1 1 2",
        "UNKNOWNS",
        "UDP4 192.0.2.1 198.51.100.1 1 2",
        " TCP4 192.0.2.1 198.51.100.1 1 2",
        "TCP4  192.0.2.1 198.51.100.1 1 2",
        "TCP4 192.0.2.1 198.51.100.1 1 2 ",
        "TCP4 192.0.2.1 198.51.100.1 1",
        "TCP4 192.0.2.1 198.51.100.1 1 2 3",
        "TCP4 192.0.2.1\t198.51.100.1 1 2",
        "TCP4 192.0.2.001 198.51.100.1 1 2",
        "TCP4 192.0.2.256 198.51.100.1 1 2",
        "TCP4 192.0.2.1 elsewhere 1 2",
        "TCP4 2001:db8::1 2001:db8::2 1 2",
        "TCP6 192.0.2.1 198.51.100.1 1 2",
        "TCP6 2001:db8::1%eth0 2001:db8::2 1 2",
        "TCP6 [2001:db8::1] 2001:db8::2 1 2",
        "TCP4 192.0.2.1 198.51.100.1 1 65536",
        "TCP4 192.0.2.1 198.51.100.1 -1 2",
        "TCP4 192.0.2.1 198.51.100.1 +1 2",
        "TCP4 192.0.2.1 198.51.100.1 01 2",
        "TCP4 192.0.2.1 198.51.100.1 1 ",
        "TCP4 192.0.2.1 198.51.100.1 ² 2",
        "TCP4 192.0.2.1 198.51.100.1 1 999999999999",
        "TCP4 192.0.2.1 198.51.100.1 1 2\n",
        "TCP4 192.0.2.1\0 198.51.100.1 1 2",
        "/ HTTP/1.1",
    ],
)
def test_a_malformed_line_is_an_error(line: str) -> None:
    with pytest.raises(FrameError, match=r"^invalid PROXY header: .*$") as error:
        parse_proxy_header(b"PROXY " + line.encode("latin-1") + b"\r\n")
    assert error.value.code == "bad_frame"


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (v2(command=0x11), "got version 1 and command 1"),
        (v2(command=0x31), "got version 3 and command 1"),
        (v2(command=0x22), "got version 2 and command 2"),
        (v2(family=0x41), "got family 4 and transport 1"),
        (v2(family=0x13), "got family 1 and transport 3"),
        (v2(family=0x40), "got family 4 and transport 0"),
        (v2(family=0x03), "got family 0 and transport 3"),
        (v2(TCP4[:-1]), "got 11 bytes, too few"),
        (v2(b""), "got 0 bytes, too few"),
        (v2(TCP4, family=0x21), "got 12 bytes, too few"),
        (v2(TCP6[:-1], family=0x21), "got 35 bytes, too few"),
        (v2(UNIX[:-1], family=0x31), "got 215 bytes, too few"),
        (v2(length=V2_REST_BYTES_MAX + 1), "got 537 bytes of addresses and TLVs, expected at most 536"),
        (v2(length=0xFFFF), "got 65535 bytes"),
        (v2(command=0x20, length=0xFFFF), "got 65535 bytes"),
    ],
)
def test_a_malformed_binary_header_is_an_error(header: bytes, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        parse_proxy_header(header)


def test_a_header_that_is_too_long_is_an_error_before_it_has_come() -> None:
    with pytest.raises(FrameError, match="got 537 bytes"):
        parse_proxy_header(v2(b"", length=537))


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 65_535), st.binary(max_size=500))
def test_both_versions_name_any_address(
    source: IPv4Address | IPv6Address, other: IPv4Address | IPv6Address, port: int, tlvs: bytes
) -> None:
    packed = type(source)(int(other) % 2**32)
    line = f"PROXY TCP{source.version} {source} {packed} {port} 443\r\n".encode()
    family = 0x11 if source.version == 4 else 0x21
    binary = v2(source.packed + packed.packed + port.to_bytes(2) + b"\x01\xbb" + tlvs, family=family)
    mapped = source.ipv4_mapped if isinstance(source, IPv6Address) else None
    for header in (line, binary):
        assert parse_proxy_header(header) == ProxyHeader(str(mapped or source), len(header))


@given(
    st.binary(max_size=700)
    | st.binary(max_size=700).map(lambda rest: b"PROXY " + rest)
    | st.binary(max_size=700).map(lambda rest: SIGNATURE + b"\x21" + rest)
)
def test_any_bytes_are_a_header_or_none_or_the_one_error(data: bytes) -> None:
    """Whatever was said of the first bytes stands for all that begin with them."""
    said: ProxyHeader | str | None = None
    for length in range(len(data) + 1):
        try:
            header: ProxyHeader | str | None = parse_proxy_header(data[:length])
        except FrameError as error:
            header = str(error)
        assert said is None or header == said
        assert header is not None or length < 16 + V2_REST_BYTES_MAX
        said = header
