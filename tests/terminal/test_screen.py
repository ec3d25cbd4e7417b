"""The screen shows events in order, escaped, and stops when the output is closed."""

import json

import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom, said
from tests.terminal.client_fixture import running_client
from trio_chat.wire.messages import (
    Join,
    Quit,
    Room,
)


async def test_control_characters_from_a_server_are_escaped(nursery: trio.Nursery) -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202e"
    shown = "^[]0;owned^G<U+009B>2J<U+202E>"
    hall = ScriptedRoom(evil)
    hall.add(evil, f"{evil}\n{evil}")
    async with running_client(nursery, hall.serve) as client:
        client.type("/who")
    assert client.output.lines[0] == f"-- {shown}: 2 here"
    assert [line[6:] for line in client.output.lines[1:3]] == [f"{shown}: {shown}", shown]


async def test_a_room_is_shown_before_its_entries(nursery: trio.Nursery) -> None:
    """Also if both arrive at once, whichever of the two tasks runs first."""
    rooms = [f"room{n}" for n in range(20)]

    async def server(peer: ScriptedConnection) -> None:
        for name in rooms:
            join = await peer.expect(Join)
            room = Room(
                room=name, epoch="e", resumed=False, first=1, head=1, members=2, topic="", ref=join.ref
            )
            await peer.say(room, said(1, name))
        await wait_all_tasks_blocked()
        await peer.part()

    async with running_client(nursery, server, *rooms) as client:
        await wait_all_tasks_blocked()
    announced, entries = client.output.lines[::2], client.output.lines[1::2]
    assert announced == [f"-- {name}: 2 here" for name in rooms]
    assert {line[6:] for line in entries} == {"bob: number 1"}


async def test_json_output_is_one_event_per_line(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    hall.add("bob", "\x1b[2J\n\u202e")
    async with running_client(nursery, hall.serve, as_json=True, interactive=True) as client:
        client.type("hi", "/who", "/nonsense", "/help")
    events = [json.loads(line) for line in client.output.lines]
    assert [event["type"] for event in events if event["type"] != "said"] == ["room", "members"]
    assert [event["text"] for event in events if event["type"] == "said"] == ["\x1b[2J\n\u202e", "hi"]
    assert "/nonsense" in client.output.messages
    assert all(line.isprintable() for line in client.output.lines)


async def test_a_closed_output_makes_the_client_quit(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with running_client(nursery, hall.serve) as client:
        await wait_all_tasks_blocked()
        client.output.is_closed = True
        hall.show(hall.add("bob", "hello?"))
        await client.ended.wait()
    assert isinstance(client.error, BrokenPipeError)
    assert isinstance(hall.asked[-1], Quit)
