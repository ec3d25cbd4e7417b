"""Stores for tests: they are slow, fail before or after they have written, or have a bug.

Each wraps another store, by default a `MemoryStore`, so they can be combined. All other calls go to the
inner store unchanged.
"""

from collections.abc import Callable, Iterable, Iterator

import trio

from trio_chat.errors import StoreError
from trio_chat.journal.memory import MemoryStore
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

__all__ = [
    "BuggyStore",
    "FailingStore",
    "HeldStore",
    "MissingResultStore",
    "ScriptedStore",
    "SlowStore",
    "WriteThenFailStore",
    "held_entries",
]


class _WrappingStore:
    """A store that forwards all calls to the inner store, and records the batches."""

    def __init__(self, inner: Store | None = None) -> None:
        self.inner: Store = MemoryStore() if inner is None else inner
        self.kept = self.inner.kept
        self.server_id = self.inner.server_id
        self.tidies = self.inner.tidies
        self.batches: list[list[Draft]] = []

    async def open(self, room: str, shown: str) -> RoomRecord:
        return await self.inner.open(room, shown)

    def close(self, room: str) -> None:
        self.inner.close(room)

    def first(self, room: str) -> int:
        return self.inner.first(room)

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        self.batches.append(drafts)
        return await self.inner.commit(drafts, now_ms)

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        return await self.inner.read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)

    async def search(
        self,
        rooms: dict[str, int],
        text: str,
        below: Position | None,
        limit: int,
        *,
        is_abandoned: Callable[[], bool] = never,
    ) -> Matches:
        return await self.inner.search(rooms, text, below, limit, is_abandoned=is_abandoned)

    async def room_times(self, limit_ms: int, names_max: int) -> RoomTimes:
        return await self.inner.room_times(limit_ms, names_max)

    @property
    def backlog(self) -> int:
        return self.inner.backlog

    async def tidy(self, now_ms: int) -> bool:
        return await self.inner.tidy(now_ms)

    async def probe(self) -> None:
        await self.inner.probe()

    async def aclose(self) -> None:
        await self.inner.aclose()


class SlowStore(_WrappingStore):
    """Delays each call by Trio's clock: `commit_s` for a batch, `read_s` for a page, `open_s` for a room."""

    def __init__(
        self, inner: Store | None = None, *, commit_s: float = 0, read_s: float = 0, open_s: float = 0
    ) -> None:
        super().__init__(inner)
        self.commit_s = commit_s
        self.read_s = read_s
        self.open_s = open_s

    async def open(self, room: str, shown: str) -> RoomRecord:
        await trio.sleep(self.open_s)
        return await super().open(room, shown)

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        await trio.sleep(self.commit_s)
        return await super().commit(drafts, now_ms)

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        await trio.sleep(self.read_s)
        return await super().read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)


class HeldStore(_WrappingStore):
    """Holds each commit until `release` is called, and each read as well once `holds_reads` is set.

    `waiting` is the number of calls that are held.
    """

    def __init__(self, inner: Store | None = None) -> None:
        super().__init__(inner)
        self.holds_commits = True
        self.holds_reads = False
        self.waiting = 0
        self._lot = trio.lowlevel.ParkingLot()

    def release(self, count: int = 1) -> None:
        """Let the oldest `count` held calls continue."""
        assert self.waiting >= count, f"{self.waiting} wait, not {count}"
        self._lot.unpark(count=count)

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        self.batches.append(drafts)
        if self.holds_commits:
            await self._wait()
        return await self.inner.commit(drafts, now_ms)

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        if self.holds_reads:
            await self._wait()
        return await super().read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)

    async def _wait(self) -> None:
        self.waiting += 1
        try:
            await self._lot.park()
        finally:
            self.waiting -= 1


class FailingStore(_WrappingStore):
    """A disk that is full while `failing`: nothing is written. With `reading_fails` it cannot be read
    either, with `opening_fails` no room can be opened, with `tidying_fails` nothing is tidied."""

    def __init__(self, inner: Store | None = None, *, failing: bool = True) -> None:
        super().__init__(inner)
        self.failing = failing
        self.reading_fails = False
        self.opening_fails = False
        self.tidying_fails = False
        self.probes: list[float] = []
        """When it was probed, by Trio's clock."""

    async def open(self, room: str, shown: str) -> RoomRecord:
        if self.opening_fails:
            await trio.lowlevel.checkpoint()
            raise StoreError("no such file")
        return await super().open(room, shown)

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        if self.failing:
            self.batches.append(drafts)
            await trio.lowlevel.checkpoint()
            raise StoreError("no space left on device")
        return await super().commit(drafts, now_ms)

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        if self.reading_fails:
            await trio.lowlevel.checkpoint()
            raise StoreError("input/output error")
        return await super().read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)

    async def search(
        self,
        rooms: dict[str, int],
        text: str,
        below: Position | None,
        limit: int,
        *,
        is_abandoned: Callable[[], bool] = never,
    ) -> Matches:
        if self.reading_fails:
            await trio.lowlevel.checkpoint()
            raise StoreError("input/output error")
        return await super().search(rooms, text, below, limit, is_abandoned=is_abandoned)

    async def tidy(self, now_ms: int) -> bool:
        if self.tidying_fails:
            await trio.lowlevel.checkpoint()
            raise StoreError("no space left on device")
        return await super().tidy(now_ms)

    async def probe(self) -> None:
        self.probes.append(trio.current_time())
        if self.failing:
            await trio.lowlevel.checkpoint()
            raise StoreError("no space left on device")
        await super().probe()


class WriteThenFailStore(FailingStore):
    """Writes the whole batch, and then reports a failure while `failing`."""

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        outcomes = await _WrappingStore.commit(self, drafts, now_ms)
        if self.failing:
            raise StoreError("the answer of the disk was lost")
        return outcomes


class BuggyStore(_WrappingStore):
    """A store with a bug, while `failing`: before it has written, or after it."""

    def __init__(self, inner: Store | None = None, *, failing: bool = True, writes: bool = False) -> None:
        super().__init__(inner)
        self.failing = failing
        self.writes = writes

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        if not self.failing:
            return await super().commit(drafts, now_ms)
        if self.writes:
            await super().commit(drafts, now_ms)
        else:
            self.batches.append(drafts)
            await trio.lowlevel.checkpoint()
        return [CommitResult(1 // 0, None)]

    async def probe(self) -> None:
        await super().probe()
        if self.failing:
            raise ZeroDivisionError("a bug")


class MissingResultStore(_WrappingStore):
    """Writes the whole batch, but returns no result for its last draft."""

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        return (await super().commit(drafts, now_ms))[: len(drafts) - 1 or None]


class ScriptedStore(_WrappingStore):
    """Takes one outcome for each commit and each read, and succeeds once they are used up.

    An outcome is `well`, `slow` (a second by Trio's clock), `before` or `after` (a failure before or after
    the work), `bug` or `bug after`.
    """

    def __init__(
        self, inner: Store | None = None, *, commits: Iterable[str] = (), reads: Iterable[str] = ()
    ) -> None:
        super().__init__(inner)
        self._commits = iter(commits)
        self._reads = iter(reads)

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        fails = await _next_outcome(self._commits)
        outcomes = await super().commit(drafts, now_ms)
        fails()
        return outcomes

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        fails = await _next_outcome(self._reads)
        page = await super().read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)
        fails()
        return page


async def _next_outcome(outcomes: Iterator[str]) -> Callable[[], object]:
    """Apply the part of the next outcome before the work; return the function to call after the work."""
    outcome = next(outcomes, "well")
    await trio.sleep(1 if outcome == "slow" else 0)
    if outcome == "before":
        raise StoreError("no space left on device")
    if outcome == "bug":
        raise ZeroDivisionError("a bug")
    return {"after": _fail, "bug after": _raise_bug}.get(outcome, _succeed)


def _succeed() -> None:
    pass


def _fail() -> None:
    raise StoreError("the answer of the disk was lost")


def _raise_bug() -> None:
    raise ZeroDivisionError("a bug")


async def held_entries(store: Store, room: str) -> list[bytes]:
    """Return the payloads of all entries that a store holds of an open room."""
    page = await store.read(room, 0, 2**53, entries_max=10**9, bytes_max=10**12)
    return page.payloads
