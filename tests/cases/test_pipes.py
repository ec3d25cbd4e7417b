"""`join` in a pipe, as a service, and with servers of other protocols."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cases.commands import PATIENCE_S, Server, command, environment, run, serve

BELLS = b"\x1b[31mFAILED\x1b[0m\n\x1b]0;title\x07done\n 50%\r100%\nnul \x00\nbell \x07\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serve(tmp_path, "--journal", str(tmp_path / "journal.db")) as server:
        yield server


def texts(home: Path, server: Server) -> list[str]:
    """Stop the server, and return the entries of its journal."""
    assert server.stop() == 0
    exported = run(home, "journal", "export", "--journal", str(home / "journal.db")).stdout
    return [entry["text"] for line in exported.splitlines() if "text" in (entry := json.loads(line))]


@pytest.mark.parametrize(
    ("piped", "sent"),
    [
        (b"before\n/quit\n/nick eva\nafter\n", ["before", "/quit", "/nick eva", "after"]),
        (b"Use%\n/dev/sda1 80%\n//x\n/me waves\n", ["Use%", "/dev/sda1 80%", "//x", "/me waves"]),
        (BELLS, ["FAILED", "done", " 50%100%", "nul \u2400", "bell \u2407"]),
        (b"\xef\xbb\xbfdos\r\n\r\nfile\r\n", ["dos", "file"]),
        (b"caf\xe9\nno end", ["caf\ufffd", "no end"]),
        (b"x" * 5000 + b"\n", ["x" * 4096, "x" * 904]),
    ],
    ids=["commands", "slashes", "controls", "crlf", "not UTF-8", "long"],
)
def test_each_piped_line_is_sent(tmp_path: Path, server: Server, piped: bytes, sent: list[str]) -> None:
    done = run(tmp_path, "join", f"ada@{server.address}", "--tokens", "none", stdin=piped)
    assert (done.returncode, done.stderr) == (0, b"")
    assert texts(tmp_path, server) == sent


def test_lines_of_a_file_and_of_a_socket_are_sent(tmp_path: Path, server: Server) -> None:
    (tmp_path / "lines").write_text("from a file\n")
    with (tmp_path / "lines").open("rb") as file:
        assert run(tmp_path, "join", f"ada@{server.address}", stdin=file).returncode == 0
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"from a socket\n")
        there.shutdown(socket.SHUT_WR)
        assert run(tmp_path, "join", f"ada@{server.address}", stdin=here.fileno()).returncode == 0
    assert texts(tmp_path, server) == ["from a file", "from a socket"]


def test_a_standard_input_that_cannot_be_read_is_an_error(tmp_path: Path, server: Server) -> None:
    with (tmp_path / "lines").open("wb") as only_for_writing:
        done = run(tmp_path, "join", f"ada@{server.address}", stdin=only_for_writing)
    assert done.returncode == 1
    assert done.stderr == b"trio-chat: cannot read standard input: Bad file descriptor\n"


def test_a_name_that_is_taken_is_an_error_in_a_pipe(tmp_path: Path, server: Server) -> None:
    with following(tmp_path, server, stdin=subprocess.DEVNULL):
        done = run(tmp_path, "join", f"ada@{server.address}", "--tokens", "none", stdin=b"lost\n")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert f"trio-chat join NAME@{server.address}" in done.stderr.decode()
    assert texts(tmp_path, server) == []


# --- without input ---------------------------------------------------------------------------------


@contextmanager
def following(
    home: Path, server: Server, stdin: int, *, prefix: tuple[str, ...] = (), stdout: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a `join --json` that has joined the lobby; end it by SIGTERM, and check for status 0."""
    with subprocess.Popen(
        [*prefix, *command("join", f"ada@{server.address}", "--json", "--tokens", "none")],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment(home),
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == b"-- no input to read; showing the rooms until a signal\n"
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
            assert process.stderr.read() == b""
        finally:
            process.kill()


@pytest.mark.parametrize("prefix", [(), ("sh", "-c", 'exec "$@" <&-', "sh")], ids=["null", "closed"])
def test_a_client_without_input_shows_its_room(
    tmp_path: Path, server: Server, prefix: tuple[str, ...]
) -> None:
    with following(tmp_path, server, subprocess.DEVNULL, prefix=prefix) as watcher:
        assert run(tmp_path, "join", f"bob@{server.address}", stdin=b"hello\n").returncode == 0
        assert watcher.stdout is not None
        events = (json.loads(line) for line in iter(watcher.stdout.readline, b""))
        assert next(event for event in events if event["type"] == "said")["text"] == "hello"


def test_a_closed_standard_output_is_one_line_and_no_socket_of_ours(tmp_path: Path, server: Server) -> None:
    closed = ("sh", "-c", 'exec "$@" >&-', "sh")
    done = run(tmp_path, "join", f"ada@{server.address}", stdin=b"said\n", prefix=closed)
    assert done.returncode == 2
    assert done.stderr == b"trio-chat: cannot write to standard output: it is closed\n"
    assert texts(tmp_path, server) == []


_IN_BACKGROUND = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = os.fork()
if child:
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os.setpgid(0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_client_in_the_background_shows_its_room(tmp_path: Path, server: Server) -> None:
    """Reading the terminal would stop the process."""
    master, slave = pty.openpty()
    try:
        with following(tmp_path, server, slave, prefix=(sys.executable, "-c", _IN_BACKGROUND)) as watcher:
            assert watcher.stdout is not None
            assert b'"room"' in watcher.stdout.readline()
    finally:
        os.close(slave)
        os.close(master)


# --- other servers ----------------------------------------------------------------------------------


def answer_first(sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


def answer_a_line(sock: socket.socket) -> None:
    with sock.makefile("rb") as lines:
        lines.readline()
    sock.sendall(b"HTTP/1.0 400 Bad request syntax\r\n\r\n")


@pytest.mark.parametrize(("answer", "name"), [(answer_first, "SSH"), (answer_a_line, "HTTP")])
@pytest.mark.parametrize("args", [("join",), ("loadtest", "--users=1", "--duration=1")], ids=["join", "load"])
def test_a_server_of_another_protocol_is_named(
    tmp_path: Path, answer: Callable[[socket.socket], None], name: str, args: tuple[str, ...]
) -> None:
    def accept() -> None:
        sock, _ = listener.accept()
        with sock:
            answer(sock)
            while sock.recv(65_536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        first, *rest = args
        done = run(tmp_path, first, f"127.0.0.1:{listener.getsockname()[1]}", *rest)
    assert done.returncode in (2, 3)
    assert f"not a trio-chat server: it answered {name}" in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_name_without_a_host_is_suggested_with_one(tmp_path: Path) -> None:
    done = run(tmp_path, "join", "no-such-host-here")
    assert done.returncode == 3
    assert done.stderr.decode().endswith(
        "; to join as no-such-host-here on this machine: trio-chat join no-such-host-here@127.0.0.1\n"
    )
