"""The process of the two witnesses: well-behaved members who chat at a steady pace, within the rates.

    python -m tests.siege.witnesses --port PORT --server-pid PID

It prints `ready` once both are in the room. From then on each witness sends a line at fixed moments, whether
or not the last line has arrived. `drain` on its input announces that the server will stop. At the end of its
input it waits for the lines that are still on their way, and prints one JSON object with all that it
measured. Both witnesses are in one thread of one process, so a latency is measured on one clock.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
import time
from contextlib import suppress

import click

from tests.siege.contract import Moment, WitnessContract
from tests.siege.delay import read_delay
from tests.siege.wire import command

__all__ = ["AUTHORS", "ROOM", "main"]

AUTHORS = ("walt", "wilma")
ROOM = "witnesses"
PERIOD_S = 0.21  # of each witness: 4.8 lines a second, where 5 are allowed
FINISH_S = 10.0
CONNECT_S = 10.0
NICENESS = -10
STDIN = 0


class Witness:
    """One connection: a socket that never blocks, and what has come of a frame."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.sock = socket.create_connection(("127.0.0.1", port), CONNECT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ended = False
        self._buffer = bytearray()

    def enter(self) -> int:
        """Say hello and join the room. Return the room's head."""
        self.sock.sendall(command("hello", version=1, name=self.name) + command("join", room=ROOM))
        while True:
            for event in self.receive():
                if event["type"] == "room":
                    self.sock.setblocking(False)
                    return int(str(event["head"]))
            if self.ended:
                raise OSError("the server closed the connection")

    def receive(self) -> list[dict[str, object]]:
        """Receive what there is. Return the events that are whole now."""
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        self.ended = not data
        self._buffer += data
        events: list[dict[str, object]] = []
        at = 0
        while len(self._buffer) >= at + 4:
            (size,) = struct.unpack_from(">I", self._buffer, at)
            if len(self._buffer) < at + 4 + size:
                break
            events.append(json.loads(self._buffer[at + 4 : at + 4 + size]))
            at += 4 + size
        del self._buffer[:at]
        return events


class Chat:
    """Both witnesses at work, until the end of the input."""

    def __init__(self, port: int, server_pid: int) -> None:
        self.contract = WitnessContract((AUTHORS[0], AUTHORS[1]))
        self.late_s = 0.0
        """How much later than due a line was sent: the noise of the machine, and not of the server."""
        self._server_pid = server_pid
        self._selector = selectors.DefaultSelector()
        self._witnesses = [Witness(name, port) for name in AUTHORS]
        for witness in self._witnesses:
            self.contract.enter(witness.name, witness.enter())
            self._selector.register(witness.sock, selectors.EVENT_READ, witness)
        self._selector.register(STDIN, selectors.EVENT_READ, None)
        self._told = b""

    def run(self) -> None:
        """Chat until the input ends, then wait for the lines on their way."""
        due = time.monotonic()
        turn = 0
        while True:
            now = time.monotonic()
            if now >= due:
                self.late_s = max(self.late_s, now - due)
                self._say(self._witnesses[turn % 2])
                turn += 1
                # A process that was late does not make up for it: its lines would come too fast.
                due = max(due, now - PERIOD_S) + PERIOD_S / 2
            if not self._serve(due - time.monotonic()):
                break
        deadline = time.monotonic() + FINISH_S
        self._selector.unregister(STDIN)
        while self.contract.waiting() and self._selector.get_map() and time.monotonic() < deadline:
            self._serve(0.1)
        self.contract.finish()

    def result(self) -> dict[str, object]:
        lines = [line for lines in self.contract.lines.values() for line in lines if not line.refused]
        return {
            "lines": [(line.sent.at, line.latency_s, line.raw_latency_s) for line in lines],
            "faults": self.contract.faults(),
            "late_s": self.late_s,
        }

    def _say(self, witness: Witness) -> None:
        if witness.ended:
            return
        text, ref = self.contract.add_line(witness.name, self._now())
        data = command("say", room=ROOM, text=text, ref=ref)
        try:
            if witness.sock.send(data) < len(data):
                self._close(witness)
        except OSError:  # the kernel holds hours of these lines, so it is not merely slow
            self._close(witness)

    def _serve(self, timeout_s: float) -> bool:
        """Wait for input. Return False once the runner has closed ours."""
        for key, _ in self._selector.select(max(timeout_s, 0.0)):
            witness = key.data
            if witness is None:
                told = os.read(STDIN, 4_096)
                if not told:
                    return False
                self._told += told
                self.contract.draining = b"drain" in self._told
                continue
            events = witness.receive()
            now = self._now()
            for event in events:
                self.contract.receive(witness.name, event, now)
            if witness.ended:
                self._close(witness)
        return True

    def _now(self) -> Moment:
        return Moment(time.monotonic(), read_delay(self._server_pid, os.getpid()))

    def _close(self, witness: Witness) -> None:
        witness.ended = True
        with suppress(KeyError):
            self._selector.unregister(witness.sock)
            self.contract.lose(witness.name)
        witness.sock.close()


@click.command(help=__doc__)
@click.option("--port", type=int, required=True)
@click.option("--server-pid", type=int, required=True)
def main(port: int, server_pid: int) -> None:
    with suppress(PermissionError):  # only root may; the attackers have a lower priority in any case
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    chat = Chat(port, server_pid)
    click.echo("ready")
    chat.run()
    click.echo(json.dumps(chat.result()))


if __name__ == "__main__":
    main()
