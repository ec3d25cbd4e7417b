"""`trio-chat join` and `trio-chat loadtest` with hostile servers: one line, and an exit status."""

import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import trio
from wsproto.utilities import generate_accept_token

from tests.client.hostile import frames
from tests.client.scripted import ScriptedConnection, welcome
from tests.patience import PATIENCE_S
from tests.terminal.test_join import MAIN, listening, run
from trio_chat.net.link import Link
from trio_chat.wire.messages import Error, Hello, Join, Members, Quit, Room, Say, Who

Play = Callable[[Link], Awaitable[object]]


def answering(answer: bytes) -> Play:
    """Reply to the upgrade with these bytes; `KEY` in them is replaced by the expected key."""

    async def play(link: Link) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += await link.receive_some()
        found = re.search(rb"(?i)sec-websocket-key: (\S+)", request)
        assert found is not None
        link.send_nowait(answer.replace(b"KEY", generate_accept_token(found[1])))
        while await link.receive_some():
            pass

    return play


def welcoming(**limits: Any) -> Play:
    """Send a welcome with these limits, and invalid replies to `join`, `who` and `say`."""

    async def play(link: Link) -> None:
        peer = ScriptedConnection(link)
        hello = await peer.expect(Hello)
        event = msgspec.to_builtins(welcome(hello))
        event["limits"] |= limits
        await peer.send_bytes(frames(event))
        while (command := await peer.command()) is not None:
            match command:
                case Join(room=room, ref=ref):
                    answer = Room(
                        room=room, epoch="e", resumed=False, first=1, head=0, members=1, topic="", ref=ref
                    )
                    await peer.send_bytes(frames(answer))
                case Who(room=room, ref=ref):
                    await peer.send_bytes(frames(Members(room, ["ada", "bob"], 2, more=True, ref=ref)))
                case Say(room=room, ref=ref):
                    entry = {"type": "said", "room": room, "seq": 1, "at": 10**400, "by": "bob", "text": "x"}
                    await peer.send_bytes(frames(entry))
                case Quit(ref=ref):
                    await peer.send_bytes(frames(Error("forbidden", "stay here\n", ref=ref)))
                case _:
                    pass

    return play


SWITCHING = (
    b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\xd3\r\nSec-WebSocket-Accept: KEY\r\n\r\n"
)


@pytest.mark.parametrize(
    ("scheme", "play", "typed", "status", "says"),
    [
        ("ws://", answering(SWITCHING), "", 3, "a header is not ASCII"),
        ("", welcoming(frame_bytes=0), "hi\n", 3, "limits.frame_bytes 0, less than 1024"),
        ("", welcoming(text_bytes=0), "hi\n", 3, "limits.text_bytes 0, less than 1"),
        ("", welcoming(), "/who\n", 3, "a page that does not continue after 'bob'"),
        ("", welcoming(), "hi\n", 3, "Expected `int` <= 253402300799999"),
        ("", welcoming(), "", 0, ""),
    ],
    ids=["header", "frame_bytes", "text_bytes", "pages", "number", "goodbye"],
)
async def test_join_prints_one_line(
    nursery: trio.Nursery, scheme: str, play: Play, typed: str, status: int, says: str
) -> None:
    async with listening(nursery, play) as port:
        done = await run(f"ada@{scheme}127.0.0.1:{port}", "--json", "--commands", typed=typed)
    output = done.stderr.decode()
    assert (done.returncode, "Traceback" in output) == (status, False), output
    own = [line for line in output.splitlines() if line.startswith("trio-chat: ")]
    assert len(own) == (1 if says else 0) and says in output
    assert all(
        line.startswith(("trio-chat: ", "-- may not have been sent: ")) for line in output.splitlines()
    )


async def test_loadtest_prints_one_line(nursery: trio.Nursery) -> None:
    async with listening(nursery, welcoming(frame_bytes=0)) as port:
        command = [sys.executable, "-c", MAIN, "loadtest", f"127.0.0.1:{port}", "--users=1", "--duration=1"]
        with trio.fail_after(PATIENCE_S):
            done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    output = done.stderr.decode()
    assert (done.returncode, output.count("\n"), "Traceback" in output) == (2, 1, False), output
    assert "could not join: invalid data from the server" in output
