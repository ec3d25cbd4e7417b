"""What is shown, in order, escaped, and only as long as somebody looks."""

import json

import trio
from trio.testing import wait_all_tasks_blocked

from tests.client.scripted import ScriptedConnection, ScriptedRoom, said
from tests.terminal.desk import at_desk
from trio_chat.wire.messages import (
    Join,
    Quit,
    Room,
)


async def test_whatever_a_server_sends_is_shown_and_not_obeyed(nursery: trio.Nursery) -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202e"
    shown = "^[]0;owned^G<U+009B>2J<U+202E>"
    hall = ScriptedRoom(evil)
    hall.add(evil, f"{evil}\n{evil}")
    async with at_desk(nursery, hall.serve) as desk:
        desk.type("/who")
    assert desk.screen.lines[0] == f"-- {shown}: 2 here"
    assert [line[6:] for line in desk.screen.lines[1:3]] == [f"{shown}: {shown}", shown]


async def test_a_room_is_announced_before_what_is_said_in_it(nursery: trio.Nursery) -> None:
    """Also when both come at once, and whoever of the two tasks wakes up first."""
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

    async with at_desk(nursery, server, *rooms) as desk:
        await wait_all_tasks_blocked()
    announced, entries = desk.screen.lines[::2], desk.screen.lines[1::2]
    assert announced == [f"-- {name}: 2 here" for name in rooms]
    assert {line[6:] for line in entries} == {"bob: number 1"}


async def test_json_is_one_event_a_line_and_nothing_else(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    hall.add("bob", "\x1b[2J\n\u202e")
    async with at_desk(nursery, hall.serve, as_json=True, interactive=True) as desk:
        desk.type("hi", "/who", "/nonsense", "/help")
    events = [json.loads(line) for line in desk.screen.lines]
    assert [event["type"] for event in events if event["type"] != "said"] == ["room", "members"]
    assert [event["text"] for event in events if event["type"] == "said"] == ["\x1b[2J\n\u202e", "hi"]
    assert "/nonsense" in desk.screen.talked
    assert all(line.isprintable() for line in desk.screen.lines)


async def test_when_nobody_reads_the_output_any_more_it_says_goodbye(nursery: trio.Nursery) -> None:
    hall = ScriptedRoom()
    async with at_desk(nursery, hall.serve) as desk:
        await wait_all_tasks_blocked()
        desk.screen.gone = True
        hall.show(hall.add("bob", "hello?"))
        await desk.left.wait()
    assert isinstance(desk.failed, BrokenPipeError)
    assert isinstance(hall.asked[-1], Quit)
