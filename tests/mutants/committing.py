"""Mistakes around the journal: what is kept, when it is shown, and which `ref` stands for what."""

from tests.mutants.mutant import Edit, Mutant

__all__ = ["COMMITTING"]

KEEP = "trio_chat.journal.memory:_Kept.extend"
COMMIT = "trio_chat.server.commit:Committer"

COMMITTING = (
    Mutant(
        "shown-before-committed",
        "a batch is numbered, shown and acked before the journal holds it",
        (
            Edit(f"{COMMIT}.run", "await self._show(outcomes)", "pass"),
            Edit(
                f"{COMMIT}.run",
                "outcomes = await self._store.commit(drafts, self._clock_ms())",
                """
                from trio_chat.journal.store import Outcome
                from trio_chat.wire.codec import encode
                now_ms = self._clock_ms()
                known = self.__dict__.setdefault("_known", {})
                heads = {}
                outcomes = []
                for feed, draft, _ in self._batch:
                    key, seq = (feed.key, draft.key), heads.get(feed, feed.head) + 1
                    if draft.key and known.setdefault(key, seq) != seq:
                        outcomes.append(Outcome(known[key], None))
                        continue
                    heads[feed] = seq
                    outcomes.append(Outcome(seq, encode(draft.entry(seq, now_ms))))
                await self._show(outcomes)
                outcomes = await self._store.commit(drafts, now_ms)
                """,
            ),
        ),
    ),
    Mutant(
        "unshown-read",
        "who catches up reads what the journal holds, not only as far as was shown",
        (
            Edit(
                "trio_chat.server.streams:Feeds._page",
                "through = feed.tail[0].first - 1 if feed.tail else feed.head",
                "through = 1 << 40",
            ),
        ),
    ),
    Mutant(
        "doubts-forgotten",
        "after a commit that failed nobody looks whether it had been written",
        (
            Edit(
                f"{COMMIT}._clear_doubts",
                "if not page.payloads:",
                "if page:",
            ),
        ),
    ),
    Mutant(
        "ref-before",
        "a `ref` is remembered before the commit: when that fails, whoever says it again waits for ever",
        (
            Edit(
                f"{COMMIT}._answer",
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
                "first = feed.pending.setdefault(key, draft)",
                "first = feed.pending[key] = draft",
            ),
            Edit(
                f"{COMMIT}._show",
                "del feed.pending[draft.key]",
                "feed.pending.pop(draft.key, None)",
            ),
            Edit(
                f"{COMMIT}._answer",
                "del feed.pending[draft.key]",
                "feed.pending.pop(draft.key, None)",
            ),
            Edit(KEEP, "outcomes: list[Outcome] = []", "outcomes, fresh = [], {}"),
            Edit(KEEP, "seqs[key] = seq", "fresh[key] = seq"),
            Edit(KEEP, "if self.head > before:", "seqs.update(fresh)\nif self.head > before:"),
        ),
    ),
    Mutant(
        "again-unanswered",
        "who sends a pending `ref` again is not answered; only the first is",
        (
            Edit(
                f"{COMMIT}._answer",
                "for each in (author, *again):",
                "for each in (author,):",
            ),
        ),
    ),
    Mutant(
        "read-leaks",
        "a read of the journal that fails leaves its room in use for ever",
        (
            Edit(
                "trio_chat.server.streams:Feeds.read",
                """
                try:
                    async with self._reads:
                        return await self._store.read(
                            feed.key, after, through, entries_max=entries_max, bytes_max=bytes_max
                        )
                finally:
                    self.release(feed)
                """,
                """
                async with self._reads:
                    page = await self._store.read(
                        feed.key, after, through, entries_max=entries_max, bytes_max=bytes_max
                    )
                self.release(feed)
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
