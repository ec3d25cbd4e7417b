"""Identity: a user is the same in every terminal, and after a crash."""

import threading
from pathlib import Path

import pytest
import trio

from tests.client.scripted import ScriptedConnection, welcome
from tests.terminal.client_fixture import ClientFixture, NameCheckingServer
from trio_chat.terminal import line_client
from trio_chat.terminal.tokens import TokenFile
from trio_chat.wire.messages import Hello


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


async def hello_of(nursery: trio.Nursery, client: ClientFixture) -> Hello:
    """Run a client until it has connected, and return its hello."""
    server = NameCheckingServer(client.stage)
    nursery.start_soon(server.run)
    nursery.start_soon(client.run)
    await client.end_input()
    assert client.error is None
    return server.hellos[0]


async def test_a_later_client_sends_the_same_token(nursery: trio.Nursery, tokens: TokenFile) -> None:
    first, second = [await hello_of(nursery, ClientFixture(tokens=tokens)) for _ in range(2)]
    assert first.token == second.token == tokens.find("127.0.0.1:5555", "ada")


async def test_each_tried_name_has_its_own_token(nursery: trio.Nursery, tokens: TokenFile) -> None:
    """So the user can also get the second name back after a crash."""
    client = ClientFixture(tokens=tokens, interactive=True)
    server = NameCheckingServer(client.stage, "ada")
    nursery.start_soon(server.run)
    nursery.start_soon(client.run)
    client.type("eva")
    await client.end_input()
    assert [(hello.name, hello.token) for hello in server.hellos] == [
        (name, tokens.find("127.0.0.1:5555", name)) for name in ("ada", "eva")
    ]


async def test_a_damaged_token_file_is_reported_and_not_used(nursery: trio.Nursery, tmp_path: Path) -> None:
    path = tmp_path / "tokens\x1b.json"
    path.write_text("{")
    client = ClientFixture(tokens=TokenFile(path))
    assert (await hello_of(nursery, client)).token == ""
    assert client.output.messages.startswith("-- cannot remember your identity: ")
    assert "tokens^[.json is damaged" in client.output.messages
    assert client.output.messages.count("\n") == 1


async def test_an_unwritable_token_file_is_reported_and_not_used(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    client = ClientFixture(tokens=TokenFile(tmp_path / "file" / "tokens.json"))
    assert (await hello_of(nursery, client)).token == ""
    assert client.output.messages == (
        f"-- cannot remember your identity: {tmp_path}/file/tokens.json: Not a directory\n"
    )


async def test_a_slow_disk_does_not_block_the_client(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, tokens: TokenFile
) -> None:
    released = threading.Event()
    monkeypatch.setattr(tokens, "find", lambda *_: str(released.wait()))
    monkeypatch.setattr(line_client, "TOKEN_FILE_S", 0.01)
    client = ClientFixture(tokens=tokens)
    try:
        assert (await hello_of(nursery, client)).token == ""
    finally:
        released.set()
    assert (
        client.output.messages == "-- cannot remember your identity: the disk did not respond within 0.01 s\n"
    )


@pytest.mark.parametrize("interactive", [True, False])
async def test_a_different_name_in_the_welcome_is_shown(
    nursery: trio.Nursery, tokens: TokenFile, interactive: bool
) -> None:
    client = ClientFixture(tokens=tokens, interactive=interactive)

    async def server() -> None:
        peer: ScriptedConnection = await client.stage.accept()
        await peer.say(welcome(await peer.expect(Hello), name="eva"))
        await peer.admit()
        await peer.part()

    nursery.start_soon(server)
    nursery.start_soon(client.run, "lobby")
    await client.end_input()
    assert client.output.messages.endswith("-- your name here is eva\n")
    assert client.output.messages.count("\n") == 1 + interactive
