"""A chat with faults of the network and restarts of the server, with or without its journal.

    result = simulate(seed, talk).value

Two programs talk and listen, each in a `Chat` that reconnects by itself; they do nothing about the faults.
"""

from collections.abc import Awaitable, Callable

import trio
from trio.testing import wait_all_tasks_blocked

from tests.server.harness import START_MS
from trio_chat.client import Chat, ClientEvent, Disconnected, connect
from trio_chat.errors import Refused
from trio_chat.journal.memory import MemoryStore
from trio_chat.server.config import Config
from trio_chat.server.serve import open_server
from trio_chat.testing import MemoryNetwork, Simulation
from trio_chat.testing.chat.faulty_store import FaultyDisk, UnreliableStore
from trio_chat.testing.faults import Cut, Partition, Rst, Rule, Silence
from trio_chat.wire.messages import Said

__all__ = ["NAMES", "ROOMS", "SAYS", "FaultyChat", "talk"]

ROOMS = ("lobby", "attic")
NAMES = ("ada", "bob")
SAYS = 12  # of each, in each room
DISK = FaultyDisk(commit_s=0.1, read_s=0.1)


class FaultyChat:
    """The messages that were sent and received. With `forgets` the server restarts with an empty journal."""

    def __init__(self, sim: Simulation, *, forgets: bool) -> None:
        self.sim = sim
        self.forgets = forgets
        self.network = MemoryNetwork(sim.fork("network"))
        self.numbers: dict[str, int] = {}
        """By text: the number in its acknowledgement."""
        self.heard: dict[str, list[ClientEvent]] = {name: [] for name in NAMES}
        self.is_over = trio.Event()
        self.is_steady = trio.Event()
        self._random = sim.fork("talk")

    @property
    def outages(self) -> int:
        """The number of outages of both programs."""
        return sum(isinstance(event, Disconnected) for heard in self.heard.values() for event in heard)

    # --- the server ---------------------------------------------------------------------------------

    def _new_store(self) -> UnreliableStore:
        journal = MemoryStore(random_bytes=self._random.randbytes, clock=trio.current_time)
        return UnreliableStore(journal, DISK, self._random)

    async def serve(self) -> None:
        """Run a server and restart it, gracefully or by force, until the talk is over; then keep it up."""
        store = self._new_store()
        while True:
            with trio.CancelScope() as killed:
                async with open_server(
                    Config(rate_limit=False),
                    store=store,
                    listeners=[self.network.listen("server")],
                    clock_ms=lambda: START_MS + int(trio.current_time() * 1_000),
                    random_bytes=self._random.randbytes,
                ):
                    if self.is_over.is_set():
                        self.is_steady.set()
                        await trio.sleep_forever()
                    await trio.sleep(self._random.uniform(1, 40))
                    if self._random.random() < 0.5:
                        killed.cancel()
                        await trio.lowlevel.checkpoint()
            if self.forgets:
                store = self._new_store()
            await trio.sleep(self._random.choice([0, 0, 1, 20]))

    # --- the network --------------------------------------------------------------------------------

    async def break_the_network(self) -> None:
        """Inject one fault after another, until the talk is over."""
        random = self._random
        while not self.is_over.is_set():
            await trio.sleep(random.expovariate(1 / 8))
            rules: list[Rule] = [Rst(), Rst(), Silence(), Partition(), Cut(random.randrange(300))]
            with self.network.fault(random.choice(rules), random.choice(NAMES), "server", both=True):
                await trio.sleep(random.choice([0, 0.1, 10]))

    # --- the programs -------------------------------------------------------------------------------

    async def live(self, name: str, *, task_status: trio.TaskStatus[Chat]) -> None:
        """Connect and join the rooms, then listen."""
        random = self.sim.fork(name)
        async with connect(
            "server",
            name=name,
            token=f"{name}-and-a-token-of-its-own",
            dial=self.network.dialler(name),
            inbox_events=random.choice([2, 1024]),
            ref_prefix=name,
            random=random.random,
            clock_s=trio.current_time,
        ) as chat:
            for room in ROOMS:
                await chat.join(room)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, chat, name)
                task_status.started(chat)

    async def _listen(self, chat: Chat, name: str) -> None:
        heard = self.heard[name]
        last = {f"{each} is done in {room}" for each in NAMES for room in ROOMS}
        async for event in chat:
            heard.append(event)
            if isinstance(event, Said):
                last.discard(event.text)
            if not last:
                return
            await trio.sleep(0 if self.is_over.is_set() else 0.1)

    async def speak(self, chat: Chat, name: str, room: str) -> None:
        """Say one message after another, each after the acknowledgement of the previous one."""
        random = self.sim.fork(f"{name} in {room}")
        for n in range(SAYS):
            await trio.sleep(random.uniform(0, 20))
            await self._say(chat, room, f"{name} says {n} in {room}")

    async def begin(self, chat: Chat, name: str, room: str) -> None:
        """Say something before the faults begin: a journal in memory forgets an empty room."""
        await self._say(chat, room, f"{name} begins in {room}")

    async def end(self, chat: Chat, name: str, room: str) -> None:
        """Say the last message."""
        await self._say(chat, room, f"{name} is done in {room}")

    async def _say(self, chat: Chat, room: str, text: str) -> None:
        """Say a message until it is committed: a server that is stopped by force may refuse it."""
        ref = text.replace(" ", "-")
        while text not in self.numbers:
            try:
                self.numbers[text] = await chat.say(room, text, ref=ref)
            except Refused as refusal:
                assert refusal.code == "unavailable", refusal
                await trio.sleep(1)


async def talk(sim: Simulation, *, forgets: bool = False) -> FaultyChat:
    """Let both programs join both rooms, and inject faults until they have said all messages."""
    result = FaultyChat(sim, forgets=forgets)

    async def all_together(what: Callable[[Chat, str, str], Awaitable[None]]) -> None:
        async with trio.open_nursery() as speaking:
            for name, chat in chats.items():
                for room in ROOMS:
                    speaking.start_soon(what, chat, name, room)

    async with trio.open_nursery() as world:
        world.start_soon(result.serve)
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as living:
            chats = {name: await living.start(result.live, name) for name in NAMES}
            await all_together(result.begin)
            world.start_soon(result.break_the_network)
            await all_together(result.speak)
            result.is_over.set()
            await result.is_steady.wait()
            await all_together(result.end)
        world.cancel_scope.cancel()
    return result
