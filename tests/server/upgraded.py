"""The client's half of WebSocket from its first byte: the upgrade, and then the dialect."""

from random import Random

from trio_chat.dialects.websocket import WebSocketEvents
from trio_chat.wire.messages import Event

__all__ = ["Upgraded"]

_ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Upgraded(WebSocketEvents):
    """To be given all that a server says to `request`."""

    __slots__ = ("_head",)

    request = (
        b"GET /ws HTTP/1.1\r\nHost: [::1]\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )

    def __init__(self) -> None:
        random = Random(0)
        super().__init__(lambda: random.randbytes(4))
        self._head: bytes | None = b""

    def feed(self, data: bytes) -> list[Event]:
        if self._head is not None:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return []
            assert head.startswith(b"HTTP/1.1 101 ") and _ACCEPT.lower() in head.lower(), head
            self._head = None
        return super().feed(data)
