"""Name a server that is not ours by the first bytes that it sends. Pure.

Most servers send a banner at once, or an error as soon as they read a line that they do not understand. A
client reads those bytes as the header of a frame, which is far over the limit: "a frame of 1397966893 bytes"
says nothing to a user, "it answered SSH" does.
"""

import re

from trio_chat.errors import ForeignServer

__all__ = ["OPENING_BYTES", "Opening", "as_lines", "name_of_protocol"]

OPENING_BYTES = 256
_LINE_CHARACTERS = 60

# The first match names the protocol. Each pattern is anchored at the first byte and reads it a bounded number
# of times; none matches a frame of ours, whose fifth byte begins JSON.
_PATTERNS = [
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"SSH-", "SSH"),
        (rb"HTTP/[0-9]", "HTTP"),
        (rb"(?i:<!doctype html|<html)", "HTTP"),
        (rb"\x00\x00.[\x04\x07]\x00\x00\x00\x00\x00", "HTTP/2"),
        (rb"[\x15\x16]\x03[\x00-\x04]", "TLS"),
        (rb"[2-5][0-9]{2}[ -][^\n]{0,200}(?i:smtp|mail)", "SMTP"),
        (rb"[2-5][0-9]{2}[ -][^\n]{0,200}(?i:ftp)", "FTP"),
        (rb"20[01][ -]", "NNTP"),
        (rb"(?:220|421|554)[ -]", "SMTP or FTP"),
        (rb"\+OK(?!\r?\n)", "POP3"),
        (rb"\* (?:OK|PREAUTH|BYE)\b", "IMAP"),
        (rb":[^ \r\n]{1,100} (?:NOTICE|ERROR|[0-9]{3}) ", "IRC"),
        (rb"NOTICE |ERROR :|PING :", "IRC"),
        (rb"(?:CLIENT_|SERVER_)?ERROR(?: |\r?\n)", "memcached"),
        (rb"-[A-Z]{3,20} |\+(?:OK|PONG)\r\n", "Redis"),
        (rb"INFO \{", "NATS"),
        (rb"RFB [0-9]", "VNC"),
        (rb"@RSYNCD:", "rsync"),
        (rb"AMQP", "AMQP"),
        (rb"(?:SIP|RTSP)/[0-9]", "SIP or RTSP"),
        (rb"<(?:\?xml|stream:)", "XMPP"),
        (rb"..\x00\x00(?:[\x09\x0a][0-9]|\xff)", "MySQL"),
        (rb"E\x00\x00..S", "PostgreSQL"),
        (rb"\xff[\xfb-\xfe]", "Telnet"),
        (rb"\x03\x00\x00.", "RDP"),
    )
]


class Opening:
    """The first bytes of a server, in any pieces. Bytes that begin with `expected` are no foreign server."""

    def __init__(self, expected: bytes = b"") -> None:
        self._expected = expected
        self._data = b""

    def feed(self, data: bytes) -> None:
        """Keep the part of `data` that belongs to the first 256 bytes."""
        self._data += data[: OPENING_BYTES - len(self._data)]

    def error(self) -> ForeignServer | None:
        """Return the error for the server; None if its bytes identify no protocol."""
        expected = self._expected
        if expected and expected.startswith(self._data[: len(expected)]):
            return None
        name = name_of_protocol(self._data)
        if not name:
            return None
        hint = "; if trio-chat is behind this web server, use ws://HOST:PORT" if name == "HTTP" else ""
        return ForeignServer(f"not a trio-chat server: it answered {name}{hint}", protocol=name)


def name_of_protocol(data: bytes) -> str:
    """Return the name of the protocol whose server begins with these bytes, or else the line of text that
    they are, in quotes; empty for bytes that are neither."""
    for pattern, name in _PATTERNS:
        if pattern.match(data):
            return name
    line = data[:OPENING_BYTES].partition(b"\n")[0].rstrip(b"\r").decode("ascii", "replace")
    if not line.strip() or not (line.isascii() and line.isprintable()):
        return ""
    return repr(line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]}...")


def as_lines(payload: bytes) -> bytes:
    """Return JSON with line ends around it, which JSON ignores.

    Servers of line protocols (HTTP, Redis, IRC) answer it at once. Without a line end they would wait for one
    until the client's timeout. The first line end separates the payload from the frame's header, whose NULs
    end a line for Redis.
    """
    return b"\r\n" + payload + b"\r\n\r\n"
