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

BATCH_BYTES = 256 << 10  # of one commit; more would be one very long step for everybody
RETRY_S = 1.0  # how often a store that failed is looked at while nobody says anything
DRAFT_BYTES = 200  # what a draft takes beside its text, about
REF_BYTES = 200  # … and its ref, with the key of which it is a part
PAGE_ENTRIES = 500


class Author(Protocol):
    """The sender of a draft. For each `submit` that did not raise there is one ack or one call of `failed`;
    once what was committed has been shown, `settled` is called for `count` of them. None may raise."""

    def acked(self, acks: list[Ack]) -> None: ...

    def failed(self, ref: str, why: Refused) -> None: ...

    def settled(self, count: int) -> None: ...


# A tuple and no Struct: there is one for each message, and it is made in half the time.
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
        """`release` is told how many uses of a feed have ended: each draft is one."""
        self._store = store
        self._publish = publish
        self._release = release
        self._clock_ms = clock_ms
        self._work_clock = work_clock
        self._queue_entries = queue_entries
        self._queue_bytes = queue_bytes
        self.full = False
        """Whether `submit` must wait for a place."""
        self._queue: deque[Pending] = deque()
        self._batch: list[Pending] = []
        self._bytes = 0
        self._again: dict[
            tuple[RoomStream, str], list[Author]
        ] = {}  # the later senders of pending refs, by key
        self._again_count = 0
        self._doubtful: dict[RoomStream, None] = {}
        self._failing = False
        self._places = trio.lowlevel.ParkingLot()
        self._news = trio.Event()

    async def place(self) -> None:
        """Wait until the queue has a place; it is kept until the next checkpoint. Always passes one."""
        await trio.lowlevel.checkpoint()
        while self.full:
            await self._places.park()

    def submit(self, stream: RoomStream, draft: Draft, author: Author) -> None:
        """Queue a draft; its author hears how it ended. The feed is in use until then.

        Raises `Refused` with `ref_reuse` when the same `ref` is pending with something else.
        """
        key = draft.key
        if key:
            first = stream.pending.setdefault(key, draft)
            if first is not draft:
                if not _same(first, draft):
                    raise ref_reuse()
                self._again.setdefault((stream, key), []).append(author)
                self._again_count += 1
                self._count_places()
                return
        stream.users += 1
        text = draft.text
        if text.isascii() and key.isascii():  # as `_size` would: the call is a fiftieth of a `say`
            size = len(text) + (DRAFT_BYTES + REF_BYTES if key else DRAFT_BYTES)
        else:
            size = _size(draft)
        self._bytes = size = self._bytes + size
        queue = self._queue
        if not queue:
            self._news.set()
        queue.append((stream, draft, author))
        if size >= self._queue_bytes or len(queue) + self._again_count >= self._queue_entries:
            self.full = True

    @property
    def failing(self) -> bool:
        """Whether the store could not be written when that was last tried; while it cannot, each second."""
        return self._failing

    async def run(self) -> None:
        """Commit what is queued, until cancelled; what is pending then fails as `unavailable`."""
        try:
            while True:
                await self._wait()
                try:
                    await self._clear_doubts()
                    self._take()
                    if not self._batch:
                        await self._probe()
                        continue
                    drafts = [draft for _, draft, _ in self._batch]
                    outcomes = await self._store.commit(drafts, self._clock_ms())
                    assert len(outcomes) == len(drafts), "a store says of each draft what became of it"
                except StoreError as error:
                    if not self._failing:
                        log.error("the journal cannot be written: %s", error)
                    self._fail("the journal cannot be written")
                except Exception:
                    if self._batch or not self._failing:  # a probe fails each second
                        log.exception("the journal's store failed in a way it should not")
                    self._fail("the journal cannot be written")
                else:
                    self._recover()
                    await self._show(outcomes)
        finally:
            self._fail("the server is stopping")

    async def _wait(self) -> None:
        """Wait for a draft; while there is a doubt or a failure, not for long. Always passes a checkpoint: a
        store need not, and one pass of the loop less is a fiftieth of a burst."""
        if self._queue:
            await trio.lowlevel.checkpoint()
            return
        self._news = trio.Event()
        if not (self._doubtful or self._failing):
            await self._news.wait()  # without a scope around it: that cost a tenth of a quiet message
            return
        with trio.move_on_after(RETRY_S):
            await self._news.wait()

    async def _probe(self) -> None:
        """Try a failing store again though nothing is said: a balancer may send no peer until it is well."""
        if self._failing:
            await self._store.probe()
            self._recover()

    def _recover(self) -> None:
        if self._failing:
            self._failing = False
            log.info("the journal can be written again")

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
                size += _size(pending[1])
                self._batch.append(pending)
            self._bytes -= size
        self._count_places()

    async def _show(self, outcomes: list[CommitResult]) -> None:
        batch, self._batch = self._batch, []
        shown: dict[RoomStream, tuple[int, list[bytes]]] = {}
        again: list[Author] = []
        acked: Author | None = None
        acks: list[Ack] = []  # a run of the same author's
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
                if seq and not self._again:
                    # As `_answer` would: this is what happens to nearly every message.
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
                    again += self._answer(stream, draft, author, seq, None if seq else ref_reuse())
            if acked is not None:
                acked.acked(acks)
            until = self._work_clock() + SLICE_S
            for stream, (first, payloads) in shown.items():
                if (
                    stream in topics
                ):  # not before: a newcomer in between would have the topic and not its entry
                    stream.topic = topics[stream]
                await self._publish(stream, first, payloads)
                # A batch may hold entries of a thousand rooms. Each room is shown in one step; between two of
                # them nothing is half done.
                if self._work_clock() >= until:
                    await trio.lowlevel.checkpoint()
                    until = self._work_clock() + SLICE_S
        finally:
            self._let_go(batch, again)

    def _fail(self, why: str) -> None:
        """Refuse the batch and all that gathered behind it, in order: a later one must not overtake."""
        self._failing = True
        failed = [*self._batch, *self._queue]
        for stream, _, _ in self._batch:
            if stream not in self._doubtful:
                self._doubtful[stream] = None
                stream.users += 1
        self._batch.clear()
        self._queue.clear()
        self._bytes = 0
        again: list[Author] = []
        for stream, draft, author in failed:
            again += self._answer(stream, draft, author, 0, Refused("unavailable", why))
        self._let_go(failed, again)
        self._count_places()

    def _count_places(self) -> None:
        self.full = (
            len(self._queue) + self._again_count >= self._queue_entries or self._bytes >= self._queue_bytes
        )
        if not self.full and self._places:
            self._places.unpark_all()

    def _answer(
        self, stream: RoomStream, draft: Draft, author: Author, seq: int, refused: Refused | None
    ) -> list[Author]:
        """Answer the author and the later senders of the same `ref`, which is not pending any more; return
        the latter."""
        again: list[Author] = []
        if draft.key:
            del stream.pending[draft.key]
            again = self._again.pop((stream, draft.key), again)
        for each in (author, *again):
            if refused is None:
                each.acked([Ack(draft.ref, draft.shown, seq)])
            else:
                each.failed(draft.ref, refused)
        return again

    def _let_go(self, done: list[Pending], again: list[Author]) -> None:
        """Tell the authors and the later senders, and the feeds, how much of theirs is done."""
        settled: dict[Author, int] = {}
        released: dict[RoomStream, int] = {}
        for stream, _, author in done:
            settled[author] = settled.get(author, 0) + 1
            released[stream] = released.get(stream, 0) + 1
        for author in again:
            settled[author] = settled.get(author, 0) + 1
        for author, count in settled.items():
            author.settled(count)
        for stream, count in released.items():
            self._release(stream, count)
        if again:
            self._again_count -= len(again)
            self._count_places()

    async def _clear_doubts(self) -> None:
        """Show what the journal holds of rooms whose last commit may have written before it failed."""
        for stream in list(self._doubtful):
            while True:
                page = await self._store.read(
                    stream.key,
                    stream.head,
                    stream.head + PAGE_ENTRIES,
                    entries_max=PAGE_ENTRIES,
                    bytes_max=BATCH_BYTES,
                )
                if page.first > stream.head + 1:
                    stream.skip(page.first)  # some of it is forgotten again already
                    continue
                if not page.payloads:
                    break
                for entry in map(decode_entry, page.payloads):
                    if isinstance(entry, TopicChanged):
                        stream.topic = entry.text
                await self._publish(stream, page.first, page.payloads)
            del self._doubtful[stream]
            self._release(stream, 1)


def _size(draft: Draft) -> int:
    """Return what a draft takes in memory, about: with one wide character in it, each of a text's is wide."""
    text, key = draft.text, draft.key
    size = DRAFT_BYTES + (len(text) if text.isascii() else getsizeof(text))
    if key:
        size += REF_BYTES if key.isascii() else REF_BYTES + getsizeof(key) + getsizeof(draft.ref)
    return size


def _same(one: Draft, other: Draft) -> bool:
    return (one.text, one.action, one.is_topic) == (other.text, other.action, other.is_topic)


def ref_reuse() -> Refused:
    return Refused("ref_reuse", "this ref stands for something else that was said", field="ref")
