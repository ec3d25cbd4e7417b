"""A server of one's own, as a process: what is measured when no address is given."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from loadtest.scenario import CannotRun

__all__ = ["own_server"]

START_S = 20.0
STOP_S = 12.0
SPARE_CONNECTIONS = 100
# Ends with this process, also when that is killed in a way that no `finally` sees: then its input ends.
# (Linux can tell a child of its parent's death, but takes the thread that has started it for the parent.)
_MAIN = """
import os, signal, threading

def watch():
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=watch, daemon=True).start()
from trio_chat.cli import main
main(prog_name="trio-chat")
"""


@asynccontextmanager
async def own_server(users: int) -> AsyncGenerator[int]:
    """`trio-chat serve` for as long as the block lasts: on a free port, with a journal in memory, and
    nobody too fast. Its port. Raises `CannotRun` when it does not start."""
    command = [
        # -P: without it Python would look for modules in whatever directory this is.
        *(sys.executable, "-P", "-c", _MAIN, "serve", "--host", "127.0.0.1", "--port", "0"),
        *("--journal", "memory", "--no-rate-limit"),
        *("--max-connections", str(users + SPARE_CONNECTIONS)),
    ]
    # The user's own settings are for the user's own server.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TRIO_CHAT_")}
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # Ctrl-C is for us: we end it when we have ended
    )
    try:
        yield await _port(process)
    finally:
        with trio.CancelScope(shield=True):
            await _end(process)


async def _port(process: trio.Process) -> int:
    """Where it listens, as its first line says."""
    assert process.stdout is not None
    said = b""
    with trio.move_on_after(START_S):
        while True:
            data = await process.stdout.receive_some()
            said += data
            if not data or b"\n" in said:
                break
    found = re.match(rb"listening on tcp://127\.0\.0\.1:(\d+)\n", said)
    if found is None:
        raise CannotRun("the server of our own did not start: try `trio-chat serve`, and its address")
    return int(found[1])


async def _end(process: trio.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    with trio.move_on_after(STOP_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
        with trio.move_on_after(STOP_S):
            await process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            await trio.aclose_forcefully(pipe)
