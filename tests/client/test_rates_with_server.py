"""The client with the real server and its rates: each message is committed once, in order, and no call
fails."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.server.harness import PipeListener
from trio_chat.client import Chat, connect
from trio_chat.errors import CannotConnect, Refused
from trio_chat.journal.memory import MemoryStore
from trio_chat.net.link import Link
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import open_server
from trio_chat.wire.messages import Said, TopicChanged, Whispered

TOKEN = "a-token-of-her-own-0001"


class TestServer:
    """A server that can be restarted on the same journal; `dial` reaches the one that runs."""

    __test__ = False

    def __init__(self, **limits: int) -> None:
        self._limits = Limits(**limits)
        self._store = MemoryStore()
        self._listener: PipeListener | None = None

    async def dial(self, host: str, port: int) -> Link:
        await trio.lowlevel.checkpoint()
        if self._listener is None:
            raise CannotConnect("no server there")
        return self._listener.dial(4_096, "")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        self._listener = PipeListener()
        config = Config(limits=self._limits)
        async with open_server(
            config, store=self._store, listeners=[self._listener], work_clock=trio.current_time
        ):
            yield
        self._listener = None

    def connect(self, name: str, token: str = "") -> AbstractAsyncContextManager[Chat]:
        return connect(name=name, token=token, dial=self.dial, random=lambda: 0.5, clock_s=trio.current_time)


async def say_all(chat: Chat, texts: list[str], numbers: list[int], room: str = "lobby") -> None:
    """Start to say all texts in this order, and store the number of each."""
    numbers += [0] * len(texts)

    async def say(index: int) -> None:
        numbers[index] = await chat.say(room, texts[index])

    async with trio.open_nursery() as nursery:
        for index in range(len(texts)):
            nursery.start_soon(say, index)
            await wait_all_tasks_blocked()


async def shown(server: TestServer, count: int) -> list[Said | TopicChanged]:
    """Return `count` entries of the lobby, as a later member receives them."""
    entries: list[Said | TopicChanged] = []
    async with server.connect("reader") as reader:
        await reader.join("lobby", after=0, epoch="any")
        async for event in reader:
            if isinstance(event, Said | TopicChanged):
                entries.append(event)
                if len(entries) == count:
                    break
    return entries


async def test_thirty_messages_queued_during_a_restart_are_committed_once_in_order(
    autojump_clock: trio.abc.Clock,
) -> None:
    server = TestServer()
    numbers: list[int] = []
    texts = [f"number {n}" for n in range(30)]
    async with trio.open_nursery() as nursery:
        async with server.running():
            ada = await nursery.start(serve_chat, server.connect("ada"))
            await ada.join("lobby")
        are_said = trio.Event()

        async def say_them() -> None:
            await say_all(ada, texts, numbers)
            are_said.set()

        nursery.start_soon(say_them)
        await wait_all_tasks_blocked()
        async with server.running():
            await are_said.wait()
            assert [entry.text for entry in await shown(server, 30)] == texts
            nursery.cancel_scope.cancel()
    assert numbers == list(range(1, 31))


async def serve_chat(
    connecting: AbstractAsyncContextManager[Chat], *, task_status: trio.TaskStatus[Chat]
) -> None:
    """Keep a Chat open until cancelled."""
    async with connecting as chat:
        task_status.started(chat)
        await trio.sleep_forever()


async def test_queued_messages_are_sent_at_the_rate_of_the_server(autojump_clock: trio.abc.Clock) -> None:
    """A hundred at five a second, after a burst of twenty, are sixteen seconds: none is refused and sent
    again a second later."""
    server = TestServer()
    numbers: list[int] = []
    async with server.running(), server.connect("ada") as ada:
        await ada.join("lobby")
        began = trio.current_time()
        await say_all(ada, [f"number {n}" for n in range(100)], numbers)
        assert trio.current_time() - began == pytest.approx(80 / 5 / 0.99, abs=0.5)
    assert numbers == list(range(1, 101))


@pytest.mark.parametrize("limits", [{}, {"talk_burst": 1, "talk_per_s": 1}, {"talk_per_s": 50}])
async def test_two_chats_of_one_member_share_the_rate_and_each_keeps_its_order(
    limits: dict[str, int], autojump_clock: trio.abc.Clock
) -> None:
    server = TestServer(**limits)
    async with (
        server.running(),
        server.connect("ada", token=TOKEN) as one,
        server.connect("ada", token=TOKEN) as two,
    ):
        async with trio.open_nursery() as nursery:
            for name, chat in (("one", one), ("two", two)):
                await chat.join("lobby")
                nursery.start_soon(say_all, chat, [f"{name} {n}" for n in range(40)], [])
        entries = await shown(server, 80)
    for name in ("one", "two"):
        texts = [entry.text for entry in entries if entry.text.startswith(name)]
        assert texts == [f"{name} {n}" for n in range(40)]


async def test_a_program_that_reconnects_at_once_with_its_token_is_not_refused(
    autojump_clock: trio.abc.Clock,
) -> None:
    """Its rate is used up, which the new Chat cannot know. Long texts are refused first, and must not be
    overtaken by short ones."""
    server = TestServer(talk_bytes_burst=8_192, talk_bytes_per_s=1_000)
    texts = [f"{n} ".ljust(4_000 if n % 2 else 10, ".") for n in range(12)]
    async with server.running():
        async with server.connect("ada", token=TOKEN) as ada:
            await ada.join("lobby")
            await say_all(ada, texts[:4], [])
        async with server.connect("ada", token=TOKEN) as ada:
            await ada.join("lobby")
            await say_all(ada, texts[4:], [])
        assert [entry.text for entry in await shown(server, 12)] == texts


async def test_topics_whispers_and_names_share_the_rate_and_keep_their_order(
    autojump_clock: trio.abc.Clock,
) -> None:
    server = TestServer()
    whispers: list[str] = []

    async def listen(bob: Chat) -> None:
        async for event in bob:
            match event:
                case Whispered(text=text):
                    whispers.append(text)
                case _:
                    pass

    async with server.running(), server.connect("bob") as bob, server.connect("ada") as ada:
        await ada.join("lobby")
        async with trio.open_nursery() as listening:
            listening.start_soon(listen, bob)
            async with trio.open_nursery() as nursery:
                for n in range(15):
                    for call in (
                        partial(ada.say, "lobby", f"say {n}"),
                        partial(ada.topic, "lobby", f"topic {n}"),
                        partial(ada.whisper, "bob", f"whisper {n}"),
                        partial(ada.rename, f"ada{n}"),
                    ):
                        nursery.start_soon(call)
                        await wait_all_tasks_blocked()
            await wait_all_tasks_blocked()
            listening.cancel_scope.cancel()
        entries = await shown(server, 30)
    assert [entry.text for entry in entries] == [
        f"{kind} {n}" for n in range(15) for kind in ("say", "topic")
    ]
    assert [entry.by for entry in entries][2::2] == [f"ada{n}" for n in range(14)]
    assert whispers == [f"whisper {n}" for n in range(15)]


async def test_joins_and_queries_are_paced_too(autojump_clock: trio.abc.Clock) -> None:
    server = TestServer(rooms_burst=2, rooms_per_s=1, questions_burst=2, questions_per_s=1)
    async with server.running(), server.connect("ada") as ada, trio.open_nursery() as nursery:
        for n in range(6):
            nursery.start_soon(ada.join, f"room{n}")
            nursery.start_soon(ada.rooms)
            await wait_all_tasks_blocked()
    # Every call has returned, or this would have raised.


async def test_a_program_may_turn_pacing_off(autojump_clock: trio.abc.Clock) -> None:
    server = TestServer()
    refusals: list[Refused] = []
    async with (
        server.running(),
        connect(name="ada", dial=server.dial, pace=False, clock_s=trio.current_time) as ada,
    ):
        await ada.join("lobby")
        for n in range(21):
            try:
                await ada.say("lobby", str(n))
            except Refused as refused:
                refusals.append(refused)
    assert [(refused.code, refused.retry_after_s) for refused in refusals] == [("rate_limited", 1)]


async def test_without_announced_rates_no_command_waits(autojump_clock: trio.abc.Clock) -> None:
    listener = PipeListener()
    numbers: list[int] = []

    async def dial(host: str, port: int) -> Link:
        await trio.lowlevel.checkpoint()
        return listener.dial(4_096, "")

    async with (
        open_server(Config(rate_limit=False), listeners=[listener], work_clock=trio.current_time),
        connect(name="ada", dial=dial, clock_s=trio.current_time) as ada,
    ):
        await ada.join("lobby")
        began = trio.current_time()
        await say_all(ada, [str(n) for n in range(300)], numbers)
        assert trio.current_time() - began < 1
    assert numbers == list(range(1, 301))
