"""Run `trio-chat serve` on a test's journal: start it, kill it, and start it again on the same port."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import trio

from tests.patience import PATIENCE_S
from tests.server.harness import RawClient
from tests.server.test_faults_sockets import MAIN, Door
from trio_chat.net.link import SocketLink
from trio_chat.wire.messages import Ack, Error, Said, Say

__all__ = ["JOURNAL", "PATIENCE_S", "Served", "enter", "refused", "says", "serve_command", "served", "shown"]

JOURNAL = "journal.db"


class Served:
    """A running server process."""

    def __init__(self, process: trio.Process, door: Door) -> None:
        self.process = process
        self.port = door.port
        self._door = door

    def dial(self) -> RawClient:
        return RawClient(SocketLink(self._door.dial(), ""))

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


def serve_command(directory: Path, *options: str) -> list[str]:
    journal = f"--journal={directory}/{JOURNAL}"
    return [sys.executable, "-c", MAIN, "serve", "--no-rate-limit", journal, *options]


@asynccontextmanager
async def served(
    directory: Path, *, inside: Sequence[str] = (), port: int = 0, options: Sequence[str] = ()
) -> AsyncGenerator[Served]:
    """Run a server on the journal in a directory; kill it at the end if it still runs. `inside` is a command
    prefix that runs it elsewhere."""
    server = await trio.lowlevel.open_process(
        [*inside, *serve_command(directory, f"--port={port}", *options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdout is not None
    try:
        with trio.fail_after(PATIENCE_S):
            first_line = (await server.stdout.receive_some()).partition(b"\n")[0]
            assert first_line.startswith(b"listening"), "it has not started"
            with closing(Door(int(first_line.rpartition(b":")[2]))) as door:
                yield Served(server, door)
    finally:
        server.kill()
        with trio.move_on_after(10, shield=True):
            await server.wait()
            await server.stdout.aclose()


async def refused(directory: Path, *, inside: Sequence[str] = (), status: int = 2) -> str:
    """Start a server that cannot start; return its error, which is one line."""
    command = [*inside, *serve_command(directory, "--port=0")]
    with trio.fail_after(PATIENCE_S):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    said = done.stderr.decode()
    assert (done.returncode, done.stdout, said.count("\n")) == (status, b"", 1), said
    return said.removeprefix("trio-chat: ").strip()


async def enter(server: Served, name: str, token: str = "") -> RawClient:
    """Return a new member of the lobby."""
    peer = server.dial()
    await peer.hello(name, token)
    await peer.join("lobby")
    return peer


async def says(peer: RawClient, text: str, ref: str) -> int:
    """Send a text; return its number, or 0 if it was refused as `unavailable`."""
    peer.send(Say("lobby", text, ref=ref))
    while True:
        match await peer.next():
            case Ack(ref=answered, seq=int(seq)) if answered == ref:
                return seq
            case Error(ref=answered, code=code) if answered == ref:
                assert code == "unavailable"
                return 0
            case _:
                pass


def shown(peer: RawClient) -> dict[int, str]:
    """Return the entries of the lobby that a member has received, each number once and in order."""
    entries = peer.entries("lobby")
    seqs = [entry.seq for entry in entries]
    assert seqs == sorted(set(seqs)), f"each once, in order, not {seqs}"
    return {entry.seq: entry.text for entry in entries if isinstance(entry, Said)}
