"""Who one is: the same person in every terminal, and after a crash."""

import threading
from pathlib import Path

import pytest
import trio

from tests.client.scripted import ScriptedConnection, welcome
from tests.terminal.desk import Desk, Door
from trio_chat.terminal import lines
from trio_chat.terminal.tokens import TokenFile
from trio_chat.wire.messages import Hello


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


async def hello_of(nursery: trio.Nursery, desk: Desk) -> Hello:
    """Let the desk's client come in; what it said of itself."""
    door = Door(desk.stage)
    nursery.start_soon(door.keep)
    nursery.start_soon(desk.run)
    await desk.leave()
    assert desk.failed is None
    return door.hellos[0]


async def test_whoever_joins_again_brings_the_same_token(nursery: trio.Nursery, tokens: TokenFile) -> None:
    first, second = [await hello_of(nursery, Desk(tokens=tokens)) for _ in range(2)]
    assert first.token == second.token == tokens.find("127.0.0.1:5555", "ada")


async def test_each_name_that_is_tried_is_somebody_else(nursery: trio.Nursery, tokens: TokenFile) -> None:
    """So that a crash under the second name keeps nobody from it either."""
    desk = Desk(tokens=tokens, interactive=True)
    door = Door(desk.stage, "ada")
    nursery.start_soon(door.keep)
    nursery.start_soon(desk.run)
    desk.type("eva")
    await desk.leave()
    assert [(hello.name, hello.token) for hello in door.hellos] == [
        (name, tokens.find("127.0.0.1:5555", name)) for name in ("ada", "eva")
    ]


async def test_without_a_file_that_can_be_read_one_goes_without_and_is_told(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    path = tmp_path / "tokens\x1b.json"
    path.write_text("{")
    desk = Desk(tokens=TokenFile(path))
    assert (await hello_of(nursery, desk)).token == ""
    assert desk.screen.talked.startswith("-- who you are is not remembered: ")
    assert "tokens^[.json is damaged" in desk.screen.talked
    assert desk.screen.talked.count("\n") == 1


async def test_without_a_place_that_can_be_written_likewise(nursery: trio.Nursery, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    desk = Desk(tokens=TokenFile(tmp_path / "file" / "tokens.json"))
    assert (await hello_of(nursery, desk)).token == ""
    assert desk.screen.talked == (
        f"-- who you are is not remembered: {tmp_path}/file/tokens.json: Not a directory\n"
    )


async def test_a_disk_that_does_not_answer_is_not_waited_for(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, tokens: TokenFile
) -> None:
    released = threading.Event()
    monkeypatch.setattr(tokens, "find", lambda *_: str(released.wait()))
    monkeypatch.setattr(lines, "DISK_S", 0.01)
    desk = Desk(tokens=tokens)
    try:
        assert (await hello_of(nursery, desk)).token == ""
    finally:
        released.set()
    assert desk.screen.talked == "-- who you are is not remembered: the disk does not answer\n"


@pytest.mark.parametrize("interactive", [True, False])
async def test_whoever_is_there_already_under_another_name_is_told_which(
    nursery: trio.Nursery, tokens: TokenFile, interactive: bool
) -> None:
    desk = Desk(tokens=tokens, interactive=interactive)

    async def server() -> None:
        peer: ScriptedConnection = await desk.stage.accept()
        await peer.say(welcome(await peer.expect(Hello), name="eva"))
        await peer.admit()
        await peer.part()

    nursery.start_soon(server)
    nursery.start_soon(desk.run, "lobby")
    await desk.leave()
    assert desk.screen.talked.endswith("-- you are eva here\n")
    assert desk.screen.talked.count("\n") == 1 + interactive
