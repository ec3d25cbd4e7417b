"""A journal whose disk is slow, or fails now and then, before or after it has written, or loses its tail.

The last is what a journal with durability `normal` may do when its machine goes down: the first part of what
was committed is there, whole commits of all rooms in their order, and the rooms have new epochs.
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
    """How bad a disk is: what a commit and a read take at most, and what share of each fails. A commit that
    fails has written everything, as often as not."""

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
    """A store on such a disk; what it does, the inner one does."""

    def __init__(self, inner: Store, disk: FaultyDisk, random: Random) -> None:
        self.kept = inner.kept
        self.server_id = inner.server_id
        self.tidies = inner.tidies
        self.disk = disk
        """May be replaced at any time, as by one that is well."""
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
        """Go on with another store, which has what this one began with, and is told what was committed since
        but for the newest so many commits. Nobody may use this one meanwhile."""
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
        """Nothing is closed: the next server begins with what is held here."""
        await trio.lowlevel.checkpoint()

    async def _spin(self, most_s: float) -> None:
        if most_s:
            await trio.sleep(most_s * self._random.random())
        else:
            await trio.lowlevel.checkpoint()
