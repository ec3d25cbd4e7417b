"""Play what docs/protocol.md says against a real server: its dialogues, and the rate of each command.

The client here is plain: a TCP connection, four bytes of length, JSON. It uses nothing of the project.
"""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from tests.test_protocol_page import part
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import open_server

VARYING = {"session", "token", "server", "epoch", "at"}
# The event by which a command of bob's is known to be done: he is in the room, so he reads his own entries.
DONE = {"hello": "welcome", "join": "room", "say": "said", "topic": "retitled"}
BREAKS = "(the connection breaks"
MANY = 100

Message = dict[str, Any]


class Connection:
    """One connection of a client in plain sockets."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._unread = b""

    async def send(self, payload: str) -> None:
        data = payload.encode()
        await self.stream.send_all(len(data).to_bytes(4, "big") + data)

    async def next(self) -> Message:
        """Return the next event. Raises `trio.EndOfChannel` when the server has closed."""
        size = int.from_bytes(await self._exactly(4), "big")
        event = json.loads(await self._exactly(size))
        assert isinstance(event, dict)
        return event

    async def _exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            data = await self.stream.receive_some()
            if not data:
                assert not self._unread, "the connection ends between two frames"
                raise trio.EndOfChannel
            self._unread += data
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    async def wait_for(self, kind: str, text: str = "") -> Message:
        """Read until an event of this type, with this text if there is one."""
        while True:
            event = await self.next()
            if event["type"] == kind and (not text or event["text"] == text):
                return event


class Matcher:
    """Compare events with the lines of the page; values that vary are bound when first seen."""

    def __init__(self) -> None:
        self._bound: dict[str, object] = {}

    def check(self, shown: object, event: object) -> None:
        if isinstance(shown, list) and isinstance(event, list):
            assert len(shown) == len(event), (shown, event)
            for each, other in zip(shown, event, strict=True):
                self.check(each, other)
        elif isinstance(shown, dict) and isinstance(event, dict):
            assert list(shown) == list(event), (shown, event)
            for field, value in shown.items():
                if field in VARYING:
                    self._bind(f"{field} {value}", event[field], type(value))
                else:
                    self.check(value, event[field])
        else:
            assert shown == event

    def _bind(self, name: str, value: object, kind: type) -> None:
        assert type(value) is kind
        assert self._bound.setdefault(name, value) == value, f"{name} is one value wherever it is shown"

    def fill(self, payload: str) -> str:
        """Return a command of the page, with the values that the server has sent for its own."""
        command = json.loads(payload)
        for field in VARYING & command.keys():
            command[field] = self._bound.get(f"{field} {command[field]}", command[field])
        return json.dumps(command)


class Story:
    """Ada's and bob's connections, and what the lines do with them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._matcher = Matcher()
        self._ada: Connection | None = None
        self._bob: Connection | None = None
        self._said = ""
        self.checked = 0

    async def play(self, line: str) -> None:
        """Do what one line says. An event that differs is an AssertionError."""
        if line.startswith("bob → "):
            await self._bob_sends(line.removeprefix("bob → "))
        elif line.startswith("→ "):
            payload = line.removeprefix("→ ")
            if json.loads(payload)["type"] == "hello":
                assert self._ada is None, "a new connection, while the last connection is open"
                self._ada = await self._connect()
            self._said = json.loads(payload).get("text", "")
            await self._ada_is().send(self._matcher.fill(payload))
        elif line.startswith("← "):
            event = await self._ada_is().next()
            self._matcher.check(json.loads(line.removeprefix("← ")), event)
            self.checked += 1
        else:
            assert line.startswith(BREAKS), f"a line of a dialogue that is none: {line}"
            await self._bob_is().wait_for("said", self._said)
            self._ada_is().stream.socket.close()
            self._ada = None
            while "left" not in await self._bob_is().wait_for("presence"):
                pass

    async def end(self) -> None:
        """Require that the server has closed Ada's connection, behind the last line."""
        with pytest.raises(trio.EndOfChannel):
            await self._ada_is().next()

    def close(self) -> None:
        """Close the connections that are open."""
        for connection in (self._ada, self._bob):
            if connection is not None:
                connection.stream.socket.close()

    async def _bob_sends(self, payload: str) -> None:
        command = json.loads(payload)
        if command["type"] == "hello":
            self._bob = await self._connect()
        await self._bob_is().send(payload)
        await self._bob_is().wait_for(DONE[command["type"]], command.get("text", ""))

    async def _connect(self) -> Connection:
        return Connection(await trio.open_tcp_stream("127.0.0.1", self._port))

    def _ada_is(self) -> Connection:
        assert self._ada is not None, "the dialogue says hello first"
        return self._ada

    def _bob_is(self) -> Connection:
        assert self._bob is not None, "the dialogue says hello first"
        return self._bob


def dialogue() -> list[str]:
    """Return the lines of all dialogues of the page, in their order."""
    blocks = re.findall(r"^```\n(.*?)^```$", part("Example sessions"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


async def play(lines: list[str]) -> int:
    """Play the lines against a new server; return how many events were compared."""
    async with open_server(Config(port=0)) as server:
        story = Story(int(server.addresses[0].rpartition(":")[2]))
        try:
            for line in lines:
                await story.play(line)
            await story.end()
        finally:
            story.close()
    return story.checked


def test_dialogues_are_what_a_server_answers() -> None:
    lines = dialogue()
    checked = trio.run(play, lines)
    assert checked == sum(line.startswith("← ") for line in lines) > 15


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        ('"head":5,"members":2', '"head":4,"members":2'),
        ('"resumed":false,"first":1,"head":5', '"resumed":true,"first":1,"head":5'),
        ('"after":0,"next":4', '"after":0,"next":3'),
        ('"ref":"q8Zk-4","room":"lobby","seq":4', '"ref":"q8Zk-4","room":"lobby","seq":6'),
        ('"epoch":"3mJx0fKq","resumed":true', '"epoch":"anotherone","resumed":true'),
    ],
)
def test_a_dialogue_that_differs_is_found(shown: str, wrong: str) -> None:
    lines = dialogue()
    spoilt = [line.replace(shown, wrong) for line in lines]
    if "anotherone" in wrong:  # bound to one value already where it is shown first: as two names for one
        spoilt = [line.replace('"epoch":"3mJx0fKq","ref"', '"epoch":"anotherone","ref"') for line in spoilt]
    assert spoilt != lines
    with pytest.raises((AssertionError, ExceptionGroup)) as caught:
        trio.run(play, spoilt)
    assert caught.group_contains(AssertionError) or caught.errisinstance(AssertionError)


EXAMPLES: dict[str, Message] = {
    "hello": {"version": 1, "name": "eve"},
    "join": {"room": "lobby"},
    "leave": {"room": "elsewhere"},
    "say": {"room": "lobby", "text": "a"},
    "topic": {"room": "lobby", "text": "a"},
    "whisper": {"to": "ada", "text": "a"},
    "rename": {"name": "ada"},
    "who": {"room": "lobby"},
    "rooms": {},
    "history": {"room": "lobby"},
    "search": {"text": "a"},
    "typing": {"room": "lobby"},
    "ping": {},
}
BURSTS = {"talk": "talk_burst", "rooms": "rooms_burst", "questions": "questions_burst"}


def rates() -> list[tuple[str, str]]:
    """Return each command of the overview, and the kind of rate that the page says it is charged to."""
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \| .* \| .* \|$", part("Commands"), re.MULTILINE)
    return [(name, cell.split()[0].strip(";,")) for name, cell in rows if name != "quit"]


@asynccontextmanager
async def welcomed(limits: Limits) -> AsyncGenerator[Connection]:
    """A connection that is in the lobby, at a server with these limits."""
    async with open_server(Config(port=0, limits=limits)) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            ada = Connection(stream)
            await ada.send('{"type":"hello","version":1,"name":"ada"}')
            await ada.wait_for("welcome")
            await ada.send('{"type":"join","room":"lobby"}')
            await ada.wait_for("room")
            yield ada


async def is_limited(name: str, small: set[str]) -> bool:
    """Send a command three times where the rates of `small` grant two; return whether any of them was
    refused."""
    bursts = {burst: 2 if kind in small else MANY for kind, burst in BURSTS.items()}
    limits = Limits(**bursts, talk_per_s=1, rooms_per_s=1, questions_per_s=1)
    refused = False
    async with welcomed(limits) as ada:
        for _ in range(3):
            await ada.send(json.dumps({"type": name, **EXAMPLES[name]}))
        await ada.send('{"type":"ping","n":1}')
        while (event := await ada.next()) != {"type": "pong", "n": 1}:
            if event["type"] == "error" and event["code"] == "rate_limited":
                assert event["retry_after_s"] >= 1
                refused = True
        await ada.send('{"type":"quit"}')
        await ada.wait_for("bye")
    return refused


@pytest.mark.parametrize(("name", "kind"), rates())
def test_each_command_is_charged_to_the_rate_of_the_page(name: str, kind: str) -> None:
    def run(small: set[str]) -> bool:
        # The clock is a hundred times slower, so no rate grows back while the test runs. It must not stand
        # still, since a search pauses between its steps.
        return trio.run(is_limited, name, small, clock=trio.testing.MockClock(rate=0.01))

    assert run({kind}) == (kind in BURSTS)
    assert not run(BURSTS.keys() - {kind})
