"""A Chat over WebSocket: it behaves as over frames, and each failed handshake is reported."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.sim.house import SERVER, open_house
from trio_chat.client import Chat, Disconnected, Reconnected, connect
from trio_chat.client.connection import OUTBOX_BYTES, Connection
from trio_chat.dialects.websocket import WEBSOCKET, WebSocketEvents
from trio_chat.errors import CannotConnect, ForeignServer, ProtocolError, Refused
from trio_chat.net.link import Link
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import Server, open_server
from trio_chat.testing import MemoryNetwork, Simulation, sweep
from trio_chat.testing.faults import Rst
from trio_chat.testing.pipe import link_pair
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Pong, Said

URL = "ws://server:5555"


@asynccontextmanager
async def serving(network: MemoryNetwork, **limits: int) -> AsyncGenerator[Server]:
    config = Config(rate_limit=False, limits=Limits(**limits), public_names=("server",))
    async with open_server(config, listeners=[network.listen("server")]) as server:
        yield server


@asynccontextmanager
async def chatting(network: MemoryNetwork, name: str, url: str = URL) -> AsyncGenerator[Chat]:
    async with connect(url, name=name, dial=network.dialler(name), random=lambda: 0.01) as chat:
        yield chat


async def heard(chat: Chat, count: int) -> list[str]:
    texts = []
    async for event in chat:
        if isinstance(event, Said):
            texts.append(event.text)
            if len(texts) == count:
                break
    return texts


async def test_websocket_and_frame_clients_receive_the_same_events(autojump_clock: trio.abc.Clock) -> None:
    network = MemoryNetwork()
    async with (
        serving(network),
        chatting(network, "ada") as ada,
        chatting(network, "bob", "tcp://server") as bob,
    ):
        for chat in (ada, bob):
            await chat.join("lobby")
        for n in range(1, 101):
            assert await (ada, bob)[n % 2].say("lobby", f"{n} " + "\N{SNOWMAN}" * n * 10) == n
        texts = await heard(ada, 100)
        assert texts == await heard(bob, 100)
        with pytest.raises(Refused, match="longer than a frame"):
            await ada.say("lobby", "x" * 65_536)


async def test_a_websocket_client_reconnects(autojump_clock: trio.abc.Clock) -> None:
    network = MemoryNetwork()
    async with serving(network), chatting(network, "ada") as ada:
        await ada.join("lobby")
        assert await ada.say("lobby", "before") == 1
        with network.fault(Rst(), "ada", "server"):
            assert await ada.say("lobby", "meanwhile") == 2
        kinds = []
        async for event in ada:
            kinds.append(type(event))
            if isinstance(event, Reconnected):
                break
        assert kinds.count(Disconnected) == 1
        assert await ada.say("lobby", "after") == 3


async def test_pings_of_the_dialect_are_answered(autojump_clock: trio.abc.Clock) -> None:
    here, there = link_pair()
    connection = Connection(here, WebSocketEvents(lambda: bytes(4)))
    there.send_nowait(b"\x89\x01a" + WEBSOCKET.pack([encode(Pong(1))]) + b"\x89\x01b")
    assert await connection.receive() == [Pong(1)]
    with trio.fail_after(1):
        assert await there.receive_some() == b"\x8a\x81" + bytes(4) + b"b"


async def test_a_flood_of_websocket_pings_is_bounded(autojump_clock: trio.abc.Clock) -> None:
    here, there = link_pair(100)
    connection = Connection(here, WebSocketEvents(lambda: bytes(4)))
    connection.send_nowait(bytes(OUTBOX_BYTES + 100))
    assert connection.crowded
    there.send_nowait(b"\x89\x01a")
    assert await connection.receive() == []
    received = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.write)
        with trio.move_on_after(1):
            while True:
                received += len(await there.receive_some())
        nursery.cancel_scope.cancel()
    assert received == OUTBOX_BYTES + 100


async def test_bytes_after_a_close_frame_do_not_count_as_activity(autojump_clock: trio.abc.Clock) -> None:
    here, there = link_pair()
    connection = Connection(here, WebSocketEvents(lambda: bytes(4)))
    heard_at = []
    for data in (b"\x89\x00", b"\x88\x00", b"\x89\x00", b"x"):
        await trio.sleep(1)
        there.send_nowait(data)
        assert await connection.receive() == []
        heard_at.append(connection.heard_at)
    assert heard_at == [1, 1, 1, 1]


async def test_a_full_server_is_tried_again(autojump_clock: trio.abc.Clock) -> None:
    network = MemoryNetwork()
    async with serving(network, connections=1), chatting(network, "ada") as ada:
        with pytest.raises(CannotConnect, match="cannot open a WebSocket: HTTP status 503"):
            async with chatting(network, "bob"):
                raise AssertionError("a full server accepted the client")
        with network.fault(Rst(), "ada", "server"):
            pass
        await ada.join("lobby")


async def test_a_host_name_unknown_to_the_server_is_reported(autojump_clock: trio.abc.Clock) -> None:
    network = MemoryNetwork()
    async with open_server(Config(), listeners=[network.listen("server")]):
        with pytest.raises(ProtocolError, match="cannot open a WebSocket: HTTP status 421"):
            async with chatting(network, "ada"):
                raise AssertionError("the server accepted an unknown host name")


# --- other answers than those of a trio-chat server ------------------------------------------------------


async def answered(answer: bytes, *, closes: bool = True) -> None:
    """Connect to a server that sends this answer to the upgrade."""
    here, there = link_pair()

    async def dial(host: str, port: int) -> Link:
        return here

    async def play() -> None:
        await there.receive_some()
        there.send_nowait(answer)
        if closes:
            there.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(play)
        try:
            async with connect(URL, name="ada", dial=dial):
                raise AssertionError("the client accepted this answer")
        finally:
            assert here.is_closed
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", ProtocolError, "HTTP status 404"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", ProtocolError, "HTTP status 200"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", CannotConnect, "HTTP status 502"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", ForeignServer, "it answered SSH"),
        (b"HTTP/1.1 101 " + b"x" * 9_000, ProtocolError, "longer than 8192 bytes"),
        (b"HTTP/1.1 101 S", CannotConnect, "closed it without a word"),
        (b"", CannotConnect, "closed it without a word"),
    ],
)
async def test_another_http_answer_is_reported_in_one_line(
    answer: bytes, error: type[Exception], words: str, autojump_clock: trio.abc.Clock
) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(error, match=words)):
        await answered(answer)


async def test_a_missing_http_answer_is_reported_after_ten_seconds(autojump_clock: trio.abc.Clock) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(CannotConnect, match="no answer from")):
        await answered(b"HTTP/1.1 101 S", closes=False)
    assert trio.current_time() == 10


# --- cancelled at each checkpoint ------------------------------------------------------------------------


async def a_visit(sim: Simulation) -> None:
    async with open_house(sim) as house:

        async def dial(host: str, port: int) -> Link:
            return await house.network.dial("ada", SERVER)

        with sim.victim():
            async with connect("ws://127.0.0.1", name="ada", dial=dial, clock_s=trio.current_time) as chat:
                await chat.join("lobby")
                assert await chat.say("lobby", "hello")
        ends = [each.dialled for each in house.network.connections if each.from_host == "ada"]
        assert all(end.is_closed for end in ends), "the client left a link open"
        await trio.sleep(1)
        assert house.is_known("ada") == []


def test_a_websocket_chat_can_be_cancelled_at_each_checkpoint() -> None:
    assert sweep(a_visit).checkpoints > 6
