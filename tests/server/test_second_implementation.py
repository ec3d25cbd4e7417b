"""A real server on a real port, and an independent WebSocket client: the `websockets` library."""

import json
from collections.abc import Callable
from urllib.request import urlopen

import pytest
import trio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_elsewhere
from websockets.typing import Origin

from tests.patience import PATIENCE_S
from trio_chat.client import connect
from trio_chat.server.config import Config
from trio_chat.server.serve import open_server
from trio_chat.wire.messages import Said


async def run_beside_server(scenario: Callable[[int], None]) -> None:
    """Run a server, and a function in a thread, which gets the server's port."""
    with trio.fail_after(PATIENCE_S):
        async with open_server(Config(port=0)) as server:
            port = int(server.addresses[0].rpartition(":")[2])
            await trio.to_thread.run_sync(scenario, port)


def url(port: int) -> str:
    return f"ws://127.0.0.1:{port}/ws"


def hello(socket: ClientConnection, name: str) -> None:
    socket.send(json.dumps({"type": "hello", "version": 1, "name": name}))
    welcome = json.loads(socket.recv(PATIENCE_S))
    assert (welcome["type"], welcome["name"]) == ("welcome", name)


def enter(socket: ClientConnection, room: str) -> None:
    """Join a room, and wait for the reply."""
    socket.send(json.dumps({"type": "join", "room": room}))
    while all(json.loads(line)["type"] != "room" for line in str(socket.recv(PATIENCE_S)).split("\n")):
        pass


def last_words(socket: ClientConnection) -> tuple[str, int, str]:
    """Return the code of the `bye`, and the code and reason of the close frame."""
    code = ""
    try:
        while True:
            for line in str(socket.recv(PATIENCE_S)).split("\n"):
                event = json.loads(line)
                code = event["code"] if event["type"] == "bye" else ""
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return code, closed.rcvd.code, closed.rcvd.reason


async def test_it_sends_and_receives_messages() -> None:
    def scenario(port: int) -> None:
        with connect_elsewhere(url(port)) as ada, connect_elsewhere(url(port), compression=None) as bob:
            assert "Sec-WebSocket-Extensions" not in (ada.response.headers if ada.response else {})
            for socket, name in ((ada, "ada"), (bob, "bob")):
                hello(socket, name)
                enter(socket, "lobby")
            text = "\N{SNOWMAN}" * 1_000
            ada.send(iter(['{"type":"say","room":"lobby",', f'"text":"{text}"', "}"]))
            heard: list[str] = []
            while text not in heard:
                events = map(json.loads, str(bob.recv(PATIENCE_S)).split("\n"))
                heard += [event["text"] for event in events if event["type"] == "said"]
            assert ada.ping("are you there").wait(PATIENCE_S)
            bob.send('{"type":"quit"}')
            assert last_words(bob) == ("quit", 1000, "quit")

    await run_beside_server(scenario)


async def test_it_gets_errors_and_close_codes() -> None:
    def scenario(port: int) -> None:
        wrongs: list[tuple[str | bytes, tuple[str, int, str]]] = [
            ("x" * 8_193, ("frame_too_large", 1009, "frame_too_large")),
            (b"bytes", ("bad_frame", 1003, "bad_frame")),
            ('{"type":"hello","version":9}', ("version", 1008, "version")),
        ]
        for wrong, said in wrongs:
            with connect_elsewhere(url(port)) as socket:
                socket.send(wrong)
                assert last_words(socket) == said
        with pytest.raises(InvalidStatus, match="403"):
            connect_elsewhere(url(port), origin=Origin("https://evil.example"))

    await run_beside_server(scenario)


async def test_the_page_and_every_kind_of_client_on_one_port() -> None:
    with trio.fail_after(PATIENCE_S):
        async with open_server(Config(port=0)) as server:
            tcp = server.addresses[0]
            page = await trio.to_thread.run_sync(
                lambda: urlopen(tcp.replace("tcp:", "http:"), timeout=PATIENCE_S)
            )
            with page:
                assert page.status == 200
            async with (
                connect(tcp.replace("tcp:", "ws:"), name="ada") as ada,
                connect(tcp, name="bob") as bob,
                connect(port=int(tcp.rpartition(":")[2]), name="eve") as eve,
            ):
                for chat in (ada, bob, eve):
                    await chat.join("lobby")
                for number, chat in enumerate((ada, bob, eve), 1):
                    assert await chat.say("lobby", f"{number}") == number
                for chat in (ada, bob, eve):
                    texts = []
                    async for event in chat:
                        if isinstance(event, Said):
                            texts.append(event.text)
                            if len(texts) == 3:
                                break
                    assert texts == ["1", "2", "3"]
