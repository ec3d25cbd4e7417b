"""Mistakes around the journal: what is kept, when it is shown, and which `ref` stands for what."""

from tests.mutants.mutant import Edit, Mutant

__all__ = ["COMMITTING"]

KEEP = "trio_chat.journal.memory:_RoomLog.extend"
COMMIT = "trio_chat.server.commit:Committer"

COMMITTING = (
    Mutant(
        "shown-before-committed",
        "a batch is numbered, shown and acked before the journal holds it",
        (
            Edit(f"{COMMIT}.run", "await self._publish_batch(outcomes)", "pass"),
            Edit(
                f"{COMMIT}.run",
                "outcomes = await self._store.commit(drafts, self._clock_ms())",
                """
                from trio_chat.journal.store import CommitResult
                from trio_chat.wire.codec import encode
                now_ms = self._clock_ms()
                known = self.__dict__.setdefault("_known", {})
                heads = {}
                outcomes = []
                for stream, draft, _ in self._batch:
                    key, seq = (stream.key, draft.key), heads.get(stream, stream.head) + 1
                    if draft.key and known.setdefault(key, seq) != seq:
                        outcomes.append(CommitResult(known[key], None))
                        continue
                    heads[stream] = seq
                    outcomes.append(CommitResult(seq, encode(draft.entry(seq, now_ms))))
                await self._publish_batch(outcomes)
                outcomes = await self._store.commit(drafts, now_ms)
                """,
            ),
        ),
    ),
    Mutant(
        "unshown-read",
        "a session that catches up reads all that the journal holds, beyond the published head",
        (
            Edit(
                "trio_chat.server.streams:RoomStreams._page",
                "through = stream.tail[0].first - 1 if stream.tail else stream.head",
                "through = 1 << 40",
            ),
        ),
    ),
    Mutant(
        "doubts-forgotten",
        "after a failed commit the server does not check whether it had been written",
        (
            Edit(
                f"{COMMIT}._resolve_uncertain",
                "if not page.payloads:",
                "if page:",
            ),
        ),
    ),
    Mutant(
        "ref-before",
        "a `ref` is remembered before the commit: when that fails, a repeated message waits for ever",
        (
            Edit(
                f"{COMMIT}._resolve",
                "if draft.key:",
                "if draft.key and refused is None:",
            ),
        ),
    ),
    Mutant(
        "ref-after",
        "a `ref` is remembered only after the commit: sent again while pending, it is a second entry",
        (
            Edit(
                f"{COMMIT}.submit",
                "first = stream.pending.setdefault(key, draft)",
                "first = stream.pending[key] = draft",
            ),
            Edit(
                f"{COMMIT}._publish_batch",
                "del stream.pending[draft.key]",
                "stream.pending.pop(draft.key, None)",
            ),
            Edit(
                f"{COMMIT}._resolve",
                "del stream.pending[draft.key]",
                "stream.pending.pop(draft.key, None)",
            ),
            Edit(KEEP, "results: list[CommitResult] = []", "results, fresh = [], {}"),
            Edit(KEEP, "seqs[key] = seq", "fresh[key] = seq"),
            Edit(KEEP, "if self.head > before:", "seqs.update(fresh)\nif self.head > before:"),
        ),
    ),
    Mutant(
        "again-unanswered",
        "a pending `ref` that is sent again is not answered; only the first is",
        (
            Edit(
                f"{COMMIT}._resolve",
                "for each in (author, *duplicates):",
                "for each in (author,):",
            ),
        ),
    ),
    Mutant(
        "read-leaks",
        "a read of the journal that fails leaves its room in use for ever",
        (
            Edit(
                "trio_chat.server.streams:RoomStreams.read",
                """
                try:
                    async with self._reads:
                        return await self._store.read(
                            stream.key, after, through, entries_max=entries_max, bytes_max=bytes_max
                        )
                finally:
                    self.release(stream)
                """,
                """
                async with self._reads:
                    page = await self._store.read(
                        stream.key, after, through, entries_max=entries_max, bytes_max=bytes_max
                    )
                self.release(stream)
                return page
                """,
            ),
        ),
    ),
    Mutant(
        "epochs-kept",
        "a journal that has lost its tail with its machine goes on under the epochs that it had",
        (
            Edit(
                "trio_chat.testing.chat.play:_Scene._lose_tail",
                'self._journal = self._new_journal(f" at {trio.current_time()}")',
                "self._journal = self._new_journal()",
            ),
        ),
    ),
)
