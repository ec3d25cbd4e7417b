"""A journal whose disk is slow, or sometimes fails, before or after it has written, or loses its tail.

A journal with durability `normal` may lose its tail when its machine crashes: the oldest commits are kept,
whole commits of all rooms in their order, and the rooms have new epochs.
"""

from collections.abc import Callable
from random import Random

import trio
from msgspec import Struct

from trio_chat.errors import StoreError
from trio_chat.journal.store import (
    CommitResult,
    Draft,
    EntryPage,
    Matches,
    Position,
    RoomRecord,
    RoomTimes,
    Store,
    never,
)

__all__ = ["FaultyDisk", "UnreliableStore"]


class FaultyDisk(Struct, frozen=True):
    """The faults of a disk: the longest time of a commit and of a read, and the share of each that fails.
    About half of the failed commits have written everything."""

    commit_s: float = 0.0
    read_s: float = 0.0
    fails: float = 0.0

    @classmethod
    def draw(cls, random: Random) -> "FaultyDisk":
        return cls(
            commit_s=random.choice([0.0, 0.0, 0.001, 0.1]),
            read_s=random.choice([0.0, 0.0, 0.05, 0.5]),
            fails=random.choice([0.0, 0.0, 0.0, 0.1, 0.4]),
        )


class UnreliableStore:
    """A store on a `FaultyDisk`; it forwards each call to the inner store."""

    def __init__(self, inner: Store, disk: FaultyDisk, random: Random) -> None:
        self.kept = inner.kept
        self.server_id = inner.server_id
        self.tidies = inner.tidies
        self.disk = disk
        """May be replaced at any time, for example by a disk without faults."""
        self._inner = inner
        self._random = random
        self._commits: list[tuple[list[Draft], int]] = []  # all of a run: it is in memory anyway

    async def open(self, room: str, shown: str) -> RoomRecord:
        await self._spin(self.disk.read_s)
        if self._random.random() < self.disk.fails:
            raise StoreError("input/output error")
        return await self._inner.open(room, shown)

    def close(self, room: str) -> None:
        self._inner.close(room)

    def first(self, room: str) -> int:
        return self._inner.first(room)

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        await self._spin(self.disk.commit_s)
        fate = self._random.random()
        if fate < self.disk.fails / 2:
            raise StoreError("no space left on device")
        outcomes = await self._inner.commit(drafts, now_ms)
        self._commits.append((drafts, now_ms))
        if fate < self.disk.fails:
            raise StoreError("the answer of the disk was lost")
        return outcomes

    async def lose_tail(self, fresh: Store, commits: int) -> None:
        """Switch to `fresh`, a store with the entries that this one started with, and commit to it all later
        drafts except those of the newest `commits` commits. Do not use this store meanwhile."""
        del self._commits[max(0, len(self._commits) - commits) :]
        rooms = {draft.room: draft.shown for drafts, _ in self._commits for draft in drafts}
        for room, shown in rooms.items():
            await fresh.open(room, shown)
        for drafts, now_ms in self._commits:
            await fresh.commit(drafts, now_ms)
        for room in rooms:
            fresh.close(room)
        self._inner = fresh

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        await self._spin(self.disk.read_s)
        if self._random.random() < self.disk.fails:
            raise StoreError("input/output error")
        return await self._inner.read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)

    async def search(
        self,
        rooms: dict[str, int],
        text: str,
        below: Position | None,
        limit: int,
        *,
        is_abandoned: Callable[[], bool] = never,
    ) -> Matches:
        await self._spin(self.disk.read_s)
        if self._random.random() < self.disk.fails:
            raise StoreError("input/output error")
        return await self._inner.search(rooms, text, below, limit, is_abandoned=is_abandoned)

    async def room_times(self, limit_ms: int, names_max: int) -> RoomTimes:
        return await self._inner.room_times(limit_ms, names_max)

    @property
    def backlog(self) -> int:
        return self._inner.backlog

    async def tidy(self, now_ms: int) -> bool:
        await self._spin(self.disk.commit_s)
        if self._random.random() < self.disk.fails:
            raise StoreError("no space left on device")
        return await self._inner.tidy(now_ms)

    async def probe(self) -> None:
        await self._spin(self.disk.commit_s)
        if self._random.random() < self.disk.fails:
            raise StoreError("no space left on device")
        await self._inner.probe()

    async def aclose(self) -> None:
        """Close nothing: the next server starts with the entries in this store."""
        await trio.lowlevel.checkpoint()

    async def _spin(self, most_s: float) -> None:
        if most_s:
            await trio.sleep(most_s * self._random.random())
        else:
            await trio.lowlevel.checkpoint()
