"""`trio-chat loadtest` ended by people and programs, and on a terminal that cannot move its cursor."""

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cases.commands import PATIENCE_S, command, environment

SHORT = ("--users", "3", "--duration", "1", "--rate", "20", "--disconnects", "0")


def loadtest(home: Path, *args: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command("loadtest", *args),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(home, PYTHONPROFILEIMPORTTIME="1"),
    )


@pytest.mark.parametrize(
    "module", ["click", "trio_chat.cli.loadtest", "rich.console", "loadtest.command", "loadtest.stats"]
)
def test_ctrl_c_while_loading_is_exit_130_and_one_line(module: str, tmp_path: Path) -> None:
    """The interpreter prints each imported module on standard error."""
    with loadtest(tmp_path, *SHORT) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.split()[-1] == module.encode():
                    break
            process.send_signal(signal.SIGINT)
            output = process.stdout.read().decode()
            assert process.wait(PATIENCE_S) == 130
        finally:
            process.kill()
    output = "\n".join(line for line in output.splitlines() if line and not line.startswith("import time:"))
    assert re.fullmatch(
        r"trio-chat: interrupted|INTERRUPTED: stopped while connecting; .* \(exit 130\)", output
    )


def test_a_dumb_terminal_gets_lines_and_no_escapes(tmp_path: Path) -> None:
    near, far = pty.openpty()
    with subprocess.Popen(
        command("loadtest", *SHORT),
        stdin=subprocess.DEVNULL,
        stdout=far,
        stderr=far,
        env=environment(tmp_path, TERM="dumb"),
    ) as process:
        os.close(far)
        output = bytearray()
        try:
            while data := os.read(near, 65_536):
                output += data
        except OSError:  # the process has closed the other end
            pass
        finally:
            process.kill()
            os.close(near)
    lines = output.decode().splitlines()
    assert lines[0] == "connecting: 0 of 3 users are connected"
    assert any(line.startswith("talking ") for line in lines)
    assert "judged" in lines
    assert "\x1b" not in output.decode()
