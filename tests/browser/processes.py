"""Who is on the other side of the pages: a real server, to be killed and started anew, and other members."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from trio_chat.wire.framing import pack

__all__ = ["Server", "Terminal", "crowd"]

STOP_S = 15.0
HEARD_S = 15.0
ROOM_FOR_MANY = 4_096  # open files: a crowd is a socket each
_MAIN = "from trio_chat.cli import main; main(prog_name='trio-chat')"


def _command(*args: str) -> list[str]:
    return [sys.executable, "-P", "-c", _MAIN, *args]


def _environment() -> dict[str, str]:
    ours = {key: value for key, value in os.environ.items() if not key.startswith("TRIO_CHAT_")}
    return {**ours, "TRIO_CHAT_TOKENS": "none"}


class Server:
    """`trio-chat serve` on a journal in `directory`: on any port at first, and on the same one ever after."""

    def __init__(self, directory: Path) -> None:
        self.port = 0
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        """What a browser is to open."""
        return f"http://127.0.0.1:{self.port}"

    def take(self, lines: Sequence[dict[str, object]]) -> None:
        """Import rooms and what was said in them; the server must not run yet."""
        rooms = sum(line["type"] == "room" for line in lines)
        whole = [
            {"type": "trio_chat_journal", "version": 1, "refs": False},
            *lines,
            {"type": "end", "rooms": rooms, "entries": len(lines) - rooms},
        ]
        subprocess.run(
            _command("journal", "import", f"--journal={self._journal}", "-"),
            input="".join(json.dumps(line) + "\n" for line in whole),
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
            env=_environment(),
            timeout=STOP_S,
        )

    def texts(self) -> dict[str, list[str]]:
        """What was said in each room, topics too, as its journal has it; the server may run."""
        exported = subprocess.run(
            _command("journal", "export", f"--journal={self._journal}"),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=_environment(),
            timeout=STOP_S,
        )
        texts: dict[str, list[str]] = {}
        for line in map(json.loads, exported.stdout.splitlines()):
            if "seq" in line:
                texts.setdefault(line["room"], []).append(line["text"])
        return texts

    def start(self) -> None:
        """Returns when it listens."""
        with (self._directory / "server.log").open("a") as log:
            process = subprocess.Popen(
                _command(
                    *("serve", f"--port={self.port}", f"--journal={self._journal}", "--no-rate-limit"),
                    *("--limit", "connections_per_address=2000"),
                ),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(),
            )
        self._process = process
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, (self._directory / "server.log").read_text()
        self.port = int(said.rpartition(":")[2])

    def kill(self) -> None:
        """As a crash would: it is told nothing."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it do nothing; what is sent to it waits in its sockets."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        if self._process is not None:
            self.resume()
            self._end(signal.SIGTERM)

    @property
    def _journal(self) -> Path:
        return self._directory / "journal.db"

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        assert process is not None, "it does not run"
        with process:
            process.send_signal(number)
            try:
                process.wait(STOP_S)
            finally:
                process.kill()


class Terminal:
    """`trio-chat join --json` as a process: what is written to it is said, and what comes is at hand."""

    def __init__(self, server: Server, name: str, *rooms: str) -> None:
        self._process = subprocess.Popen(
            _command(
                "join",
                f"{name}@127.0.0.1:{server.port}",
                "--json",
                "--commands",
                *(f"--room={room}" for room in rooms),
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(),
        )
        self._events: list[dict[str, object]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        for room in rooms:
            self._wait(lambda room=room: self._has("room", room=room))  # type: ignore[misc]

    def say(self, *lines: str) -> None:
        """Type so many lines."""
        assert self._process.stdin is not None
        for line in lines:
            self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self, *texts: str) -> list[str]:
        """Wait until the last of these texts was heard; returns all that were, in their order."""
        self._wait(lambda: self._has("said", text=texts[-1]))
        with self._news:
            return [str(event["text"]) for event in self._events if event["type"] == "said"]

    def leave(self) -> None:
        """The end of its input: it has been acked all that it said, and is gone."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(STOP_S)
            finally:
                self._process.kill()
        self._reader.join(STOP_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self.leave()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._events.append(json.loads(line))
                self._news.notify_all()

    def _has(self, kind: str, **fields: str) -> bool:
        wanted = fields.items()
        return any(event["type"] == kind and wanted <= event.items() for event in self._events)

    def _wait(self, until: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(until, HEARD_S), f"it heard only {self._events}"


@contextmanager
def crowd(server: Server, room: str, names: Sequence[str]) -> Iterator[None]:
    """So many members in a room, who say nothing and read nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < ROOM_FOR_MANY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(ROOM_FOR_MANY, hard), hard))
    with ExitStack() as sockets:
        for name in names:
            member = sockets.enter_context(socket.create_connection(("127.0.0.1", server.port), HEARD_S))
            hello = {"type": "hello", "version": 1, "name": name}
            member.sendall(
                pack([json.dumps(each).encode() for each in (hello, {"type": "join", "room": room})])
            )
        yield
