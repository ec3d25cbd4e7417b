"""Commit, then show: the one task through which everything goes that a journal keeps.

An author gets a place in the bounded queue first (`place`), decides, and hands its draft over without
another checkpoint (`submit`). While one batch is being committed the next gathers by itself, so the
busier the server, the larger the batches and the cheaper each entry. Do not commit at once when it is
quiet: it destroys the gathering and gains nothing.

Nobody is shown an entry, or its ack, that the journal does not hold:

- A `ref` that is still pending gives no second draft. Its later senders wait for the first.
- If a commit fails, the batch and all that gathered behind it answer `unavailable`, in order. Nothing
  was shown, so nothing is undone. What may come after it: the store failed *after* writing. So before
  anything else is committed to those rooms, what they hold above the entries shown is read and shown.
- A store that fails by a bug fails like one whose disk is full, but loudly. A bug in this file ends the
  server, loudly too, and leaves no author waiting.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

import trio
from msgspec import Struct

from trio_chat.errors import Refused, StoreError
from trio_chat.wire.codec import decode_entry
from trio_chat.wire.messages import Retitled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio_chat.journal.store import Draft, Outcome, Store
    from trio_chat.server.tail import Feed

__all__ = ["Author", "Committer"]

log = logging.getLogger("trio_chat.commit")

BATCH_BYTES = 256 << 10  # of one commit; more would be one very long step for everybody
RETRY_S = 1.0  # how often a store that failed is looked at while nobody says anything
DRAFT_BYTES = 200  # what a draft takes beside its text, about
PAGE_ENTRIES = 500


class Author(Protocol):
    """Who waits for a draft. For each `submit` that did not raise, one of the first two is called, and
    `settled` once what was committed has been shown. None of them may raise."""

    def acked(self, ref: str, room: str, seq: int) -> None: ...

    def failed(self, ref: str, why: Refused) -> None: ...

    def settled(self) -> None: ...


_Key = tuple[str, bytes, str]  # room, token, ref


class _Pending(Struct, eq=False):
    """A draft on its way, and all who have sent it: one, unless it was sent again meanwhile. A Struct, since
    there is one for each message: a third of the cost of a class with slots."""

    feed: Feed
    draft: Draft
    authors: tuple[Author, ...]


class Committer:
    """The queue, the pending refs, and the task that commits (`run`)."""

    def __init__(
        self,
        store: Store,
        publish: Callable[[Feed, int, list[bytes]], Awaitable[None]],
        release: Callable[[Feed], None],
        *,
        clock_ms: Callable[[], int],
        queue_entries: int = 10_000,
        queue_bytes: int = 8 << 20,
    ) -> None:
        """`release` is called once for each use of a feed that has ended: each draft is one."""
        self._store = store
        self._publish = publish
        self._release = release
        self._clock_ms = clock_ms
        self._queue_entries = queue_entries
        self._queue_bytes = queue_bytes
        self._queue: deque[_Pending] = deque()
        self._batch: list[_Pending] = []
        self._bytes = 0
        self._again = 0  # how often what is pending was sent again
        self._refs: dict[_Key, _Pending] = {}
        self._doubtful: dict[Feed, None] = {}
        self._failing = False
        self._places = trio.lowlevel.ParkingLot()
        self._news = trio.Event()

    @property
    def full(self) -> bool:
        waiting = len(self._queue) + self._again
        return waiting >= self._queue_entries or self._bytes >= self._queue_bytes

    async def place(self) -> None:
        """Wait until the queue has a place; it is kept until the next checkpoint. Always passes one."""
        await trio.lowlevel.checkpoint()
        while self.full:
            await self._places.park()

    def submit(self, feed: Feed, draft: Draft, author: Author) -> None:
        """Queue a draft; its author hears how it ended. The feed is in use until then.

        Raises `Refused` with `ref_reuse` when the same `ref` is pending with something else.
        """
        pending = _Pending(feed, draft, (author,))
        if draft.ref:
            first = self._refs.setdefault((draft.room, draft.token, draft.ref), pending)
            if first is not pending:
                if not _same(first.draft, draft):
                    raise ref_reuse()
                first.authors += (author,)
                self._again += 1
                return
        feed.users += 1
        self._bytes += len(draft.text) + DRAFT_BYTES
        if not self._queue:
            self._news.set()
        self._queue.append(pending)

    async def run(self) -> None:
        """Commit what is queued, until cancelled; what is pending then fails as `unavailable`."""
        try:
            while True:
                await self._wait()
                try:
                    await self._clear_doubts()
                    self._take()
                    if not self._batch:
                        continue
                    drafts = [pending.draft for pending in self._batch]
                    outcomes = await self._store.commit(drafts, self._clock_ms())
                    assert len(outcomes) == len(drafts), "a store says of each draft what became of it"
                except StoreError as error:
                    if not self._failing:
                        log.error("the journal cannot be written: %s", error)
                    self._fail("the journal cannot be written")
                except Exception:
                    log.exception("the journal's store failed in a way it should not")
                    self._fail("the journal cannot be written")
                else:
                    self._failing = False
                    await self._show(outcomes)
        finally:
            self._fail("the server is stopping")

    async def _wait(self) -> None:
        """Wait for a draft; while there is a doubt, not for long."""
        if self._queue:
            return
        self._news = trio.Event()
        if not self._doubtful:
            await self._news.wait()  # without a scope around it: that cost a tenth of a quiet message
            return
        with trio.move_on_after(RETRY_S):
            await self._news.wait()

    def _take(self) -> None:
        """The next batch, as much as is queued, up to its bound; the places are free again."""
        if self._bytes <= BATCH_BYTES:
            self._batch.extend(self._queue)
            self._queue.clear()
            self._bytes = 0
        else:
            size = 0
            while size < BATCH_BYTES:
                pending = self._queue.popleft()
                size += len(pending.draft.text) + DRAFT_BYTES
                self._batch.append(pending)
            self._bytes -= size
        self._places.unpark_all()

    async def _show(self, outcomes: list[Outcome]) -> None:
        batch, self._batch = self._batch, []
        shown: dict[Feed, tuple[int, list[bytes]]] = {}
        try:
            for pending, outcome in zip(batch, outcomes, strict=True):
                feed = pending.feed
                if outcome.payload is not None:
                    entries = shown.get(feed)
                    if entries is None:
                        entries = shown[feed] = (outcome.seq, [])
                    entries[1].append(outcome.payload)
                    if pending.draft.retitles:
                        feed.topic = pending.draft.text
                self._answer(pending, outcome.seq, None if outcome.seq else ref_reuse())
            for feed, (first, payloads) in shown.items():
                await self._publish(feed, first, payloads)
        finally:
            self._let_go(batch)

    def _fail(self, why: str) -> None:
        """Refuse the batch and all that gathered behind it, in order: a later one must not overtake."""
        self._failing = True
        failed = [*self._batch, *self._queue]
        for pending in self._batch:
            if pending.feed not in self._doubtful:
                self._doubtful[pending.feed] = None
                pending.feed.users += 1
        self._batch.clear()
        self._queue.clear()
        self._bytes = 0
        for pending in failed:
            self._answer(pending, 0, Refused("unavailable", why))
        self._let_go(failed)
        self._places.unpark_all()

    def _answer(self, pending: _Pending, seq: int, refused: Refused | None) -> None:
        """Tell the author, and whoever sent the same again meanwhile; the ref is not pending any more."""
        draft = pending.draft
        ref = draft.ref
        if ref:
            del self._refs[draft.room, draft.token, ref]
        for author in pending.authors:
            if refused is None:
                author.acked(ref, draft.shown, seq)
            else:
                author.failed(ref, refused)

    def _let_go(self, done: list[_Pending]) -> None:
        for pending in done:
            for author in pending.authors:
                author.settled()
            self._release(pending.feed)
        again = sum([len(pending.authors) - 1 for pending in done])
        if again:
            self._again -= again
            self._places.unpark_all()

    async def _clear_doubts(self) -> None:
        """Show what the journal holds of rooms whose last commit may have written before it failed."""
        for feed in list(self._doubtful):
            while True:
                page = await self._store.read(
                    feed.key,
                    feed.head,
                    feed.head + PAGE_ENTRIES,
                    entries_max=PAGE_ENTRIES,
                    bytes_max=BATCH_BYTES,
                )
                if page.first > feed.head + 1:
                    feed.skip(page.first)  # some of it is forgotten again already
                    continue
                if not page.payloads:
                    break
                for entry in map(decode_entry, page.payloads):
                    if isinstance(entry, Retitled):
                        feed.topic = entry.text
                await self._publish(feed, page.first, page.payloads)
            del self._doubtful[feed]
            self._release(feed)


def _same(one: Draft, other: Draft) -> bool:
    return (one.text, one.action, one.retitles) == (other.text, other.action, other.retitles)


def ref_reuse() -> Refused:
    return Refused("ref_reuse", "this ref stands for something else that was said", field="ref")
