"""Start a server for the run, as a process, when no address is given."""

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
# The server ends with this process, even if this process is killed: then the server's standard input ends.
# (PR_SET_PDEATHSIG would send the signal already when the thread that started the server ends.)
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
    """Run `trio-chat serve` during the block, and yield its port.

    It listens on a free port, with its journal in memory and without a rate limit. Raises `CannotRun` if it
    does not start.
    """
    command = [
        # -P: otherwise Python would also import modules from the current directory.
        *(sys.executable, "-P", "-c", _MAIN, "serve", "--host", "127.0.0.1", "--port", "0"),
        *("--journal", "memory", "--no-rate-limit"),
        *("--max-connections", str(users + SPARE_CONNECTIONS)),
    ]
    # The user's settings are meant for the user's own server.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TRIO_CHAT_")}
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # Ctrl-C goes to this process only, which then ends the server
    )
    try:
        yield await _port(process)
    finally:
        with trio.CancelScope(shield=True):
            await _end(process)


async def _port(process: trio.Process) -> int:
    """Wait for the first line of the server, and return the port in it."""
    assert process.stdout is not None
    output = b""
    with trio.move_on_after(START_S):
        while True:
            data = await process.stdout.receive_some()
            output += data
            if not data or b"\n" in output:
                break
    found = re.match(rb"listening on tcp://127\.0\.0\.1:(\d+)\n", output)
    if found is None:
        raise CannotRun(
            "cannot start a server for the run; start `trio-chat serve --no-rate-limit` and pass its address"
        )
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
