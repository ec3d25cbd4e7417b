"""Two hosts and a connection between them, for stories of what befalls it."""

from math import inf
from random import Random

import trio

from trio_chat.net.link import Link
from trio_chat.testing.listener import MemoryListener
from trio_chat.testing.network import MemoryNetwork

__all__ = ["BUFFER_BYTES", "World", "arrivals", "nothing_comes", "open_world"]

BUFFER_BYTES = 1_000


class World:
    """A network, a server that listens, and one connection of ada's."""

    def __init__(self, network: MemoryNetwork, listener: MemoryListener, ada: Link, server: Link) -> None:
        self.network = network
        self.listener = listener
        self.ada = ada
        self.server = server

    async def another(self, host: str) -> tuple[Link, Link]:
        here = await self.network.dial(host, "server")
        (there,) = await self.listener.accept()
        return here, there


async def open_world() -> World:
    network = MemoryNetwork(Random(1), buffer_bytes=BUFFER_BYTES)
    listener = network.listen("server")
    ada = await network.dial("ada", "server")
    (server,) = await listener.accept()
    return World(network, listener, ada, server)


async def arrivals(link: Link, until_s: float = inf) -> list[tuple[float, bytes]]:
    """What can be read until so long from now or the end, and when it came, in seconds from now."""
    began = trio.current_time()
    came = []
    with trio.move_on_after(until_s):
        while data := await link.receive_some():
            came.append((round(trio.current_time() - began, 6), data))
    return came


async def nothing_comes(link: Link, seconds: float = 1_000) -> None:
    assert await arrivals(link, seconds) == []
