"""What an attack function is given: the server, connections to it, and a place for what it saw.

An attack prepares itself as it likes, and then attacks inside `async with context.attacking() as nursery`.
The block lasts as long as the attack is to last, and cancels what still runs. After it the function may
require that the server did right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import trio

from tests.siege.client import ConnectionLost, RawClient

__all__ = ["AttackContext"]

Opening = Callable[[], Awaitable[RawClient]]

AT_ONCE = 64  # connections being opened
RETRY_S = 0.02


@dataclass
class AttackContext:
    """One attack on one server."""

    port: int
    server_pid: int
    seconds: float
    quick: bool
    sessions: int
    journal: Path | None
    report: Callable[[str], None]
    """Tells the runner that the attack begins or ends."""
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    began_at: float = 0.0
    _names: count[int] = field(default_factory=lambda: count(1))
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Close the clients of `members` when the block is left."""
        async with self._open:
            yield

    @asynccontextmanager
    async def attacking(self) -> AsyncGenerator[trio.Nursery]:
        """Attack for `seconds`, with a nursery whose tasks are cancelled then."""
        self.began_at = trio.current_time()
        self.report("begin")
        with trio.move_on_after(self.seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)  # what was started has effects until the end
                yield nursery
        self.report("end")

    @property
    def elapsed_s(self) -> float:
        """How long it is since the attack began."""
        return trio.current_time() - self.began_at

    def require(self, held: bool, fault: str) -> None:
        """Register a fault of the server unless something held."""
        if not held:
            self.faults.append(fault)

    def scaled(self, full: int, quick: int) -> int:
        """Return the size for the full or for the short form."""
        return quick if self.quick else full

    def name(self) -> str:
        """Return a new name, since the last session of an old name may still be leaving."""
        return f"a{next(self._names)}"

    # --- connections ----------------------------------------------------------------------------------

    async def connect(self, *, source: str = "", receive_bytes: int = 0) -> RawClient:
        """Open a connection that has said nothing yet."""
        return await RawClient.connect(self.port, source=source, receive_bytes=receive_bytes)

    async def member(self, *rooms: str, receive_bytes: int = 0) -> RawClient:
        """Open a connection, say hello under a new name and join rooms."""
        client = await self.connect(receive_bytes=receive_bytes)
        try:
            await client.hello(self.name())
            if rooms:
                await client.join(*rooms)
        except BaseException:
            client.close()
            raise
        return client

    async def socket_member(self) -> RawClient:
        """Open a WebSocket and say hello under a new name."""
        client = await self.connect()
        try:
            await client.upgrade(self.name())
        except BaseException:
            client.close()
            raise
        return client

    async def open_all(self, number: int, opening: Opening) -> list[RawClient]:
        """Open many connections, some at a time; they stay open until the attack function has returned.

        A connection that the server refuses is counted as `refused` and left out.
        """
        clients: list[RawClient] = []
        limit = trio.CapacityLimiter(AT_ONCE)

        async def open_one() -> None:
            async with limit:
                try:
                    client = await opening()
                except ConnectionLost:
                    self.counts["refused"] += 1
                    return
            clients.append(await self._open.enter_async_context(client))

        async with trio.open_nursery() as nursery:
            for _ in range(number):
                nursery.start_soon(open_one)
        return clients

    async def members(self, number: int, *rooms: str) -> list[RawClient]:
        """Open many connections, each of a member in these rooms."""
        return await self.open_all(number, lambda: self.member(*rooms))

    async def reconnecting(
        self, opening: Opening, send: Callable[[RawClient], Awaitable[None]], reads: bool = True
    ) -> None:
        """Open a connection, send until it is lost, and begin again, until cancelled."""
        while True:
            try:
                async with await opening() as client, trio.open_nursery() as nursery:
                    self.counts["connections"] += 1
                    if reads:
                        nursery.start_soon(client.discard)
                    await _until_lost(client, send)
                    nursery.cancel_scope.cancel()
            except ConnectionLost:
                await trio.sleep(RETRY_S)


async def _until_lost(client: RawClient, send: Callable[[RawClient], Awaitable[None]]) -> None:
    with suppress(ConnectionLost):
        await send(client)
