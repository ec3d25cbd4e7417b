"""The group commit: one task writes all drafts to the journal, then publishes and acks them.

An author first waits until the bounded queue has room (`wait_capacity`), decides, and queues its draft
without another checkpoint (`submit`). While one batch is committed, the next one collects. So the batches
grow with the load, and each entry becomes cheaper. Do not commit at once on a quiet server: that prevents
batching and gains nothing.

An entry is published, and acked, only after the journal holds it:

- A `ref` that is still pending makes no second draft. Its later senders wait for the first one.
- If a commit fails, every draft of the batch and of the queue fails with `unavailable`, in order. Nothing was
  published, so nothing is undone. The store may have failed *after* writing, though. So before the next
  commit, the committer reads these rooms above their heads, and publishes the entries that it finds.
- A bug in a store is handled like a full disk, and logged with its traceback. A bug in this file ends the
  server, with a traceback too, and leaves no author waiting.
"""

from __future__ import annotations

import logging
from collections import deque
from sys import getsizeof
from typing import TYPE_CHECKING, Protocol

import trio

from trio_chat.errors import Refused, StoreError
from trio_chat.server.fair_share import SLICE_S
from trio_chat.wire.codec import decode_entry
from trio_chat.wire.messages import Ack, TopicChanged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio_chat.journal.store import CommitResult, Draft, Store
    from trio_chat.server.stream import RoomStream

__all__ = ["Author", "Committer"]

log = logging.getLogger("trio_chat.commit")

BATCH_BYTES = 256 << 10  # of one commit; a larger one would block the loop for too long
RETRY_S = 1.0  # between two probes of a failed store while no draft arrives
DRAFT_BYTES = 200  # the size of a draft without its text, about
REF_BYTES = 200  # the size of its `ref` and of the key that contains it, about
PAGE_ENTRIES = 500


class Author(Protocol):
    """The sender of a draft.

    For each `submit` that did not raise, there is one ack or one call of `failed`. After the batch was
    published, `settled` is called with the number of the author's drafts in it. None of them may raise.
    """

    def acked(self, acks: list[Ack]) -> None: ...

    def failed(self, ref: str, why: Refused) -> None: ...

    def settled(self, count: int) -> None: ...


# A tuple instead of a Struct: there is one for each message, and a tuple is made in half the time.
Pending = tuple["RoomStream", "Draft", Author]


class Committer:
    """The queue, the pending refs, and the task that commits (`run`)."""

    def __init__(
        self,
        store: Store,
        publish: Callable[[RoomStream, int, list[bytes]], Awaitable[None]],
        release: Callable[[RoomStream, int], None],
        *,
        clock_ms: Callable[[], int],
        work_clock: Callable[[], float] = trio.current_time,
        queue_entries: int = 10_000,
        queue_bytes: int = 8 << 20,
    ) -> None:
        """`release` is called with a stream and how many of its uses ended: each draft is one use."""
        self._store = store
        self._publish = publish
        self._release = release
        self._clock_ms = clock_ms
        self._work_clock = work_clock
        self._queue_entries = queue_entries
        self._queue_bytes = queue_bytes
        self.full = False
        """Whether an author must wait before `submit`."""
        self._queue: deque[Pending] = deque()
        self._batch: list[Pending] = []
        self._bytes = 0
        # the later senders of pending refs, by key
        self._duplicates: dict[tuple[RoomStream, str], list[Author]] = {}
        self._duplicates_count = 0
        self._uncertain: dict[RoomStream, None] = {}
        self._failing = False
        self._waiters = trio.lowlevel.ParkingLot()
        self._wakeup = trio.Event()

    async def wait_capacity(self) -> None:
        """Wait until the queue has room. It keeps it until the next checkpoint. Always pass a checkpoint."""
        await trio.lowlevel.checkpoint()
        while self.full:
            await self._waiters.park()

    def submit(self, stream: RoomStream, draft: Draft, author: Author) -> None:
        """Queue a draft. Its author is notified of the outcome, and the stream stays in use until then.

        Raises `Refused` (`ref_reuse`) when the same `ref` is pending with another text.
        """
        key = draft.key
        if key:
            first = stream.pending.setdefault(key, draft)
            if first is not draft:
                if not _is_same(first, draft):
                    raise ref_reuse()
                self._duplicates.setdefault((stream, key), []).append(author)
                self._duplicates_count += 1
                self._update_full()
                return
        stream.users += 1
        text = draft.text
        if text.isascii() and key.isascii():  # inlined from `_size`: the call would be 2 % of a `say`
            size = len(text) + (DRAFT_BYTES + REF_BYTES if key else DRAFT_BYTES)
        else:
            size = _size(draft)
        self._bytes = size = self._bytes + size
        queue = self._queue
        if not queue:
            self._wakeup.set()
        queue.append((stream, draft, author))
        if size >= self._queue_bytes or len(queue) + self._duplicates_count >= self._queue_entries:
            self.full = True

    @property
    def failing(self) -> bool:
        """Whether the last write to the store failed. While it fails, the store is tried once a second."""
        return self._failing

    async def run(self) -> None:
        """Commit queued drafts until cancelled. Pending drafts then fail with `unavailable`."""
        try:
            while True:
                await self._wait()
                try:
                    await self._resolve_uncertain()
                    self._take_batch()
                    if not self._batch:
                        await self._probe()
                        continue
                    drafts = [draft for _, draft, _ in self._batch]
                    outcomes = await self._store.commit(drafts, self._clock_ms())
                    assert len(outcomes) == len(drafts), "a store returns one result for each draft"
                except StoreError as error:
                    if not self._failing:
                        log.error("cannot write the journal: %s", error)
                    self._fail("cannot write the journal")
                except Exception:
                    if self._batch or not self._failing:  # a probe fails each second
                        log.exception("unexpected error in the journal store")
                    self._fail("cannot write the journal")
                else:
                    self._recover()
                    await self._publish_batch(outcomes)
        finally:
            self._fail("the server is stopping")

    async def _wait(self) -> None:
        """Wait for a draft, at most `RETRY_S` while a stream is uncertain or the store fails.

        Always pass exactly one checkpoint: a store may pass none, and a second one would cost a burst 2 %.
        """
        if self._queue:
            await trio.lowlevel.checkpoint()
            return
        self._wakeup = trio.Event()
        if not (self._uncertain or self._failing):
            await self._wakeup.wait()  # no cancel scope: it would cost a message on a quiet server 10 %
            return
        with trio.move_on_after(RETRY_S):
            await self._wakeup.wait()

    async def _probe(self) -> None:
        """Try a failing store without a draft: a load balancer may send no client before it is healthy."""
        if self._failing:
            await self._store.probe()
            self._recover()

    def _recover(self) -> None:
        if self._failing:
            self._failing = False
            log.info("the journal can be written again")

    def _take_batch(self) -> None:
        """Move the queued drafts into the batch, up to `BATCH_BYTES`, and wake waiting authors."""
        if self._bytes <= BATCH_BYTES:
            self._batch.extend(self._queue)
            self._queue.clear()
            self._bytes = 0
        else:
            size = 0
            while size < BATCH_BYTES:
                pending = self._queue.popleft()
                size += _size(pending[1])
                self._batch.append(pending)
            self._bytes -= size
        self._update_full()

    async def _publish_batch(self, outcomes: list[CommitResult]) -> None:
        batch, self._batch = self._batch, []
        shown: dict[RoomStream, tuple[int, list[bytes]]] = {}
        duplicates: list[Author] = []
        acked: Author | None = None
        acks: list[Ack] = []  # consecutive acks of the same author
        topics: dict[RoomStream, str] = {}
        latest: RoomStream | None = None
        payloads: list[bytes] = []
        try:
            for (stream, draft, author), outcome in zip(batch, outcomes, strict=True):
                seq = outcome.seq
                payload = outcome.payload
                if payload is not None:
                    if stream is not latest:
                        latest = stream
                        _, payloads = shown.setdefault(stream, (seq, []))
                    payloads.append(payload)
                    if draft.is_topic:
                        topics[stream] = draft.text
                if seq and not self._duplicates:
                    # Inlined from `_resolve`: nearly every message takes this path.
                    if draft.key:
                        del stream.pending[draft.key]
                    if author is not acked:
                        if acked is not None:
                            acked.acked(acks)
                        acked, acks = author, []
                    acks.append(Ack(draft.ref, draft.shown, seq))
                else:
                    if acked is not None:
                        acked.acked(acks)
                        acked = None
                    duplicates += self._resolve(stream, draft, author, seq, None if seq else ref_reuse())
            if acked is not None:
                acked.acked(acks)
            until = self._work_clock() + SLICE_S
            for stream, (first, payloads) in shown.items():
                # not before: a newcomer in between would have the topic and not its entry
                if stream in topics:
                    stream.topic = topics[stream]
                await self._publish(stream, first, payloads)
                # A batch may hold entries of a thousand rooms. Each room is published in one step, so a
                # checkpoint between two rooms is safe.
                if self._work_clock() >= until:
                    await trio.lowlevel.checkpoint()
                    until = self._work_clock() + SLICE_S
        finally:
            self._settle(batch, duplicates)

    def _fail(self, why: str) -> None:
        """Refuse the batch and the whole queue, in order: a later draft must not be committed before them."""
        self._failing = True
        failed = [*self._batch, *self._queue]
        for stream, _, _ in self._batch:
            if stream not in self._uncertain:
                self._uncertain[stream] = None
                stream.users += 1
        self._batch.clear()
        self._queue.clear()
        self._bytes = 0
        duplicates: list[Author] = []
        for stream, draft, author in failed:
            duplicates += self._resolve(stream, draft, author, 0, Refused("unavailable", why))
        self._settle(failed, duplicates)
        self._update_full()

    def _update_full(self) -> None:
        count = len(self._queue) + self._duplicates_count
        self.full = count >= self._queue_entries or self._bytes >= self._queue_bytes
        if not self.full and self._waiters:
            self._waiters.unpark_all()

    def _resolve(
        self, stream: RoomStream, draft: Draft, author: Author, seq: int, refused: Refused | None
    ) -> list[Author]:
        """Ack or refuse a draft for its author and for the later senders of its `ref`; return the latter."""
        duplicates: list[Author] = []
        if draft.key:
            del stream.pending[draft.key]
            duplicates = self._duplicates.pop((stream, draft.key), duplicates)
        for each in (author, *duplicates):
            if refused is None:
                each.acked([Ack(draft.ref, draft.shown, seq)])
            else:
                each.failed(draft.ref, refused)
        return duplicates

    def _settle(self, done: list[Pending], duplicates: list[Author]) -> None:
        """Report to authors, later senders and streams how many of their drafts are done."""
        settled: dict[Author, int] = {}
        released: dict[RoomStream, int] = {}
        for stream, _, author in done:
            settled[author] = settled.get(author, 0) + 1
            released[stream] = released.get(stream, 0) + 1
        for author in duplicates:
            settled[author] = settled.get(author, 0) + 1
        for author, count in settled.items():
            author.settled(count)
        for stream, count in released.items():
            self._release(stream, count)
        if duplicates:
            self._duplicates_count -= len(duplicates)
            self._update_full()

    async def _resolve_uncertain(self) -> None:
        """Publish the entries that a failed commit may have written all the same."""
        for stream in list(self._uncertain):
            while True:
                page = await self._store.read(
                    stream.key,
                    stream.head,
                    stream.head + PAGE_ENTRIES,
                    entries_max=PAGE_ENTRIES,
                    bytes_max=BATCH_BYTES,
                )
                if page.first > stream.head + 1:
                    stream.skip(page.first)  # retention has removed some of them meanwhile
                    continue
                if not page.payloads:
                    break
                for entry in map(decode_entry, page.payloads):
                    if isinstance(entry, TopicChanged):
                        stream.topic = entry.text
                await self._publish(stream, page.first, page.payloads)
            del self._uncertain[stream]
            self._release(stream, 1)


def _size(draft: Draft) -> int:
    """Return about how many bytes a draft takes in memory. One wide character makes the whole text wide."""
    text, key = draft.text, draft.key
    size = DRAFT_BYTES + (len(text) if text.isascii() else getsizeof(text))
    if key:
        size += REF_BYTES if key.isascii() else REF_BYTES + getsizeof(key) + getsizeof(draft.ref)
    return size


def _is_same(first: Draft, other: Draft) -> bool:
    return (first.text, first.action, first.is_topic) == (other.text, other.action, other.is_topic)


def ref_reuse() -> Refused:
    return Refused("ref_reuse", "this ref was already used for a different message", field="ref")
