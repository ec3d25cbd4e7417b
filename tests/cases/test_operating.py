"""What an operator does with a server, and what the server logs, with the real commands."""

import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases.commands import PATIENCE_S, command, environment, run, serve
from trio_chat.wire.framing import pack


def say(home: Path, address: str, name: str, text: bytes) -> None:
    done = run(home, "join", f"{name}@{address}", "--tokens", "none", stdin=text)
    assert done.returncode == 0, done.stderr


def test_refusals_are_counted_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = ("--journal", "memory", "--no-web", "--max-connections", "1")
    with log.open("wb") as stderr, serve(tmp_path, *options, stderr=stderr) as server:
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as member:
            member.sendall(pack([b'{"type":"hello","version":1,"name":"ada"}']))
            assert b"welcome" in member.recv(1_000)
            for _ in range(5):
                with socket.create_connection(("127.0.0.1", server.port)) as late:
                    late.settimeout(PATIENCE_S)
                    assert b"too_many_connections" in late.recv(1_000)
        assert server.stop() == 0
    lines = log.read_text().splitlines()
    refused = [line for line in lines if "refused: the server is full" in line]
    assert 1 <= len(refused) <= 2 and all(" WARNING " in line and "127.0.0.1" in line for line in refused)
    counts = [int(line.partition(" WARNING ")[2].split()[0]) for line in refused]
    assert sum(counts) == 5
    assert all("Traceback" not in line for line in lines)


@pytest.mark.parametrize("level", ["info", "warning"])
def test_connections_are_logged_with_the_option(level: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = ("--journal", "memory", "--log-level", level)
    with log.open("wb") as stderr, serve(tmp_path, *options, stderr=stderr) as server:
        say(tmp_path, server.address, "ada", b"a secret\n")
        assert server.stop() == 0
    lines = [line.partition(" INFO ")[2] for line in log.read_text().splitlines()]
    whole = ["ada connected: session 1 from 127.0.0.1", "ada disconnected (quit): session 1 from 127.0.0.1"]
    assert lines == (whole if level == "info" else [])
    assert "secret" not in log.read_text()


def test_a_room_is_removed_and_the_others_are_as_they_were(tmp_path: Path) -> None:
    journal = str(tmp_path / "journal.db")
    with serve(tmp_path, "--journal", journal) as server:
        say(tmp_path, server.address, "ada", b"kept\n")
        done = run(
            tmp_path, "join", f"bob@{server.address}", "--room", "Attic", "--tokens", "none", stdin=b"x\n"
        )
        assert done.returncode == 0, done.stderr
        beside = run(tmp_path, "journal", "prune", "--journal", journal, "--room", "attic")
        assert beside.returncode == 2 and beside.stderr.count(b"\n") == 1
        assert server.stop() == 0
    before = run(tmp_path, "journal", "export", "--journal", journal, "--room", "lobby").stdout
    done = run(tmp_path, "journal", "prune", "--journal", journal, "--room", "#ATTIC")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"Attic: 1 to 1, and the room itself\n1 room and 1 entry removed\n"
    log = tmp_path / "log"
    with log.open("wb") as stderr, serve(tmp_path, "--journal", journal, stderr=stderr) as server:
        assert server.stop() == 0
    assert log.read_bytes() == b"", "no room got a new epoch"
    assert run(tmp_path, "journal", "export", "--journal", journal).stdout == before
    assert run(tmp_path, "journal", "check", "--journal", journal).returncode == 0


def test_a_backup_to_a_pipe_works_while_a_server_runs(tmp_path: Path) -> None:
    journal, copy = tmp_path / "journal.db", tmp_path / "copy.db"
    with serve(tmp_path, "--journal", str(journal)) as server:
        say(tmp_path, server.address, "ada", b"kept\n")
        done = run(tmp_path, "journal", "backup", "--journal", str(journal), "-")
        assert (done.returncode, done.stderr) == (0, b"")
        copy.write_bytes(done.stdout)
        assert server.stop() == 0
    assert b"nothing wrong" in run(tmp_path, "journal", "check", "--journal", str(copy)).stdout
    text, again = (
        run(tmp_path, "journal", "export", *option, "--journal", str(path)).stdout
        for path, option in ((journal, ()), (copy, ("-o", "-")))
    )
    assert text == again and b'"kept"' in text


def test_a_load_test_of_another_machine_asks_at_a_terminal(tmp_path: Path) -> None:
    """At a terminal `n` is typed; without a terminal it does not ask."""
    done = run(tmp_path, "loadtest", "203.0.113.9:5555", stdin=b"y\n")
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"--yes" in done.stderr
    controller, terminal = pty.openpty()
    try:
        with subprocess.Popen(
            command("loadtest", "203.0.113.9:5555"),
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=terminal,
            env=environment(tmp_path),
        ) as process:
            os.write(controller, b"n\n")
            try:
                assert process.wait(PATIENCE_S) == 2
            finally:
                process.kill()
        output = os.read(controller, 10_000)
    finally:
        os.close(terminal)
        os.close(controller)
    assert b"Start it? [y/N]: " in output and b"trio-chat: not started" in output


@pytest.mark.parametrize("module", ["click", "trio_chat.cli.serve", "trio"])
@pytest.mark.parametrize("name", ["loadtest", "join", "serve"])
def test_ctrl_c_after_an_import_has_the_usual_status(module: str, name: str, tmp_path: Path) -> None:
    """Python prints the modules that it imports; the signal is sent when it prints this one."""
    python, *rest = command(name)
    heeding = "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", heeding, python, "-X", "importtime", *rest],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(tmp_path, TRIO_CHAT_PORT="0", TRIO_CHAT_JOURNAL="memory"),
    ) as process:
        assert process.stderr is not None
        try:
            imported = b""
            while imported.rpartition(b"|")[2].strip() != module.encode():
                imported = process.stderr.readline()
                assert imported, f"{module} was not imported"
            process.send_signal(signal.SIGINT)
            output = [line for line in process.stderr if not line.startswith(b"import time:")]
            status = process.wait(PATIENCE_S)
        finally:
            process.kill()
    assert (status, output) == (130, [b"trio-chat: interrupted\n"])
