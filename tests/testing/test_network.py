"""Test hosts that dial and listen, and the notes of the network."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trio_chat
from trio_chat.errors import CannotConnect, CannotStart, LinkBroken
from trio_chat.net.link import Link
from trio_chat.net.listen import Listener
from trio_chat.server.config import Config
from trio_chat.testing.connection import MemoryConnection
from trio_chat.testing.faults import Latency, Split, Stall
from trio_chat.testing.listener import ListenQueue
from trio_chat.testing.network import DIAL_S, MemoryNetwork
from trio_chat.testing.pipe import PipeLink


class Trace:
    """Record the notes of a network."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, *note: str | int) -> None:
        assert all(type(each) in (str, int) for each in note), f"{note} is not of plain text and numbers"
        self.lines.append(" ".join(map(str, note)))


async def connected(network: MemoryNetwork, host: str = "ada") -> tuple[Link, Link]:
    """Return the two ends of a connection from that host to the server."""
    listener = network.listen("server")
    here = await network.dial(host, "server")
    (there,) = await listener.accept()
    return here, there


async def test_who_dials_and_who_accepts_are_connected() -> None:
    network = MemoryNetwork()
    listener: Listener = network.listen("server")
    here = await network.dial("ada", "server")
    here.send_nowait(b"early")
    (there,) = await listener.accept()
    assert (here.address, there.address, listener.address) == ("server", "ada", "memory://server:5555")
    assert await there.receive_some() == b"early"
    there.send_nowait(b"back")
    assert await here.receive_some() == b"back"
    here.close()
    there.close()
    assert network.connections == []


async def test_all_who_wait_are_accepted_at_once() -> None:
    network = MemoryNetwork()
    listener = network.listen("server")
    for host in ("ada", "bob", "bob"):
        await network.dial(host, "server")
    assert [link.address for link in await listener.accept()] == ["ada", "bob", "bob"]
    assert [connection.name for connection in network.connections] == [
        "ada→server#1",
        "bob→server#1",
        "bob→server#2",
    ]


async def test_a_whole_chat_goes_through_it(autojump_clock: MockClock) -> None:
    network = MemoryNetwork()
    async with trio_chat.open_server(Config(), listeners=[network.listen("server")]):
        async with (
            trio_chat.connect("server", name="ada", dial=network.dialler("ada")) as ada,
            trio_chat.connect("server", name="bob", dial=network.dialler("bob")) as bob,
        ):
            await bob.join("lobby")
            await ada.join("lobby")
            await ada.say("lobby", "hello")
            async for event in bob:
                if getattr(event, "text", "") == "hello":
                    break
    assert network.left_behind() == []


async def test_a_dial_without_a_listener_is_refused() -> None:
    network = MemoryNetwork()
    with pytest.raises(CannotConnect, match=r"^cannot connect to server:5555: Connection refused$"):
        await network.dialler("ada")("server", 5555)
    listener = network.listen("server")
    with pytest.raises(CannotConnect):
        await network.dial("ada", "server", 7)
    listener.close()
    with pytest.raises(CannotConnect):
        await network.dial("ada", "server")
    assert network.connections == []


async def test_a_port_is_listened_on_once() -> None:
    network = MemoryNetwork()
    first = network.listen("server")
    with pytest.raises(CannotStart, match=r"^cannot listen on server:5555: Address already in use$"):
        network.listen("server")
    first.close()
    first.close()
    network.listen("server")
    network.listen("server", 7)
    network.listen("other")


async def test_closing_a_listener_ends_its_wait_and_resets_unaccepted_connections() -> None:
    network = MemoryNetwork()
    listener = network.listen("server")
    here = await network.dial("ada", "server")
    listener.close()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()
    with pytest.raises(LinkBroken):
        await here.receive_some()
    here.close()
    assert network.connections == []
    again = network.listen("server")
    async with trio.open_nursery() as nursery:

        async def accept() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await again.accept()

        nursery.start_soon(accept)
        await wait_all_tasks_blocked()
        again.close()


async def test_a_cancelled_accept_takes_no_connection_and_a_cancelled_dial_leaves_nothing() -> None:
    network = MemoryNetwork()
    listener = network.listen("server")
    with trio.move_on_after(0):
        await network.dial("ada", "server")
    assert network.connections == []
    await network.dial("ada", "server")
    with trio.move_on_after(0):
        await listener.accept()
    assert len(await listener.accept()) == 1


async def test_a_backlog_is_bounded() -> None:
    told = []
    door = ListenQueue(lambda: False, lambda: told.append("changed"), backlog=1)
    fullness = [door.is_full]
    door.come(MemoryConnection("ada→server#1", "ada", "server", 10, None, lambda _: None))
    fullness.append(door.is_full)
    door.accept()
    fullness.append(door.is_full)
    assert fullness == [False, True, False]
    assert told == ["changed"]
    with pytest.raises(BlockingIOError):
        door.accept()


async def test_a_dial_waits_for_a_place_in_the_backlog(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ListenQueue.__init__, "__defaults__", (1,))
    network = MemoryNetwork()
    listener = network.listen("server")
    await network.dial("ada", "server")
    with pytest.raises(CannotConnect, match="Connection timed out"):
        await network.dial("bob", "server")
    assert trio.current_time() == pytest.approx(DIAL_S)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.dial, "bob", "server")
        await trio.sleep(1)
        (first,) = await listener.accept()
        (second,) = await listener.accept()
    assert (first.address, second.address) == ("ada", "bob")


async def test_open_connections_are_reported() -> None:
    network = MemoryNetwork()
    here, there = await connected(network)
    assert network.left_behind() == ["ada→server#1: open at ada and server"]
    here.send_nowait(b"unread")
    there.send_nowait(b"this too")
    here.close()
    assert network.left_behind() == ["ada→server#1: open at server"], "a reset forgets"
    there.close()
    assert network.left_behind() == []


async def test_bytes_left_behind_are_counted_with_those_under_way() -> None:
    network = MemoryNetwork()
    here, there = await connected(network)
    there.send_nowait(b"1234")
    here.send_nowait(b"123")
    with network.fault(Latency(1)):
        here.send_nowait(b"45")
        assert network.left_behind() == [
            "ada→server#1: open at ada and server; 5 bytes for server unread; 4 bytes for ada unread"
        ]


async def test_each_connection_holds_the_networks_bytes() -> None:
    here, there = await connected(MemoryNetwork(buffer_bytes=7))
    assert here.send_nowait(b"0123456789") == 7
    assert there.send_nowait(b"0123456789") == 7
    with pytest.raises(ValueError, match="invalid buffer_bytes"):
        MemoryNetwork(buffer_bytes=0)


async def test_an_end_said_from_outside_is_as_if_its_program_had_said_it() -> None:
    network = MemoryNetwork()
    here, there = await connected(network)
    (connection,) = network.connections
    here.send_nowait(b"last")
    connection.fin("ada")
    assert [await there.receive_some(), await there.receive_some()] == [b"last", b""]
    with pytest.raises(LinkBroken):
        here.send_nowait(b"more")
    there.send_nowait(b"still")
    assert await here.receive_some() == b"still"
    connection.fin("ada")
    connection.fin("server")
    assert await here.receive_some() == b""
    with pytest.raises(ValueError, match="no end at bob"):
        connection.fin("bob")


async def test_a_reset_from_outside_breaks_both_ends() -> None:
    network = MemoryNetwork()
    here, there = await connected(network)
    (connection,) = network.connections
    here.send_nowait(b"unread")
    connection.rst()
    for end in (here, there):
        with pytest.raises(LinkBroken):
            await end.receive_some()
        with pytest.raises(LinkBroken):
            end.send_nowait(b"x")
    assert len(network.left_behind()) == 1, "a program still has to close what is broken"


async def test_a_reset_from_outside_forgets_what_is_under_way() -> None:
    trace = Trace()
    network = MemoryNetwork(note=trace)
    here, _ = await connected(network)
    with network.fault(Latency(0), "ada", "server"), network.fault(Stall(), "ada", "server"):
        here.send_nowait(b"under way")
        network.connections[0].rst()
        assert network.left_behind() == ["ada→server#1: open at ada and server"]
    assert [line for line in trace.lines if line.startswith("rst")] == ["rst ada→server#1 ada"]


async def test_it_notes_what_happens() -> None:
    trace = Trace()
    network = MemoryNetwork(note=trace)
    with pytest.raises(CannotConnect):
        await network.dial("ada", "server")
    here, there = await connected(network)
    here.send_nowait(b"hey")
    with network.fault(Split(1), "ada", "server"):
        for _ in range(3):
            await there.receive_some()
    here.close()
    there.send_nowait(b"lost")
    there.close()
    assert trace.lines == [
        "refused  ada server Connection refused",
        "dial ada→server#1",
        "accept ada→server#1",
        "sent ada→server#1 ada 3",
        "fault begins  Split(bytes_max=1) ada server 0",
        "fault strikes  Split(bytes_max=1) ada server 0",
        *["delivered ada→server#1 server 1"] * 3,
        "fault ends  Split(bytes_max=1) ada server 0",
        "fin ada→server#1 ada",
        "sent ada→server#1 server 4",
        "rst ada→server#1 ada",
    ]


async def test_without_a_rule_bytes_go_straight() -> None:
    """Check that the fast path is taken before a rule and after it."""
    network = MemoryNetwork()
    here, there = await connected(network)
    assert isinstance(here, PipeLink)
    (connection,) = network.connections
    with network.fault(Split(1)):
        assert all(way.course for way in connection.ways)
        here.send_nowait(b"x")
    assert not any(way.course for way in connection.ways)
    assert await there.receive_some() == b"x"
