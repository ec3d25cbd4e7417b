"""Run the real commands in their own processes, with a time limit, on port 0."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.patience import PATIENCE_S

__all__ = ["PATIENCE_S", "Server", "command", "environment", "run", "serve"]


def command(*args: str | bytes) -> list[str | bytes]:
    """Return the command line that runs `trio-chat` with these arguments in this Python."""
    return [sys.executable, "-P", "-m", "trio_chat", *args]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return this environment without settings of trio-chat, with `home` as the home directory."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TRIO_CHAT_", "XDG_"))}
    return {**kept, "HOME": str(home), **more}


def run(
    home: Path,
    *args: str | bytes,
    stdin: bytes | IO[bytes] | int = b"",
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run `trio-chat` to its end; `prefix` is a command that runs it, if there is one.

    Raises:
        subprocess.TimeoutExpired: It ran for PATIENCE_S.
    """
    data = stdin if isinstance(stdin, bytes) else None
    with subprocess.Popen(
        [*prefix, *command(*args)],
        stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home) if env is None else dict(env),
    ) as process:
        try:
            out, err = process.communicate(data, PATIENCE_S)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class Server:
    """A running `trio-chat serve`."""

    def __init__(self, process: subprocess.Popen[bytes], first_line: str) -> None:
        self.process = process
        self.first_line = first_line
        self.port = int(first_line.rpartition(":")[2])

    @property
    def address(self) -> str:
        """HOST:PORT, for `join`."""
        return f"127.0.0.1:{self.port}"

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Send a signal, wait, and return the exit status.

        Raises:
            subprocess.TimeoutExpired: It did not end within PATIENCE_S.
        """
        self.process.send_signal(signal_number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def serve(
    home: Path,
    *args: str | bytes,
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    stderr: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[Server]:
    """Run `trio-chat serve` on a free port during the block; kill it if it still runs at the end."""
    with subprocess.Popen(
        [*prefix, *command("serve", "--port", "0", *args)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment(home) if env is None else dict(env),
    ) as process:
        assert process.stdout is not None
        try:
            first_line = process.stdout.readline().decode().rstrip("\n")
            assert first_line.startswith("listening on tcp://"), f"serve printed {first_line!r}"
            yield Server(process, first_line)
        finally:
            process.kill()
