"""A model test: the promises of the committer hold for any behaviour of stores and authors."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.committing import (
    ACKED,
    FAILED,
    PUBLISHED,
    SETTLED,
    CommitterHarness,
    RecordingAuthor,
    running_committer,
)
from tests.server.stores import ScriptedStore, held_entries
from trio_chat.errors import Refused
from trio_chat.journal.memory import MemoryStore
from trio_chat.server.commit import RETRY_S
from trio_chat.wire.codec import decode_entry
from trio_chat.wire.messages import UNSET, Ack

SAY, LOOK, SLEEP = "say", "look", "sleep"
Step = tuple[Any, ...]
ROOMS = ("lobby", "attic")
AUTHORS = {"laptop": "ada", "phone": "ada", "bob": "bob"}
FATES = ["well", "well", "slow", "before", "after", "bug", "bug after"]

_fates = st.lists(st.sampled_from(FATES), max_size=12)
STEPS = st.lists(
    st.one_of(
        # A ref is sent again with the same text, or sometimes with another one.
        st.tuples(
            st.just(SAY),
            st.sampled_from(sorted(AUTHORS)),
            st.sampled_from(ROOMS),
            st.sampled_from(["", "", "r1", "r2", "r3"]),
            st.booleans(),
        ),
        st.tuples(
            st.just(SAY), st.sampled_from(sorted(AUTHORS)), st.just("lobby"), st.just(""), st.just(False)
        ),
        st.tuples(st.just(LOOK)),
        st.tuples(st.just(SLEEP)),
    ),
    min_size=1,
    max_size=40,
)


class Told:
    """One submitted draft, and its outcomes."""

    def __init__(
        self, harness: CommitterHarness, teller: RecordingAuthor, room: str, ref: str, text: str, burst: int
    ) -> None:
        self.harness = harness
        self.teller = teller
        self.name, self.token = teller.name, teller.token
        self.room, self.ref, self.text, self.burst = room, ref, text, burst
        self.seq = 0
        self.heard: list[str] = []  # kinds, in order

    def acked(self, acks: list[Ack]) -> None:
        (ack,) = acks
        assert ack.seq is not UNSET
        assert (ack.ref, ack.room.lower()) == (self.ref, self.room)
        self.seq = ack.seq
        self.heard.append(ACKED)
        self.teller.acked(acks)

    def failed(self, ref: str, why: Refused) -> None:
        assert ref == self.ref
        assert why.code in ("unavailable", "ref_reuse")
        self.heard.append(FAILED if why.code == "unavailable" else why.code)

    def settled(self, count: int) -> None:
        assert count == 1
        self.heard.append(SETTLED)
        if self.seq:
            # New or duplicate: when its author is settled, the entry was published.
            assert any(
                (each.kind, each.who, each.seq) == (PUBLISHED, self.room, self.seq)
                for each in self.harness.records
            )


async def play(harness: CommitterHarness, steps: list[Step]) -> list[Told]:
    """All drafts, in order."""
    told: list[Told] = []
    burst = 0
    for number, (what, *arguments) in enumerate(steps):
        if what == SAY:
            name, room, ref, otherwise = arguments
            text = f"{AUTHORS[name]!r} {ref}{' otherwise' * otherwise}" if ref else f"number {number}"
            one = Told(harness, harness.author(name, AUTHORS[name]), room, ref, text, burst)
            stream = harness.rooms[room]
            draft = one.teller.draft(stream, text, ref)
            try:
                harness.committer.submit(stream, draft, one)
            except Refused as refused:
                assert refused.code == "ref_reuse"
            else:
                told.append(one)
        else:
            burst += 1
            if what == LOOK:
                await wait_all_tasks_blocked()
            else:
                await trio.sleep(RETRY_S * 0.7)
    return told


def check_answers(told: list[Told]) -> None:
    for one in told:
        assert len(one.heard) == 2 and one.heard[1] == SETTLED, one.heard
        assert bool(one.seq) == (one.heard[0] == ACKED)


def check_order(told: list[Told]) -> None:
    """Check that drafts without a ref are numbered in order, and none is committed before a failed one."""
    for room in ROOMS:
        numbers = [one.seq for one in told if one.room == room and one.seq and not one.ref]
        assert numbers == sorted(numbers)
    for one, later in pairwise(told):
        if one.burst == later.burst and one.heard[0] == FAILED:
            assert later.heard[0] == FAILED or later.ref, "it was queued behind the failed draft"


def check_showing(harness: CommitterHarness) -> None:
    """Check that entries are published in order, each once, up to the head of the journal."""
    for room in ROOMS:
        seqs = [each.seq for each in harness.records if (each.kind, each.who) == (PUBLISHED, room)]
        assert seqs == sorted(set(seqs))
        assert harness.rooms[room].head == harness.journal._rooms[room].head == max(seqs, default=0)


async def check_journal(harness: CommitterHarness, told: list[Told]) -> None:
    """Check that a journal without retention was published from its first entry to its last."""
    for room in ROOMS:
        entries = [decode_entry(payload) for payload in await held_entries(harness.journal, room)]
        texts = harness.published(room)
        assert [entry.seq for entry in entries] == list(range(1, len(texts) + 1))
        assert [entry.text for entry in entries] == texts
        assert len(set(texts)) == len(texts), "one entry for each ref"
        for one in told:
            if one.room == room and one.seq:
                assert entries[one.seq - 1].text == one.text
    by_ref: dict[tuple[str, str, str], set[int]] = {}
    for one in told:
        if one.ref and one.seq:
            by_ref.setdefault((one.room, one.token, one.ref), set()).add(one.seq)
    assert all(len(numbers) == 1 for numbers in by_ref.values()), "equal refs have equal numbers"


@contextmanager
def nothing_logged() -> Iterator[None]:
    log = logging.getLogger("trio_chat.commit")
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = False


def run(steps: list[Step], commits: list[str], reads: list[str], *, entries_max: int = 10_000) -> None:
    """Run the steps, let the store work again, and check all promises."""
    store = ScriptedStore(MemoryStore(room_entries_max=entries_max), commits=commits, reads=reads)

    async def scenario() -> None:
        async with running_committer(store, *ROOMS) as harness:
            told = await play(harness, steps)
            await trio.sleep(RETRY_S * (len(commits) + len(reads) + 5))
            check_answers(told)
            check_order(told)
            check_showing(harness)
            if entries_max > len(steps):
                await check_journal(harness, told)
            harness.close()
            assert len(harness.streams) == 0, "no room stays in use"

    with nothing_logged():
        trio.run(scenario, clock=MockClock(autojump_threshold=0))


@given(STEPS, _fates, _fates)
def test_each_author_gets_one_outcome_and_rooms_see_the_journal(
    steps: list[Step], commits: list[str], reads: list[str]
) -> None:
    run(steps, commits, reads)


@given(STEPS, _fates, _fates)
def test_a_journal_with_short_retention_is_published_in_order(
    steps: list[Step], commits: list[str], reads: list[str]
) -> None:
    run(steps, commits, reads, entries_max=2)
