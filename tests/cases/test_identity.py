"""The server id that the real command sends, and messages with white space around them."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.cases.commands import PATIENCE_S, Server, run, serve
from tests.dialects.test_websocket import frame
from trio_chat.dialects.websocket import WebSocketEvents
from trio_chat.wire.framing import FrameReader, pack
from trio_chat.wire.messages import Event, Pong

HELLO = b'{"type":"hello","version":1,"name":"ada"}'
PING = b'{"type":"ping"}'


def welcome_of(server: Server) -> dict[str, object]:
    """Send a hello in frames, and return the welcome."""
    reader = FrameReader()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as connection:
        connection.sendall(pack([HELLO]))
        while True:
            for payload in reader.feed(connection.recv(65_536)):
                welcome: dict[str, object] = json.loads(payload)
                return welcome


def id_of(home: Path, journal: str) -> object:
    """Serve a journal once, and return the server id in the welcome; None if it has none."""
    with serve(home, "--journal", journal) as server:
        welcome = welcome_of(server)
        assert server.stop() == 0
    return welcome.get("server_id")


def test_a_journal_and_its_copies_are_one_server(tmp_path: Path) -> None:
    journal, copy, text = (str(tmp_path / name) for name in ("journal.db", "copy.db", "export.jsonl"))
    first = id_of(tmp_path, journal)
    assert isinstance(first, str) and first
    assert id_of(tmp_path, journal) == first
    assert run(tmp_path, "journal", "backup", "--journal", journal, copy).returncode == 0
    assert id_of(tmp_path, copy) == first
    for options, same in ((["--with-refs"], True), ([], False)):
        exported = run(tmp_path, "journal", "export", "--journal", journal, "-o", text, "--force", *options)
        assert exported.returncode == 0, exported.stderr
        begun = str(tmp_path / f"begun-{same}.db")
        assert run(tmp_path, "journal", "import", "--journal", begun, text).returncode == 0
        assert (id_of(tmp_path, begun) == first) is same
    info = json.loads(run(tmp_path, "journal", "info", "--journal", journal, "--json").stdout)
    assert info["server_id"] == first


def test_a_journal_in_memory_names_no_server(tmp_path: Path) -> None:
    assert id_of(tmp_path, "memory") is None


def test_newlines_around_websocket_messages_do_not_end_the_connection(tmp_path: Path) -> None:
    with serve(tmp_path, "--journal", "memory") as server:
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as connection:
            connection.sendall(
                f"GET /ws HTTP/1.1\r\nHost: {server.address}\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1)
            assert head.startswith(b"HTTP/1.1 101 ")
            connection.sendall(frame(b"\n" + HELLO + b"\r\n"))
            for _ in range(20):
                connection.sendall(frame(PING + b"\n") + frame(b"\n") + frame(b""))
            reader = WebSocketEvents(lambda: bytes(4))
            received: list[Event] = []
            while len(received) < 21:
                data = connection.recv(65_536)
                assert data, f"the server ended the connection after {received}"
                received += reader.feed(data)
            assert received[1:] == [Pong()] * 20
        assert server.stop() == 0
