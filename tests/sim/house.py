"""A simulated server for raw clients: `tests/server/harness.py` on a `MemoryNetwork`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from tests.server.harness import START_MS, Observer, RawClient
from trio_chat.journal.store import Store
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import Server, open_server
from trio_chat.testing import MemoryNetwork, Simulation
from trio_chat.testing.chat.work import DrawnWork
from trio_chat.wire.messages import Presence

__all__ = ["House", "open_house"]

SERVER = "server"


class House:
    """The network and the server in it; a peer's host has the peer's name."""

    def __init__(self, network: MemoryNetwork, server: Server) -> None:
        self.network = network
        self.server = server
        self.peers: list[RawClient] = []

    async def enter(self, name: str, *rooms: str, token: str = "") -> RawClient:
        peer = RawClient(await self.network.dial(name, SERVER))
        self.peers.append(peer)
        await peer.hello(name, token)
        for room in rooms:
            await peer.join(room)
        return peer

    async def observer(self, room: str = "lobby") -> Observer:
        zoe = Observer(await self.network.dial("zoe", SERVER))
        self.peers.append(zoe)
        zoe.room = room
        await zoe.hello("zoe")
        await zoe.join(room)
        await zoe.expect(Presence, joined=["zoe"])
        return zoe

    def is_known(self, *names: str) -> list[str]:
        """Return the names among these that are taken."""
        return [name for name in names if name in self.server.hub._names]


@asynccontextmanager
async def open_house(sim: Simulation, *, store: Store | None = None, **limits: int) -> AsyncGenerator[House]:
    """A server for as long as the block lasts; the simulation looks that nothing of it is left behind.

    What the block raises comes out as it is, and not as a group for each nursery of the server.
    """
    failure: Exception | None = None
    network = MemoryNetwork(sim.fork("network"), sim.note)
    sim.leaves_nothing(network.left_behind)
    async with open_server(
        Config(rate_limit=False, limits=Limits(**limits)),
        store=store,
        listeners=[network.listen(SERVER)],
        clock_ms=lambda: START_MS + int(trio.current_time() * 1_000),
        random_bytes=sim.fork(f"server at {trio.current_time()}").randbytes,
        work_clock=DrawnWork(sim.fork(f"work at {trio.current_time()}")),
    ) as server:
        sim.leaves_nothing(lambda: _left(server))
        house = House(network, server)
        try:
            yield house
        except Exception as error:  # noqa: BLE001
            failure = error
    for peer in house.peers:
        peer.link.close()  # idempotent; what is open then is the server's
    if failure is not None:
        raise failure


def _left(server: Server) -> list[str]:
    left = [f"the room {room}" for room in server.hub.rooms]
    left += [f"the name {name}" for name in server.hub._names]
    left += [f"{server.sessions} sessions"] if server.sessions else []
    left += [f"{len(server.streams)} feeds"] if len(server.streams) else []
    left += [f"{server.connections} connections counted"] if server.connections else []
    return left
