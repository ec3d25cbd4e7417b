"""A browser, as far as a server sees one: HTTP over a link in memory, and what its answers say."""

import h11
import trio

from tests.server.harness import ServerHarness
from trio_chat.net.link import Link

__all__ = ["CHROME", "Browser", "get"]

CHROME = (
    b"GET /ws HTTP/1.1\r\n"
    b"Host: localhost:5555\r\n"
    b"Connection: keep-alive, Upgrade\r\n"
    b"Pragma: no-cache\r\n"
    b"Cache-Control: no-cache\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0\r\n"
    b"Upgrade: websocket\r\n"
    b"Origin: http://localhost:5555\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    b"\r\n"
)
"""Its request for a WebSocket, with the key of RFC 6455's example."""


def get(path: str, *headers: str, method: str = "GET", host: str = "localhost:5555") -> bytes:
    """A request as it travels."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Browser:
    """One connection that speaks HTTP."""

    def __init__(self, harness: ServerHarness, *, address: str = "", buffer_bytes: int = 65_536) -> None:
        self.link: Link = harness.dial(address=address, buffer_bytes=buffer_bytes).link
        self.rest = b""
        """What came behind the last answer."""

    def send(self, data: bytes) -> None:
        assert self.link.send_nowait(data) == len(data)

    async def ask(self, data: bytes, *, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Send a request and wait for its answer."""
        self.send(data)
        return await self.answer(method)

    async def answer(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """The next answer: its status, its headers, its body. What comes behind it stays to be read."""
        reader = h11.Connection(h11.CLIENT)
        headers_sent = [("Host", "x"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
        reader.send(h11.Request(method=method, target="/", headers=headers_sent))
        reader.send(h11.EndOfMessage())
        if self.rest:
            reader.receive_data(self.rest)
        status, headers, body = 0, {}, b""
        while True:
            event = reader.next_event()
            if event is h11.NEED_DATA:
                reader.receive_data(await self.link.receive_some())
            elif isinstance(event, h11.Response | h11.InformationalResponse):
                status = event.status_code
                headers = {name.decode(): value.decode() for name, value in event.headers}
                if status == 101:
                    break
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                break
        self.rest = reader.trailing_data[0]
        return status, headers, body

    async def closed(self) -> bool:
        """Wait for the end; whether nothing came before it."""
        with trio.fail_after(100):
            return not self.rest and not await self.link.receive_some()
