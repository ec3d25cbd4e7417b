"""The kinds of standard input: a terminal, lines, or no input."""

import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from trio_chat.terminal.input_kind import InputKind, input_kind


def test_a_pipe_is_lines() -> None:
    reading, writing = os.pipe()
    assert input_kind(reading) is InputKind.LINES
    os.close(writing)
    assert input_kind(reading) is InputKind.LINES
    os.close(reading)


def test_a_socket_is_lines() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert input_kind(here.fileno()) is InputKind.LINES


@pytest.mark.parametrize("size", [0, 1])
def test_a_file_is_lines(tmp_path: Path, size: int) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"x" * size)
    with path.open() as file:
        assert input_kind(file.fileno()) is InputKind.LINES


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY])
def test_the_null_device_is_no_input(flags: int) -> None:
    fd = os.open(os.devnull, flags)  # nohup opens it only for writing
    assert input_kind(fd) is InputKind.NONE
    os.close(fd)


def test_another_device_is_lines() -> None:
    with open("/dev/zero", "rb") as device:
        assert input_kind(device.fileno()) is InputKind.LINES


def test_a_closed_descriptor_is_no_input() -> None:
    assert input_kind(10_000_000) is InputKind.NONE


def test_a_terminal_of_another_session_is_a_terminal() -> None:
    """Reading from it does not stop the process."""
    master, slave = pty.openpty()
    assert input_kind(slave) is InputKind.TERMINAL
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(("is_background", "kind"), [(False, "TERMINAL"), (True, "NONE")])
def test_a_terminal_is_read_in_the_foreground_only(is_background: bool, kind: str) -> None:
    program = f"""
import fcntl, os, sys, termios
from trio_chat.terminal.input_kind import input_kind
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if {is_background}:
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os.setpgid(0, 0)
os.write(1, input_kind(0).name.encode())
os._exit(0)
"""
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdin=slave,
        capture_output=True,
        start_new_session=True,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(master)
    os.close(slave)
    assert (done.stdout.decode(), done.stderr) == (kind, b"")


def test_closed_standard_descriptors_become_the_null_device() -> None:
    program = """
import os
from trio_chat.cli.streams import open_missing
from trio_chat.terminal.input_kind import input_kind
open_missing()
report = os.open(os.environ["REPORT"], os.O_WRONLY)
os.write(report, f"{report} {input_kind(0).name} {os.fstat(1).st_rdev == os.fstat(0).st_rdev}".encode())
"""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, "-c", program],
        env={**os.environ, "REPORT": f"/dev/fd/{writing}"},
        stderr=subprocess.PIPE,
        pass_fds=[writing],
        check=False,
        timeout=PATIENCE_S,
    )
    os.close(writing)
    output = os.read(reading, 100).decode().split()
    os.close(reading)
    assert done.stderr == b""
    assert int(output[0]) > 2, "the next file does not get a standard descriptor"
    assert output[1:] == ["NONE", "True"]
