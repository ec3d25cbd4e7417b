"""The client's half of WebSocket from its first byte: the upgrade, and then the dialect."""

from random import Random

from trio_chat.dialects.websocket import BAD_UTF8, CLOSE_CODES, NOT_TEXT, WebSocketEvents
from trio_chat.wire.messages import Event

__all__ = ["Upgraded"]

_ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Upgraded(WebSocketEvents):
    """The request goes out in front of the first thing that is framed: who says nothing has not asked."""

    __slots__ = ("_head", "_request")

    request = (
        b"GET /ws HTTP/1.1\r\nHost: [::1]\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )

    def __init__(self) -> None:
        random = Random(0)
        super().__init__(lambda: random.randbytes(4))
        self._head: bytes | None = b""
        self._request = self.request

    def frame(self, payload: bytes) -> bytes:
        request, self._request = self._request, b""
        return request + super().frame(payload)

    def feed(self, data: bytes) -> list[Event]:
        if self._head is not None:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return []
            assert head.startswith(b"HTTP/1.1 101 ") and _ACCEPT.lower() in head.lower(), head
            self._head = None
        return super().feed(data)

    def closed_with(self, code: str) -> bool:
        """Whether a close frame has come, with the number of this `bye`; a bad frame may be told closer."""
        closer = (BAD_UTF8, NOT_TEXT) if code == "bad_frame" else ()
        return self._messages.ended and self._messages.close_code in (CLOSE_CODES[code], *closer)
