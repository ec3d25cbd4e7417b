"""Row 30 for programs that use our client: the machine of their server goes down, and takes the newest of
what was said with it.

Each program talks and listens in one `Chat`, which reconnects by itself. It hears `Disconnected` and
`Reconnected`, and
a `Room` when the history is another one: what it hears from then on is that, from its newest entries on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import trio

from tests.server.harness import START_MS
from trio_chat.client import Chat, Disconnected, Reconnected, connect
from trio_chat.errors import Refused
from trio_chat.journal.memory import MemoryStore
from trio_chat.server.config import Config
from trio_chat.server.serve import open_server
from trio_chat.testing import MemoryNetwork, Simulation
from trio_chat.testing.chat import FaultyDisk, UnreliableStore
from trio_chat.testing.chat.bugs import logged_bugs
from trio_chat.testing.chat.work import DrawnWork
from trio_chat.wire.messages import Gap, Room, Said

__all__ = ["fallen_machines"]

SERVER = "server"
NAMES = ("ada", "bob", "eve")
SAYS = 30  # of each

T = TypeVar("T")


class _Heard:
    """What a program was told: its histories of the room, in the order in which it came to know them."""

    def __init__(self, epoch: str) -> None:
        self.histories: list[tuple[str, list[Said]]] = [(epoch, [])]
        self.is_out = False
        self.outages = 0

    def hear(self, event: object) -> None:
        match event:
            case Disconnected():
                assert not self.is_out, "one for each outage"
                self.is_out = True
                self.outages += 1
            case Reconnected():
                assert self.is_out
                self.is_out = False
            case Room():
                assert not event.resumed and event.epoch != self.histories[-1][0]
                self.histories.append((event.epoch, []))
            case Said():
                entries = self.histories[-1][1]
                assert not entries or event.seq == entries[-1].seq + 1, f"{event.seq} after {entries[-1].seq}"
                entries.append(event)
            case Gap():
                assert not event.kept, "only what is lost can be left out"
            case _:
                pass

    @property
    def texts(self) -> list[str]:
        """Of the history it is in now."""
        return [entry.text for entry in self.histories[-1][1]]


class _Scene:
    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.random = sim.fork("machine")
        self.network = MemoryNetwork(sim.fork("network"), sim.note)
        self.heard: dict[str, _Heard] = {}
        self.numbers: dict[str, int] = {}  # by text, of what was said when there were no more falls
        self._falls_left = self.random.choice([1, 2, 4])
        self._stands = trio.Event()

    def new_journal(self) -> MemoryStore:
        return MemoryStore(random_bytes=self.random.randbytes, clock=trio.current_time)

    async def run(self) -> None:
        async with trio.open_nursery() as machine:
            await machine.start(self._run_server)
            async with trio.open_nursery() as programs:
                for name in NAMES:
                    programs.start_soon(self._live, name)
            machine.cancel_scope.cancel()

    async def _run_server(self, *, task_status: trio.TaskStatus[None]) -> None:
        """A server that falls with its machine, and the next one on what is left; the last one stays."""
        disk = FaultyDisk(
            commit_s=self.random.choice([0.0, 0.1, 0.5]), fails=self.random.choice([0.0, 0.0, 0.2])
        )
        store = UnreliableStore(self.new_journal(), disk, self.sim.fork("disk"))
        while True:
            with trio.CancelScope() as fall:
                async with open_server(
                    Config(rate_limit=False),
                    store=store,
                    listeners=[self.network.listen(SERVER)],
                    clock_ms=lambda: START_MS + int(trio.current_time() * 1_000),
                    random_bytes=self.random.randbytes,
                    work_clock=DrawnWork(self.sim.fork(f"work at {trio.current_time()}")),
                ):
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
                    if not self._falls_left:
                        store.disk = FaultyDisk()
                        self._stands.set()
                        await trio.sleep_forever()
                    await trio.sleep(self.random.uniform(1, 15))
                    fall.cancel()
                    await trio.lowlevel.checkpoint()
            self._falls_left -= 1
            await store.lose_tail(self.new_journal(), self.random.choice([0, 1, 5, 1_000]))
            await trio.sleep(self.random.choice([0, 1, 20]))

    async def _live(self, name: str) -> None:
        async with connect(
            SERVER,
            name=name,
            token=f"{name}-and-a-token-of-its-own",
            dial=self.network.dialler(name),
            ref_prefix=name,
            random=self.sim.fork(name).random,
            clock_s=trio.current_time,
        ) as chat:
            room = await _until_it_can(partial(chat.join, "lobby"))
            self.heard[name] = heard = _Heard(room.epoch)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._talk, chat, name)
                async for event in chat:
                    heard.hear(event)
                    if {f"{each} is done" for each in NAMES} <= set(heard.texts):
                        break

    async def _talk(self, chat: Chat, name: str) -> None:
        for number in range(SAYS):
            text = f"{name} says {number}"
            await _until_it_can(partial(chat.say, "lobby", text, ref=text.replace(" ", "-")))
            await trio.sleep(self.random.uniform(0, 1))
        await self._stands.wait()
        text = f"{name} is done"
        self.numbers[text] = await chat.say("lobby", text)


async def _until_it_can(call: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await call()
        except Refused as refused:
            assert refused.code == "unavailable"
            await trio.sleep(1)


async def fallen_machines(sim: Simulation) -> None:
    """Under one epoch a number is one text, for all and for ever; in the end all are in the same history, and
    what was acked in that is there, once."""
    scene = _Scene(sim)
    with logged_bugs() as bugs:
        await scene.run()
    assert not bugs
    known: dict[tuple[str, int], str] = {}
    for heard in scene.heard.values():
        for epoch, entries in heard.histories:
            for entry in entries:
                assert known.setdefault((epoch, entry.seq), entry.text) == entry.text
        assert heard.histories[0][0] != heard.histories[-1][0] and heard.outages >= 1, "it was told of a fall"
    assert len({heard.histories[-1][0] for heard in scene.heard.values()}) == 1
    for heard in scene.heard.values():
        last = {entry.text: entry.seq for entry in heard.histories[-1][1]}
        assert len(last) == len(heard.texts), "each once"
        assert scene.numbers.items() <= last.items()
    sim.leaves_nothing(scene.network.left_behind)
