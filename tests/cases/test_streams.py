"""Standard streams that are closed, full, or read by a program that has ended, for every command."""

import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.cases.commands import PATIENCE_S, command, environment, serve
from tests.journal.admin.journals import small

CLOSED, FULL, NO_READER = ">&-", ">/dev/full", "| exec true"
QUICK = ("--users", "2", "--duration", "1", "--rate", "5", "--disconnects", "0")
REPORTS = [
    ("--help",),
    ("--version",),
    ("serve", "--help"),
    ("serve", "--limit", "help"),
    ("journal", "info"),
    ("journal", "info", "--json"),
    ("journal", "export"),
    ("journal", "check"),
    ("journal", "prune", "--before", "90d", "--dry-run"),
    ("journal", "backup", "copy.db", "--force"),
    ("loadtest", *QUICK),
]


def shell(home: Path, redirection: str, *args: str) -> tuple[int, str]:
    """Run a command with its streams redirected; return its exit status and its standard error."""
    line = f'"$@" {redirection}; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", line, "bash", *command(*args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=home,
        env=environment(home, TRIO_CHAT_JOURNAL=str(home / "journal.db")),
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("args", REPORTS, ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "reason"), [(CLOSED, "it is closed"), (FULL, "No space left on device")]
)
def test_a_report_that_cannot_be_written_is_one_line_and_status_2(
    args: tuple[str, ...], redirection: str, reason: str, tmp_path: Path
) -> None:
    small(tmp_path / "journal.db")
    expected = f"trio-chat: cannot write to standard output: {reason}\n"
    assert shell(tmp_path, redirection, *args) == (2, expected)


@pytest.mark.parametrize("args", REPORTS, ids=" ".join)
def test_a_closed_reader_is_not_reported(args: tuple[str, ...], tmp_path: Path) -> None:
    """The exit status of `check` and `loadtest` is their verdict, which needs no reader."""
    small(tmp_path / "journal.db")
    status, err = shell(tmp_path, NO_READER, *args)
    is_verdict = args[0] == "loadtest" or "check" in args
    # If the reader ends only after the report was written, there is no failure.
    assert status in ((0,) if is_verdict else (0, 2))
    assert err == ""


@pytest.mark.parametrize("args", REPORTS, ids=" ".join)
@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&-", "2>&- <&-"])
def test_a_report_needs_no_other_stream(args: tuple[str, ...], redirection: str, tmp_path: Path) -> None:
    small(tmp_path / "journal.db")
    assert shell(tmp_path, redirection, *args) == (0, "")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", ">&- 2>&- <&-", ">/dev/full 2>/dev/full"])
@pytest.mark.parametrize(
    ("args", "status"), [(("serve", "--port", "x"), 2), (("join", "ada@127.0.0.1:1"), 3), (("nope",), 2)]
)
def test_an_error_keeps_its_status_without_standard_error(
    redirection: str, args: tuple[str, ...], status: int, tmp_path: Path
) -> None:
    assert shell(tmp_path, redirection, *args) == (status, "")


def test_an_import_from_a_closed_standard_input_is_one_line(tmp_path: Path) -> None:
    status, err = shell(tmp_path, "<&-", "journal", "import", "-")
    assert (status, err.count("\n")) == (2, 1)
    assert not (tmp_path / "journal.db").exists()


@pytest.mark.parametrize(
    ("redirection", "expected"),
    [
        (CLOSED, "WARNING cannot write to standard output: it is closed; the server continues"),
        (FULL, "WARNING cannot write to standard output: No space left on device; the server continues"),
        (NO_READER, ""),
        (f"{CLOSED} 2>&- <&-", ""),
        (f"{FULL} 2>/dev/full", ""),
    ],
)
def test_a_server_needs_no_standard_stream(redirection: str, expected: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    port = _free_port()
    line = f'"$@" {redirection}; exit "${{PIPESTATUS[0]}}"'
    serve = command("serve", "--port", str(port), "--journal", str(journal))
    with subprocess.Popen(
        ["bash", "-c", line, "bash", *serve],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
        start_new_session=True,
    ) as shell:
        try:
            _wait_healthy(port, shell)
            (server,) = _children(shell.pid)
            os.kill(server, signal.SIGTERM)
            assert shell.wait(PATIENCE_S) == 0
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
        assert shell.stderr is not None
        err = shell.stderr.read().decode()
    assert re.sub(r"^\S+ \S+ ", "", err) == (expected and f"{expected}\n")


def test_a_reader_of_only_the_first_line_does_not_end_the_server(tmp_path: Path) -> None:
    with serve(tmp_path, "--journal", "memory") as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        _wait_healthy(server.port, server.process)
        assert server.stop() == 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _wait_healthy(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server does not respond")


def _children(pid: int) -> list[int]:
    """Return the processes of trio-chat that a shell has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"serve" in Path(f"/proc/{child}/cmdline").read_bytes()]
