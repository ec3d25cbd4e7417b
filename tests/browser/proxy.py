"""A reverse proxy for tests: servers behind one origin, each at a path of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.browser.processes import Server

__all__ = ["Proxy", "proxy"]

HEAD_BYTES_MAX = 16_384
PIECE_BYTES = 65_536


class Proxy:
    """Forward each connection to the server at its path; `routes` may be changed at any time.

    Only the first request head of a connection is read: the path is taken off it, and what asks for no
    upgrade asks the server to close afterwards. All that follows is forwarded as bytes, so WebSockets pass.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.routes: dict[str, Server] = {}
        self._listener = listener
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()

    @property
    def host(self) -> str:
        """HOST:PORT, as it stands in a page's address."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def address(self, path: str = "") -> str:
        """Return what a browser is to open, without the last slash."""
        return f"http://{self.host}{path}"

    def accept(self) -> None:
        """Accept connections until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._forward, client)

    def cut(self) -> None:
        """Cut all connections that there are."""
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _start(self, call: object, *arguments: object) -> None:
        threading.Thread(target=call, args=arguments, daemon=True).start()  # type: ignore[arg-type]

    def _forward(self, client: socket.socket) -> None:
        with self._held(client), suppress(OSError):
            head = self._head(client)
            path = next(
                (path for path in self.routes if f" {path}/".encode() in head.partition(b"\r\n")[0]), None
            )
            if path is None:
                client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with (
                socket.create_connection(("127.0.0.1", self.routes[path].port)) as server,
                self._held(server),
            ):
                server.sendall(self._rewritten(head, path))
                self._start(self._pump, server, client)
                self._pump(client, server)

    @staticmethod
    def _head(client: socket.socket) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(PIECE_BYTES)
            if not piece or len(head) > HEAD_BYTES_MAX:
                raise OSError("no request")
            head += piece
        return head

    @staticmethod
    def _rewritten(head: bytes, path: str) -> bytes:
        head = head.replace(f" {path}/".encode(), b" /", 1)
        return head.replace(b"Connection: keep-alive", b"Connection: close", 1)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                sink.sendall(piece)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def _held(self, each: socket.socket) -> Iterator[None]:
        with self._lock:
            self._sockets.add(each)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(each)
            each.close()


@contextmanager
def proxy() -> Iterator[Proxy]:
    """Run a proxy on a free port for the length of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = Proxy(listener)
        accepting = threading.Thread(target=running.accept, daemon=True)
        accepting.start()
        try:
            yield running
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # to close it would not wake the thread that accepts
            accepting.join()
            running.cut()
