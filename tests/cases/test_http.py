"""Requests of load balancers and browsers to a real server, and the names that a server can have."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.cases.commands import PATIENCE_S, run, serve
from tests.faults.disks import small_disk

MEMORY = ("--journal", "memory")


def ask(port: int, request: str) -> bytes:
    """Return the status line of the response to a request."""
    with closing(socket.create_connection(("127.0.0.1", port), PATIENCE_S)) as connection:
        connection.sendall(request.encode())
        with connection.makefile("rb") as answer:
            return answer.readline().rstrip()


@pytest.mark.parametrize(
    "request_",
    [
        "GET /healthz HTTP/1.0\r\n\r\n",
        "HEAD /healthz HTTP/1.0\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: chat-1.internal\r\n\r\n",
        "GET http://127.0.0.1:{port}/healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: chat-1.internal\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_each_form_of_a_request_gets_a_response(request_: str, tmp_path: Path) -> None:
    with serve(tmp_path, *MEMORY) as server:
        assert ask(server.port, request_.format(port=server.port)) == b"HTTP/1.1 200 OK"


def test_an_input_of_empty_lines_is_closed_without_a_response(tmp_path: Path) -> None:
    with (
        serve(tmp_path, *MEMORY) as server,
        closing(socket.create_connection(("127.0.0.1", server.port), PATIENCE_S)) as connection,
    ):
        connection.sendall(b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""


@pytest.mark.parametrize(
    "name",
    ["c.example:8443", "https://c.example", "a.example,b.example", "*.example", "", "127.1"],
)
def test_a_public_name_that_can_never_match_is_one_line(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--port", "0", *MEMORY, "--public-name", name)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert done.stderr.startswith(b"trio-chat: invalid public name: got ")


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("c.example", "C.example."),
        ("bücher.example", "xn--bcher-kva.example"),
        ("c.example", "c.example:443"),
    ],
)
def test_a_public_name_matches_what_a_browser_sends(name: str, host: str, tmp_path: Path) -> None:
    with serve(tmp_path, *MEMORY, "--public-name", name) as server:
        assert ask(server.port, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n") == b"HTTP/1.1 200 OK"
        assert ask(server.port, "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n").startswith(b"HTTP/1.1 421 ")


def test_a_start_on_a_full_disk_has_the_status_for_a_retry(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with small_disk(home) as disk:
        disk.fill()
        arguments = ("serve", "--port", "0", "--journal", f"{home}/journal.db")
        done = run(tmp_path, *arguments, prefix=disk.inside([]))
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (75, b"", 1)
        assert done.stderr.startswith(f"trio-chat: cannot keep a journal in {home}/journal.db: ".encode())
        disk.free()
        with serve(tmp_path, "--journal", f"{home}/journal.db", prefix=disk.inside([])) as server:
            assert server.stop() == 0
