"""The PROXY protocol, versions 1 and 2: the header that a proxy sends before a connection's bytes. PURE.

    v1  PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\\r\\n                        a line of text
    v2  12 bytes of signature, 1 of version and command, 1 of family and transport, 2 of length,
        addresses and ports, TLVs                                             binary

The specification is haproxy's doc/proxy-protocol.txt. Three choices are ours:

- A header without an IP address of the peer (v1 UNKNOWN; v2 LOCAL, AF_UNSPEC, AF_UNIX) leaves the connection
  its own address.
- A v2 header has at most 536 bytes after its first 16: addresses, and some 500 of TLVs, which are skipped.
- UDP is accepted as TCP is: a proxy may receive QUIC and forward TCP.

The library proxy-protocol does not fit. It reads exact numbers of bytes and lines, so it cannot parse bytes
that continue after a v1 header, and it does not report the header's end. It bounds neither a line nor a
length, and some malformed headers raise ValueError or struct.error.

Bytes with another beginning than v1 or v2 have no header. Bytes that begin like a header and are then invalid
are an error, since the end of the header is unknown.
"""

import re
from ipaddress import IPv6Address
from typing import NamedTuple

from trio_chat.errors import FrameError
from trio_chat.net.address import parse_address

__all__ = ["NO_HEADER", "V1_BYTES_MAX", "V2_REST_BYTES_MAX", "ProxyHeader", "parse_proxy_header"]

V1_BYTES_MAX = 107  # with the line's end; the longest line that the specification allows
V2_REST_BYTES_MAX = 536

_V1 = b"PROXY "
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_V2_START_BYTES = 16
_LOCAL, _PROXY = 0, 1
_UNSPEC, _INET, _INET6, _UNIX = range(4)
_TRANSPORTS = range(3)  # unspecified, stream, datagram
_ADDRESS_BYTES = {_INET: 4, _INET6: 16, _UNIX: 108}
_PORT_BYTES = {_INET: 2, _INET6: 2, _UNIX: 0}
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_PORT_MAX = 65_535


class ProxyHeader(NamedTuple):
    """`address` is the peer's, or empty to use the connection's own; `length` is the header's, in bytes."""

    address: str
    length: int


NO_HEADER = ProxyHeader("", 0)


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Return the header at the start of `data`, `NO_HEADER` if there is none, None if more bytes are needed.

    It never needs more bytes than the longest header has. Raises `FrameError`.
    """
    if data.startswith(_V1):
        return _parse_v1(data)
    if data.startswith(_V2):
        return _parse_v2(data)
    if _V1.startswith(data) or _V2.startswith(data):
        return None
    return NO_HEADER


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, V1_BYTES_MAX)
    if end < 0:
        if len(data) >= V1_BYTES_MAX:
            raise _invalid(f"no end of line within {V1_BYTES_MAX} bytes")
        return None
    length = end + 2
    family, _, rest = data[len(_V1) : end].partition(b" ")
    if family == b"UNKNOWN":
        return ProxyHeader("", length)
    if family not in (b"TCP4", b"TCP6"):
        raise _invalid("got another family, expected TCP4, TCP6 or UNKNOWN")
    fields = rest.decode("latin-1").split(" ")
    if len(fields) != 4:
        raise _invalid(f"got {len(fields)} fields, expected two addresses and two ports")
    source, destination, *ports = fields
    address = _v1_address(family, source)
    _v1_address(family, destination)
    if not all(_PORT.fullmatch(port) and int(port) <= _PORT_MAX for port in ports):
        raise _invalid(f"got another port, expected 0 to {_PORT_MAX}")
    return ProxyHeader(address, length)


def _v1_address(family: bytes, text: str) -> str:
    address = None
    if (":" in text) == (family == b"TCP6") and "%" not in text:
        address = parse_address(text)
    if address is None:
        raise _invalid(f"got another address, expected one of {family.decode()}")
    return str(address)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_START_BYTES:
        return None
    version, command = divmod(data[12], 16)
    family, transport = divmod(data[13], 16)
    rest_bytes = int.from_bytes(data[14:16])
    if version != 2 or command not in (_LOCAL, _PROXY):
        raise _invalid(f"got version {version} and command {command}, expected version 2 and command 0 or 1")
    if rest_bytes > V2_REST_BYTES_MAX:
        raise _invalid(f"got {rest_bytes} bytes of addresses and TLVs, expected at most {V2_REST_BYTES_MAX}")
    length = _V2_START_BYTES + rest_bytes
    if len(data) < length:
        return None
    if command == _LOCAL:
        return ProxyHeader("", length)
    if family > _UNIX or transport not in _TRANSPORTS:
        raise _invalid(f"got family {family} and transport {transport}, expected 0 to 3 and 0 to 2")
    if family == _UNSPEC or not transport:
        return ProxyHeader("", length)
    size = _ADDRESS_BYTES[family]
    if rest_bytes < 2 * (size + _PORT_BYTES[family]):
        raise _invalid(f"got {rest_bytes} bytes, too few for the addresses of family {family}")
    source = data[_V2_START_BYTES : _V2_START_BYTES + size]
    if family == _UNIX:
        return ProxyHeader("", length)
    text = ".".join(map(str, source)) if family == _INET else str(IPv6Address(source))
    return ProxyHeader(str(parse_address(text)), length)


def _invalid(detail: str) -> FrameError:
    return FrameError("bad_frame", f"invalid PROXY header: {detail}")
