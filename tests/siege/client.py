"""An attacking client: a socket that sends whatever bytes it is given, and reads as little as it needs."""

from __future__ import annotations

import json
import socket
import struct
from contextlib import suppress
from itertools import cycle
from types import TracebackType
from typing import Self

import trio

from tests.siege.wire import command, payload_of, upgrade_request, websocket_frame

__all__ = ["ConnectionLost", "Message", "RawClient"]

Message = dict[str, object]

RECEIVE_BYTES = 65_536
LOOPBACK = "127.0.0.1"


class ConnectionLost(Exception):
    """The server or another task closed the connection, or there is no server."""


class RawClient:
    """One connection, which is closed when its block is left. All its calls raise `ConnectionLost`."""

    def __init__(self, sock: trio.socket.SocketType, port: int) -> None:
        self._sock = sock
        self._port = port
        self._buffer = bytearray()

    @classmethod
    async def connect(cls, port: int, *, source: str = "", receive_bytes: int = 0) -> RawClient:
        """Connect from an address of loopback, with a receive buffer of about so many bytes."""
        sock = trio.socket.socket()
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive_bytes:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            if source:
                await sock.bind((source, 0))
            await sock.connect((LOOPBACK, port))
        except OSError as error:
            sock.close()
            raise ConnectionLost from error
        except BaseException:
            sock.close()
            raise
        return cls(sock, port)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._sock.close()

    def reset(self) -> None:
        """Close so that the server reads an error and not an end."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    # --- sending --------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[await self._sock.send(left) :]
        except (OSError, trio.ClosedResourceError) as error:
            raise ConnectionLost from error

    async def repeat(self, data: bytes) -> None:
        """Send the same bytes as fast as the socket takes them, until the connection is lost."""
        while True:
            await self.send(data)

    async def dribble(self, data: bytes) -> None:
        """Send the same bytes, one in each write, until the connection is lost."""
        for at in cycle(range(len(data))):
            await self.send(data[at : at + 1])

    async def pace(self, data: bytes, bytes_per_s: float) -> None:
        """Send the same bytes at this pace, until the connection is lost."""
        while True:
            await self.send(data)
            await trio.sleep(len(data) / bytes_per_s)

    # --- reading --------------------------------------------------------------------------------------

    async def receive(self) -> bytes:
        """Receive some bytes; at least one."""
        try:
            data = await self._sock.recv(RECEIVE_BYTES)
        except (OSError, trio.ClosedResourceError) as error:
            raise ConnectionLost from error
        if not data:
            raise ConnectionLost
        return data

    async def discard(self) -> None:
        """Read and forget, until the connection is lost. Return then."""
        try:
            while True:
                await self.receive()
        except ConnectionLost:
            return

    async def message(self) -> Message:
        """Return the next message of the frame protocol."""
        while len(self._buffer) < 4 or len(self._buffer) < 4 + (size := self._size()):
            self._buffer += await self.receive()
        payload = self._buffer[4 : 4 + size]
        del self._buffer[: 4 + size]
        message: Message = json.loads(payload)
        return message

    async def message_of(self, *kinds: str) -> Message:
        """Return the next message of one of these types; others are skipped."""
        while True:
            message = await self.message()
            if message["type"] in kinds:
                return message

    async def exchange(self, data: bytes) -> None:
        """Send commands and read until all of them are answered, or until the server says goodbye."""
        lost = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_quietly, data + command("ping"))
            try:
                await self.message_of("pong", "bye")
            except ConnectionLost:
                lost = True
            nursery.cancel_scope.cancel()
        if lost:
            raise ConnectionLost

    async def _send_quietly(self, data: bytes) -> None:
        with suppress(ConnectionLost):  # reading meets it as well
            await self.send(data)

    def _size(self) -> int:
        return int.from_bytes(self._buffer[:4], "big")

    # --- dialogue -------------------------------------------------------------------------------------

    async def hello(self, name: str, token: str = "") -> Message:
        """Say hello. Return the `welcome`; any other answer counts as a lost connection."""
        fields = {"token": token} if token else {}
        await self.send(command("hello", version=1, name=name, **fields))
        answer = await self.message_of("welcome", "error", "bye")
        if answer["type"] != "welcome":
            raise ConnectionLost(str(answer["code"]))
        return answer

    async def join(self, *rooms: str) -> None:
        """Join rooms, all of them in one write. Return once each is answered."""
        await self.send(b"".join(command("join", room=room) for room in rooms))
        for _ in rooms:
            await self.message_of("room", "error")

    async def upgrade(self, name: str = "", headers: dict[str, str] | None = None) -> None:
        """Make the connection a WebSocket, and say hello over it if there is a name."""
        await self.send(upgrade_request(self._port, headers))
        head = b""
        while b"\r\n\r\n" not in head:
            head += await self.receive()
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionLost(head[:40].decode("latin-1"))
        if name:
            await self.send(websocket_frame(payload_of("hello", version=1, name=name)))
            await self.receive()
