"""Run proxies as processes of a test, configured by the blocks of docs/operations.md."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.cases.commands import PATIENCE_S, environment

__all__ = ["LOG", "NAME", "Certificate", "Visitor", "block", "make_certificate", "needs", "running"]

NAME = "chat.example.org"
LOG = "proxy.log"  # inside the directory of a proxy
PAGE = Path(__file__).parent.parent.parent / "docs" / "operations.md"
STARTS = 3  # another process may take a free port before it is used
LOOPBACK = "127.0.0.1"


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where a program is not installed."""
    found = shutil.which(program, path=_path())
    return pytest.mark.skipif(found is None, reason=f"{program} is not installed")


def _path() -> str:
    """Return the search path; Debian installs nginx and haproxy in directories that only root has in it."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])


def block(language: str, number: int) -> str:
    """Return a fenced block of docs/operations.md by its language and its index, counted from 0."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found[number])


class Certificate(NamedTuple):
    """The files of a certificate for NAME, and a TLS context that trusts its authority."""

    chain: Path
    key: Path
    both: Path
    context: ssl.SSLContext


def make_certificate(directory: Path) -> Certificate:
    """Create an authority and a certificate signed by it, as files in a directory."""
    authority = trustme.CA()
    issued = authority.issue_cert(NAME)
    chain, key, both = directory / "chain.pem", directory / "key.pem", directory / "both.pem"
    chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    issued.private_key_and_cert_chain_pem.write_to_path(str(both))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Certificate(chain, key, both, context)


def free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    with closing(socket.socket()) as chosen:
        chosen.bind((LOOPBACK, 0))
        return int(chosen.getsockname()[1])


@contextmanager
def running(
    directory: Path, configure: Callable[[int], str], command: Callable[[Path], Sequence[str]]
) -> Iterator[int]:
    """Run a proxy during the block, as a child process of the test; yield its port.

    `configure` returns its configuration for a port; `command` returns the command line for that file.
    """
    file, log = directory / "proxy.conf", directory / LOG
    for _ in range(STARTS):
        port = free_port()
        file.write_text(configure(port))
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(file),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(directory, PATH=_path()),
            )
        with process:
            try:
                if _accepts(process, port):
                    yield port
                    return
            finally:
                process.kill()
    raise AssertionError(f"the proxy did not start: {log.read_text(errors='replace')}")


def _accepts(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until a process accepts connections at a port; return False if it ends before that."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with closing(socket.socket()) as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return process.poll() is None
        time.sleep(0.02)  # there is no event for when the process listens
    return False


class Visitor:
    """A client that requests the page below `base` over TLS, as from port 443 of NAME."""

    def __init__(self, port: int, context: ssl.SSLContext, base: str) -> None:
        self.base = base
        self._port = port
        self._context = context

    def get(self, path: str) -> tuple[int, http.client.HTTPMessage, str]:
        """Request a path, which is relative to `base` unless it begins with a slash."""
        target = path if path.startswith("/") else self.base + path
        with closing(http.client.HTTPSConnection(NAME, timeout=PATIENCE_S)) as connection:
            connection.sock = self._context.wrap_socket(self._dial(), server_hostname=NAME)
            connection.request("GET", target)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode(errors="replace")

    def open_websocket(self, forwarded_for: str = "", origin: str = f"https://{NAME}") -> ClientConnection:
        """Open the page's WebSocket; `forwarded_for` is the header of an earlier proxy.

        Raises:
            websockets.exceptions.InvalidStatus: It was refused.
        """
        return connect(
            f"wss://{NAME}{self.base}ws",
            sock=self._dial(),
            ssl=self._context,
            server_hostname=NAME,
            origin=Origin(origin),
            additional_headers={"X-Forwarded-For": forwarded_for} if forwarded_for else None,
            open_timeout=PATIENCE_S,
            close_timeout=1,
            proxy=None,
        )

    def _dial(self) -> socket.socket:
        return socket.create_connection((LOOPBACK, self._port), PATIENCE_S)
