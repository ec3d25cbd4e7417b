"""Programs that say more than the server allows, over restarts and bad networks.

Each says all it has at once, or nearly, some in two Chats of one token, which share a rate. In the end each
message was acked, and is in the room once; those of one Chat are there in the order in which it said them.
"""

from __future__ import annotations

from functools import partial

import trio

from tests.server.harness import START_MS
from trio_chat.client import Chat, connect
from trio_chat.journal.memory import MemoryStore
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import open_server
from trio_chat.testing import MemoryNetwork, Simulation
from trio_chat.testing.chat.bugs import logged_bugs
from trio_chat.testing.chat.work import DrawnWork
from trio_chat.testing.faults import Bandwidth, Latency, Rule, Split
from trio_chat.wire.messages import Said, TopicChanged

__all__ = ["too_much_to_say"]

SERVER = "server"
SAYS = 25  # of each Chat
PATIENCE_S = 600  # for all of them; the slowest rate is one a second


class _Scene:
    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.random = random = sim.fork("rates")
        self.network = MemoryNetwork(sim.fork("network"), sim.note, random.choice([700, 8_000]))
        self.numbers: dict[str, int] = {}  # by text
        burst, per_s = random.choice([(1, 1), (4, 2), (20, 5), (20, 200)])
        self.config = Config(
            limits=Limits(
                text_bytes=1_000,
                talk_burst=burst,
                talk_per_s=per_s,
                talk_bytes_burst=random.choice([2_000, 100_000]),
                talk_bytes_per_s=random.choice([1_000, 100_000]),
            )
        )
        self.chats = [("ada", "a"), ("ada", "b"), ("bob", "c")]  # the member, and the name of its Chat
        self.store = MemoryStore(random_bytes=random.randbytes, clock=trio.current_time)
        self._restarts = random.choice([0, 1, 3])
        self._joined = 0
        self._all_joined = trio.Event()
        self._stays = trio.Event()

    async def run(self) -> list[Said | TopicChanged]:
        """Return what is in the room in the end."""
        rules: list[Rule] = [Split(5), Latency(0.3, 0.3), Latency(2.0, 2.0), Bandwidth(2_000)]
        rule = self.random.choice(rules)
        async with trio.open_nursery() as machine:
            await machine.start(self._run_server)
            with trio.move_on_after(PATIENCE_S) as patience:
                async with trio.open_nursery() as programs:
                    for member, chat in self.chats:
                        programs.start_soon(self._live, member, chat)
                    await self._all_joined.wait()
                    with self.network.fault(rule, self.random.choice(["ada", "bob"]), SERVER, both=True):
                        await trio.sleep(self.random.choice([5, 60]))
            assert not patience.cancelled_caught, "a Chat has not said all it had"
            await self._stays.wait()
            entries = await self._read()
            machine.cancel_scope.cancel()
        return entries

    async def _run_server(self, *, task_status: trio.TaskStatus[None]) -> None:
        """A server that is restarted on its journal a few times; the last one stays."""
        while True:
            async with open_server(
                self.config,
                store=self.store,
                listeners=[self.network.listen(SERVER)],
                clock_ms=lambda: START_MS + int(trio.current_time() * 1_000),
                random_bytes=self.random.randbytes,
                work_clock=DrawnWork(self.sim.fork(f"work at {trio.current_time()}")),
            ):
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                await self._all_joined.wait()
                if not self._restarts:
                    self._stays.set()
                    await trio.sleep_forever()
                await trio.sleep(self.random.uniform(0.1, 8))
            self._restarts -= 1
            await trio.sleep(self.random.choice([0, 1, 20]))

    async def _live(self, member: str, name: str) -> None:
        async with connect(
            SERVER,
            name=member,
            token=f"{member}-and-a-token-of-its-own",
            dial=self.network.dialler(member),
            ref_prefix=name,
            random=self.sim.fork(name).random,
            clock_s=trio.current_time,
        ) as chat:
            await chat.join("lobby")
            self._joined += 1
            if self._joined == len(self.chats):
                self._all_joined.set()
            await self._all_joined.wait()
            pause_s = self.random.choice([0, 0, 0.05])
            async with trio.open_nursery() as nursery:
                for number in range(SAYS):
                    text = f"{name} says {number} ".ljust(self.random.choice([10, 10, 900]), ".")
                    # Begun here, so that the order is known: a task begins when its seed says.
                    await nursery.start(partial(self._say, chat, text))
                    await trio.sleep(pause_s)

    async def _say(self, chat: Chat, text: str, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        self.numbers[text] = await chat.say("lobby", text)

    async def _read(self) -> list[Said | TopicChanged]:
        entries: list[Said | TopicChanged] = []
        async with connect(
            SERVER, name="reader", dial=self.network.dialler("reader"), clock_s=trio.current_time
        ) as chat:
            room = await chat.join("lobby", after=0, epoch="any")
            while len(entries) < room.head:
                event = await anext(chat)
                if isinstance(event, Said | TopicChanged):
                    entries.append(event)
        return entries


async def too_much_to_say(sim: Simulation) -> None:
    """Everything is acked, and said once, in the order of its Chat; no call fails."""
    scene = _Scene(sim)
    with logged_bugs() as bugs:
        entries = await scene.run()
    assert not bugs
    assert {entry.text: entry.seq for entry in entries} == scene.numbers
    assert len(entries) == SAYS * len(scene.chats), "each once"
    for _, name in scene.chats:
        said = [int(entry.text.split()[2].rstrip(".")) for entry in entries if entry.text.startswith(name)]
        assert said == list(range(SAYS)), f"{name} was reordered"
    sim.leaves_nothing(scene.network.left_behind)
