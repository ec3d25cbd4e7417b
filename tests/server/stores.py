"""Stores for tests: a journal that takes its time, fails, fails after it has written, or has a bug.

Each wraps another store, a `MemoryStore` when nothing else is said, so that they can be put round each
other. What is not its point goes through to the inner store untouched.
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
    "FatedStore",
    "ForgetfulStore",
    "HeldStore",
    "SlowStore",
    "TornStore",
    "held_entries",
]


class _Around:
    """A store that does what the inner one does, and remembers the batches it was given."""

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


class SlowStore(_Around):
    """Takes its time, by Trio's clock: `commit_s` for a batch, `read_s` for a page, `open_s` for a room."""

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


class HeldStore(_Around):
    """Commits a batch only when told (`let_go`), and reads a page likewise once `holds_reads` is set.

    `waiting` is how many wait to be let go.
    """

    def __init__(self, inner: Store | None = None) -> None:
        super().__init__(inner)
        self.holds_commits = True
        self.holds_reads = False
        self.waiting = 0
        self._lot = trio.lowlevel.ParkingLot()

    def let_go(self, count: int = 1) -> None:
        """Let the first `count` of those who wait go on."""
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


class FailingStore(_Around):
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


class TornStore(FailingStore):
    """Writes the whole batch, and while `failing` says that it could not."""

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        outcomes = await _Around.commit(self, drafts, now_ms)
        if self.failing:
            raise StoreError("the answer of the disk was lost")
        return outcomes


class BuggyStore(_Around):
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


class ForgetfulStore(_Around):
    """Writes all of a batch, and does not say what became of the last of it."""

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        return (await super().commit(drafts, now_ms))[: len(drafts) - 1 or None]


class FatedStore(_Around):
    """Meets one fate a call, for commits and for reads, and is well when they are used up.

    A fate is one of `well`, `slow` (a second by Trio's clock), `before` and `after` (fails before or after
    the work is done), `bug` and `bug after`.
    """

    def __init__(
        self, inner: Store | None = None, *, commits: Iterable[str] = (), reads: Iterable[str] = ()
    ) -> None:
        super().__init__(inner)
        self._commits = iter(commits)
        self._reads = iter(reads)

    async def commit(self, drafts: list[Draft], now_ms: int) -> list[CommitResult]:
        fails = await _meet(self._commits)
        outcomes = await super().commit(drafts, now_ms)
        fails()
        return outcomes

    async def read(
        self, room: str, after: int, through: int, *, entries_max: int, bytes_max: int
    ) -> EntryPage:
        fails = await _meet(self._reads)
        page = await super().read(room, after, through, entries_max=entries_max, bytes_max=bytes_max)
        fails()
        return page


async def _meet(fates: Iterator[str]) -> Callable[[], object]:
    """Meet the next fate up to the work itself; what is given is to be called after it."""
    fate = next(fates, "well")
    await trio.sleep(1 if fate == "slow" else 0)
    if fate == "before":
        raise StoreError("no space left on device")
    if fate == "bug":
        raise ZeroDivisionError("a bug")
    return {"after": _fail, "bug after": _stumble}.get(fate, _go_on)


def _go_on() -> None:
    pass


def _fail() -> None:
    raise StoreError("the answer of the disk was lost")


def _stumble() -> None:
    raise ZeroDivisionError("a bug")


async def held_entries(store: Store, room: str) -> list[bytes]:
    """The payloads of all that a store holds of an open room."""
    page = await store.read(room, 0, 2**53, entries_max=10**9, bytes_max=10**12)
    return page.payloads
