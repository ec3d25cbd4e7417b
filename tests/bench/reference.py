"""A server that does the least a fan-out must do in Python: what it costs, no Python server can save.

    python -m tests.bench.reference direct|shared

One thread, one epoll, frames with a length; no JSON, no rooms, no names, no acks, no journal. Every frame
is sent unchanged to every connection, but one that begins as a `join`, which is answered.

    direct   one send for each delivery
    shared   what one pass of the loop brought is joined into one buffer, which is sent to all

It is a stand-in for the C references of the yardstick where there is no C compiler: ratios within one
run mean the same on any machine, microseconds do not. It ends when it is told to, or when its parent does.
"""

from __future__ import annotations

import select
import socket
import sys

__all__ = ["Reference"]

RECEIVE_BYTES = 65_536
_JOIN = b'{"type":"join"'
_JOINED = b"\0\0\0\x11" + b'{"type":"joined"}'


class _Client:
    __slots__ = ("partial", "send", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.send = sock.send
        self.partial = b""
        self.unsent = bytearray()  # what the kernel would not take


class Reference:
    """The server; `run` never returns."""

    def __init__(self, listener: socket.socket, *, shared: bool) -> None:
        self._listener = listener
        self._shared = shared
        self._clients: dict[int, _Client] = {}
        self._pass: list[bytes] = []
        self._epoll = select.epoll()

    def run(self) -> None:
        listener = self._listener.fileno()
        self._epoll.register(listener, select.EPOLLIN)
        while True:
            for fd, event in self._epoll.poll():
                if fd == listener:
                    self._accept()
                    continue
                client = self._clients.get(fd)
                if client is not None and event & select.EPOLLOUT:
                    self._flush(client)
                if client is not None and event & ~select.EPOLLOUT:
                    self._receive(client)
            if self._pass:
                data = b"".join(self._pass)
                self._pass.clear()
                self._send_to_all(data)

    def _accept(self) -> None:
        try:
            while True:
                sock, _ = self._listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients[sock.fileno()] = _Client(sock)
                self._epoll.register(sock, select.EPOLLIN)
        except BlockingIOError:
            pass

    def _receive(self, client: _Client) -> None:
        try:
            data = client.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            del self._clients[client.sock.fileno()]
            client.sock.close()
            return
        if client.partial:
            data = client.partial + data
        start = 0
        while len(data) - start >= 4:
            end = start + 4 + int.from_bytes(data[start : start + 4], "big")
            if end > len(data):
                break
            if data.startswith(_JOIN, start + 4):
                self._send(client, _JOINED)
            elif self._shared:
                self._pass.append(data[start:end])
            else:
                self._send_to_all(data[start:end])
            start = end
        client.partial = data[start:]

    def _send_to_all(self, data: bytes) -> None:
        for client in self._clients.values():
            self._send(client, data)

    def _send(self, client: _Client, data: bytes) -> None:
        if client.unsent:
            client.unsent += data
            return
        try:
            sent = client.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # gone: reading will say so
            return
        if sent != len(data):
            client.unsent += data[sent:]
            self._epoll.modify(client.sock, select.EPOLLIN | select.EPOLLOUT)

    def _flush(self, client: _Client) -> None:
        try:
            del client.unsent[: client.send(client.unsent)]
        except BlockingIOError:
            return
        except OSError:
            client.unsent.clear()
        if not client.unsent:
            self._epoll.modify(client.sock, select.EPOLLIN)


def main(mode: str) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    listener.setblocking(False)
    sys.stdout.write(f"listening on tcp://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    Reference(listener, shared=mode == "shared").run()


if __name__ == "__main__":
    main(sys.argv[1])
