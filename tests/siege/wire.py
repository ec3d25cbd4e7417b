"""Bytes as an attacker sends them: frames, WebSocket frames and PROXY headers, right or wrong on purpose."""

from __future__ import annotations

import json
import socket
import struct

__all__ = [
    "command",
    "frame",
    "payload_of",
    "proxy_v1",
    "proxy_v2",
    "repeated",
    "upgrade_request",
    "websocket_frame",
]

TEXT, PING, PONG = 0x1, 0x9, 0xA
CHUNK_BYTES = 65_536
_PROXY_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def frame(payload: bytes) -> bytes:
    """Return a frame of the wire protocol."""
    return struct.pack(">I", len(payload)) + payload


def payload_of(kind: str, **fields: object) -> bytes:
    """Return a command as JSON, without spaces."""
    return json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":")).encode()


def command(kind: str, **fields: object) -> bytes:
    """Return a whole frame with one command."""
    return frame(payload_of(kind, **fields))


def repeated(data: bytes, at_least: int = CHUNK_BYTES) -> bytes:
    """Repeat whole units until they fill a chunk, so that a fast sender makes few calls."""
    return data * max(1, -(-at_least // len(data)))


def websocket_frame(payload: bytes, opcode: int = TEXT, *, final: bool = True) -> bytes:
    """Return a client's WebSocket frame. Its mask is zero, so the payload stays as it is."""
    head = bytes([(0x80 if final else 0) | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([0x80 | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", len(payload))
    return head + bytes(4) + payload


def upgrade_request(port: int, headers: dict[str, str] | None = None) -> bytes:
    """Return the request that makes a connection a WebSocket."""
    lines = [
        "GET /ws HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def proxy_v1(source: str, port: int) -> bytes:
    """Return the text form of the PROXY header for a client with this address."""
    family, to = ("TCP6", "::1") if ":" in source else ("TCP4", "127.0.0.1")
    return f"PROXY {family} {source} {to} 40000 {port}\r\n".encode()


def proxy_v2(source: str, port: int) -> bytes:
    """Return the binary form of the PROXY header for a client with this address."""
    if ":" in source:
        family, kind, to = 0x21, socket.AF_INET6, "::1"
    else:
        family, kind, to = 0x11, socket.AF_INET, "127.0.0.1"
    addresses = socket.inet_pton(kind, source) + socket.inet_pton(kind, to) + struct.pack(">HH", 40_000, port)
    return _PROXY_V2_SIGNATURE + bytes([0x21, family]) + struct.pack(">H", len(addresses)) + addresses
