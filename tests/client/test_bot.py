"""The bot of the README works unchanged."""

import re
import sys
from pathlib import Path

import trio

from tests.patience import PATIENCE_S
from trio_chat.client import connect
from trio_chat.server.config import Config
from trio_chat.server.serve import open_server
from trio_chat.wire.messages import Presence, Said

README = Path(__file__).parent.parent.parent / "README.md"


def bot_of_the_readme() -> str:
    match = re.search(r"## A bot in ten lines\n+```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert match, "the README must contain the bot"
    return match[1]


async def test_the_bot_of_the_readme_answers(nursery: trio.Nursery) -> None:
    source = bot_of_the_readme()
    assert '"127.0.0.1", 5555' in source
    with trio.fail_after(PATIENCE_S):
        async with open_server(Config(port=0)) as server:
            port = int(server.addresses[0].rpartition(":")[2])
            async with connect("127.0.0.1", port, name="ada") as chat:
                await chat.join("lobby")
                command = [sys.executable, "-c", source.replace("5555", str(port))]
                bot = await trio.lowlevel.open_process(command)
                try:
                    async for event in chat:
                        if isinstance(event, Presence) and "echo" in event.joined:
                            break
                    await chat.say("lobby", "!echo is anybody here?")
                    heard: list[tuple[str, str]] = []
                    while len(heard) < 2:
                        event = await anext(aiter(chat))
                        if isinstance(event, Said):
                            heard.append((event.by, event.text))
                finally:
                    bot.kill()
                    with trio.move_on_after(5, shield=True):
                        await bot.wait()
    assert heard == [("ada", "!echo is anybody here?"), ("echo", "is anybody here?")]
